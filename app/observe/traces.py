"""Traces: a span for every request, sent to a collector by OpenTelemetry's own library. Off unless a collector is named.

A span begins with the request's head and ends with the last byte of its answer. A caller's `traceparent` is its parent, and
decides whether it is kept; without one a share of `sample_ratio` is. Spans wait in the worker's memory, a bounded number of
them, and are sent by a thread; while no collector answers they are dropped, and requests go on.
Source: "Semantic conventions for HTTP spans" and "… for S3", OpenTelemetry; "Trace Context", W3C.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from app.settings import ConfigError
from app.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

    from app.domain.types import Principal

SERVICE = "bleepstore"
QUEUE_MAX = 2_048  # spans; more are dropped
BATCH_MAX = 512
SEND_EVERY_MS = 2_000
SEND_TIMEOUT_S = 3.0
TRACEPARENT = "traceparent"

_NS = 1_000_000_000


class Ended(Protocol):
    """What is known of a request when it has ended."""

    request_id: str
    method: str
    operation: str
    bucket: str
    key: str
    status: int
    code: str
    bytes_in: int
    bytes_out: int
    principal: Principal
    remote_address: str


class Traces:
    """One for a process and those it forks: the sending thread is a worker's own, made with its first span."""

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        """`endpoint` is a URL that takes OTLP by HTTP, such as http://collector:4318/v1/traces. Raises: ConfigError."""
        try:
            import opentelemetry.exporter.otlp.proto.http.trace_exporter
            import opentelemetry.sdk.trace.export  # noqa: F401
        except ImportError:
            raise ConfigError(
                "observability.traces_endpoint_url takes more packages: pip install 'bleepstore[traces]'"
            ) from None
        self._endpoint = endpoint
        self._sample_ratio = sample_ratio
        self._making = threading.Lock()
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def record(self, request: Ended, seconds: float) -> None:
        """A request that has just ended, and how long it took."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        tracer = self._tracer or self._made()
        ended_ns = time.time_ns()
        parent = getattr(request, TRACEPARENT, "")  # the header, as it came
        context = TraceContextTextMapPropagator().extract({TRACEPARENT: parent}) if parent else None
        span = tracer.start_span(
            request.operation, context=context, kind=SpanKind.SERVER, start_time=ended_ns - int(seconds * _NS)
        )
        if span.is_recording():
            attributes: dict[str, str | int] = {
                "rpc.system": "aws-api",
                "rpc.service": "S3",
                "rpc.method": request.operation,
                "http.request.method": request.method,
                "http.response.status_code": request.status,
                "http.request.body.size": request.bytes_in,
                "http.response.body.size": request.bytes_out,
                "aws.request_id": request.request_id,
                "client.address": request.remote_address,
            }
            named = {
                "aws.s3.bucket": request.bucket,
                "aws.s3.key": request.key,
                "enduser.id": request.principal.name,
                "error.type": request.code,
            }
            span.set_attributes(attributes | {name: value for name, value in named.items() if value})
            if request.status >= 500:
                span.set_status(Status(StatusCode.ERROR, request.code))
        span.end(ended_ns)

    def close(self) -> None:
        """Send what waits. Takes seconds where nobody answers; not for the hub's thread."""
        if self._provider is not None:
            self._provider.shutdown()

    def _made(self) -> Tracer:
        with self._making:
            if self._tracer is None:
                self._provider = _provider(self._endpoint, self._sample_ratio)
                self._tracer = self._provider.get_tracer(SERVICE, __version__)
            return self._tracer


def _provider(endpoint: str, sample_ratio: float) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    about: dict[str, Any] = {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    provider = TracerProvider(
        # What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say counts as well, and more.
        resource=Resource(about).merge(Resource.create())
        if "OTEL_SERVICE_NAME" in os.environ
        else Resource.create(about),
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(endpoint=endpoint, timeout=SEND_TIMEOUT_S),
            max_queue_size=QUEUE_MAX,
            max_export_batch_size=BATCH_MAX,
            schedule_delay_millis=SEND_EVERY_MS,
        )
    )
    return provider
