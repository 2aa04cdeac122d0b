"""Traces of a real server, received as a collector receives them, by OpenTelemetry's own definitions."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.components import require_python
from tests.conftest import StartServer
from tests.server.conftest import eventually
from tests.servers import ROOT, RunningServer

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_KEPT = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00"


class Collector:
    """Takes OTLP by HTTP. `status` is what it answers."""

    def __init__(self) -> None:
        require_python("opentelemetry.sdk", "opentelemetry-sdk")
        messages = require_python(
            "opentelemetry.proto.collector.trace.v1.trace_service_pb2", "opentelemetry-exporter-otlp-proto-http"
        )
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                message = messages.ExportTraceServiceRequest.FromString(body)
                for resource in message.resource_spans:
                    collector.resources.append(attributes(resource.resource.attributes))
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def start(start_server: StartServer, collector: Collector, *args: str) -> RunningServer:
    return start_server("--observability.traces_endpoint_url", collector.endpoint, *args)


def test_each_request_is_a_span_below_its_callers(start_server: StartServer, collector: Collector) -> None:
    server = start(start_server, collector)
    s3 = server.client()
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"meow")
    s3.meta.events.register("before-send.s3.GetObject", lambda request, **_: request.headers.update(traceparent=PARENT))
    for _ in range(3):
        s3.get_object(Bucket="photos", Key="cat.jpg")["Body"].read()
    with pytest.raises(s3.exceptions.ClientError):
        s3.head_object(Bucket="photos", Key="dog.jpg")
    assert eventually(lambda: len(collector.spans) == 6, timeout_s=20)
    (put,), gets, (head,) = (collector.named(name) for name in ("PutObject", "GetObject", "HeadObject"))
    assert attributes(put.attributes).items() >= {
        "rpc.method": "PutObject", "http.request.method": "PUT", "http.response.status_code": 200,
        "aws.s3.bucket": "photos", "aws.s3.key": "cat.jpg", "enduser.id": "root", "client.address": "127.0.0.1",
    }.items()  # fmt: skip
    assert 0 < put.end_time_unix_nano - put.start_time_unix_nano < 10_000_000_000
    assert not put.parent_span_id
    assert {(get.trace_id.hex(), get.parent_span_id.hex()) for get in gets} == {tuple(PARENT.split("-")[1:3])}
    assert len(gets) == 3
    assert attributes(head.attributes)["error.type"] == "NoSuchKey"
    assert collector.resources[0]["service.name"] == "bleepstore"


def test_who_is_not_kept_is_not_sent(start_server: StartServer, collector: Collector) -> None:
    server = start(start_server, collector, "--observability.traces_sample_percent", "0")
    s3 = server.client()
    s3.create_bucket(Bucket="photos")
    s3.meta.events.register(
        "before-send.s3.ListBuckets", lambda request, **_: request.headers.update(traceparent=PARENT)
    )
    s3.list_buckets()
    server.terminate()
    assert [span.name for span in collector.spans] == ["ListBuckets"]


def test_a_stop_sends_what_waits(start_server: StartServer, collector: Collector) -> None:
    server = start(start_server, collector)
    server.client().list_buckets()
    server.terminate()
    assert [span.name for span in collector.spans] == ["ListBuckets"]


def test_a_collector_that_is_away_costs_no_request(start_server: StartServer, collector: Collector) -> None:
    server = start(start_server, collector)
    collector.close()
    s3 = server.client()
    s3.create_bucket(Bucket="photos")
    for number in range(50):
        s3.put_object(Bucket="photos", Key=str(number), Body=b"")
    assert len(s3.list_objects_v2(Bucket="photos")["Contents"]) == 50


def test_a_caller_that_keeps_no_trace_gets_none(start_server: StartServer, collector: Collector) -> None:
    server = start(start_server, collector)
    s3 = server.client()
    s3.create_bucket(Bucket="photos")
    s3.meta.events.register(
        "before-send.s3.ListBuckets", lambda request, **_: request.headers.update(traceparent=NOT_KEPT)
    )
    s3.list_buckets()
    server.terminate()
    assert [span.name for span in collector.spans] == ["CreateBucket"]


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys; from app import create_app; from app.config import load_config; "
        "create_app(load_config({'metadata.engine': 'memory', 'storage.backend': 'memory'}, {})).load(); "
        "print(sum(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "0"
