"""What is counted while the server runs, as a scrape over HTTP sees it: by any worker, across kills and reloads."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from app.observe.families import FAMILIES, PREFIX
from tests.components import require_promtool
from tests.reliability.counting import ask, samples, scrape
from tests.server.wire import Wire
from tests.servers import RunningServer

StartServer = Callable[..., RunningServer]

MIB = 1 << 20
PATIENCE_S = 15.0


def _until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # another process


def _one(text: str, family: str) -> float:
    (value,) = samples(text, f"{PREFIX}{family}").values()
    return value


def _labelled(text: str, family: str, **labels: str) -> float:
    return samples(text, f"{PREFIX}{family}").get(tuple(sorted(labels.items())), 0.0)


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(workers=2)


def test_a_day_of_a_bucket_is_in_the_counts(server: RunningServer) -> None:
    client = server.client()
    client.create_bucket(Bucket="counted")
    client.put_object(Bucket="counted", Key="small", Body=b"x" * 1_000)
    client.put_object(Bucket="counted", Key="large", Body=b"x" * 3 * MIB)
    for _ in range(3):
        client.get_object(Bucket="counted", Key="small")["Body"].read()
    client.get_object(Bucket="counted", Key="large")["Body"].read()
    client.copy_object(Bucket="counted", Key="copy", CopySource="counted/large")
    upload = client.create_multipart_upload(Bucket="counted", Key="parts")["UploadId"]
    named = {"Bucket": "counted", "Key": "parts", "UploadId": upload}
    etag = client.upload_part(**named, PartNumber=1, Body=b"x" * 5 * MIB)["ETag"]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]})
    text = scrape(server)
    assert _labelled(text, "s3_requests_total", operation="GetObject", code="200", bucket="counted") == 4
    assert _labelled(text, "s3_request_duration_seconds_count", operation="GetObject") == 4
    assert _labelled(text, "s3_time_to_first_byte_seconds_count", operation="GetObject") == 4
    assert _one(text, "bytes_sent_total") >= 3 * 1_000 + 3 * MIB
    assert _one(text, "bytes_received_total") >= 1_000 + 8 * MIB
    assert _one(text, "object_size_bytes_count") == 4  # a part is no object
    assert _one(text, "object_size_bytes_sum") == 1_000 + 3 * MIB + 3 * MIB + 5 * MIB
    assert _one(text, "sqlite_commit_batch_size_sum") >= 6
    assert _one(text, "sqlite_commit_duration_seconds_count") >= 6
    _until(lambda: _labelled(scrape(server), "background_runs_total", task="sweep", outcome="ok"), "no sweep")
    last = _labelled(scrape(server), "background_last_run_timestamp_seconds", task="sweep")
    assert time.time() - 60 < last <= time.time() + 1


def test_a_request_that_waits_is_in_flight(server: RunningServer) -> None:
    server.client().create_bucket(Bucket="counted")
    asked = ask(server, "PUT", "/counted/slow", b"abcd").data
    wire = Wire(server.port)
    wire.send(asked[:-2])
    _until(lambda: _one(scrape(server), "s3_requests_in_flight") == 1, "not in flight")
    wire.send(asked[-2:])
    assert wire.answer("PUT").status == 200
    _until(lambda: _one(scrape(server), "s3_requests_in_flight") == 0, "still in flight")
    wire.close()


def test_refusals_are_counted_by_reason(start_server: StartServer) -> None:
    server = start_server("--server.limits.header_timeout_s", "1", workers=2)
    bad, silent = Wire(server.port), Wire(server.port)
    bad.send(b"GET / HTTP/1.1\r\nBad header\r\n\r\n")
    assert bad.answer().status == 400
    silent.send(b"GET / HT")
    assert silent.answer().status == 400
    for wire in (bad, silent):
        wire.close()
    text = scrape(server)
    assert _labelled(text, "s3_rejected_total", reason="bad_request") == 1
    assert _labelled(text, "s3_rejected_total", reason="head_timeout") == 1
    assert _labelled(text, "s3_rejected_total", reason="failed") == 0


def test_a_full_server_says_so(start_server: StartServer) -> None:
    server = start_server("--server.limits.worker_connections", "2")
    held = [Wire(server.port) for _ in range(2)]
    for wire in held:
        wire.send(b"GET /x/y HTTP/1.1\r\n")  # a request has begun: they are not given up
    late = Wire(server.port)
    time.sleep(0.3)
    for wire in held:
        wire.close()
    late.close()
    _until(lambda: _labelled(scrape(server), "s3_rejected_total", reason="connection_limit") >= 1, "nothing counted")


def test_strangers_make_no_labels(server: RunningServer) -> None:
    """Methods, paths and buckets of anybody's choice, signed by nobody."""
    wire = Wire(server.port)
    for number in range(150):
        for line in (
            f"GET /bucket-{number}/key HTTP/1.1",
            f"PUT /bucket-{number} HTTP/1.1\r\nContent-Length: 0",
            f"M{number} /bucket-{number}/key HTTP/1.1",
            f"GET /.bleepstore/{number} HTTP/1.1",
            f"GET /minio/health/{number} HTTP/1.1",
        ):
            wire.send(f"{line}\r\nHost: localhost\r\n\r\n".encode())
            if wire.answer().header("connection") == "close":
                wire.close()
                wire = Wire(server.port)
    wire.close()
    text = scrape(server)
    assert {dict(labels)["bucket"] for labels in samples(text, "bleepstore_s3_requests_total")} == {""}
    http = [dict(labels) for labels in samples(text, "bleepstore_http_requests_total")]
    known = {"/", "/{bucket}", "/{bucket}/{key}", "/.bleepstore/", "/healthz", "/metrics"}
    assert {each["path"] for each in http} <= known
    assert {each["method"] for each in http} <= {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "OTHER"}
    assert len(http) < 20


def test_buckets_beyond_the_limit_are_others(start_server: StartServer) -> None:
    server = start_server("--observability.bucket_labels_max", "3", workers=2)
    client = server.client()
    for number in range(8):
        client.create_bucket(Bucket=f"counted-{number}")
        for _ in range(3):
            server.client().list_objects_v2(Bucket=f"counted-{number}")  # on connections of their own, to any worker
    text = scrape(server)
    found = samples(text, "bleepstore_s3_requests_total")
    named = {
        dict(labels)["bucket"]: value for labels, value in found.items() if "ListObjectsV2" in dict(labels).values()
    }
    assert named == {"counted-0": 3, "counted-1": 3, "counted-2": 3, "__other__": 15}


def test_a_dead_workers_gauges_are_gone_and_its_counts_are_not(server: RunningServer) -> None:
    client = server.client()
    client.create_bucket(Bucket="counted")
    _until(lambda: len(samples(scrape(server), "bleepstore_hub_lag_seconds")) == 2, "not both workers are there")
    before = samples(scrape(server), "bleepstore_s3_requests_total")
    for pid in server.worker_pids():
        os.kill(pid, signal.SIGSTOP)  # a request under way in each, as far as anybody could tell
    dead, left = server.worker_pids()
    os.kill(dead, signal.SIGKILL)
    os.kill(left, signal.SIGCONT)
    _until(lambda: dead not in server.worker_pids() and len(server.worker_pids()) == 2, "no successor")
    _until(lambda: len(samples(scrape(server), "bleepstore_hub_lag_seconds")) == 2, "no successor's gauge")
    lags = samples(scrape(server), "bleepstore_hub_lag_seconds")
    assert sorted(dict(labels)["worker"] for labels in lags) == ["0", "1"]
    assert samples(scrape(server), "bleepstore_s3_requests_total") == before


def test_a_worker_that_stands_still_is_late(server: RunningServer) -> None:
    """It says nothing of itself; its lag grows all the same, and another worker's does not."""
    _until(lambda: len(samples(scrape(server), "bleepstore_hub_lag_seconds")) == 2, "not both workers are there")
    stopped = server.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        time.sleep(1.5)
        lags = sorted(samples(_scraped_by_another(server), "bleepstore_hub_lag_seconds").values())
        assert lags[0] < 1.0 < lags[1]
    finally:
        os.kill(stopped, signal.SIGCONT)


def _scraped_by_another(server: RunningServer) -> str:
    """Connections that the stopped worker has taken are not answered; the next one may be."""
    for _ in range(20):
        try:
            with urllib.request.urlopen(f"{server.endpoint}/metrics", timeout=0.5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            continue
    raise AssertionError("nobody answers")


def test_counts_never_go_back_across_reloads_and_deaths(server: RunningServer) -> None:
    client = server.client(retries={"max_attempts": 4})
    client.create_bucket(Bucket="counted")
    before = _counters(scrape(server))
    for disturb in (signal.SIGHUP, None, signal.SIGHUP):
        for _ in range(5):
            client.list_objects_v2(Bucket="counted")
        _replace(server, by=disturb)
        after = _counters(scrape(server))
        assert {key: value for key, value in before.items() if after.get(key, -1.0) < value} == {}
        before = after
    assert _labelled(scrape(server), "s3_operations_total", operation="ListObjectsV2", status="200") == 15


def _replace(server: RunningServer, by: signal.Signals | None) -> None:
    """One worker by SIGKILL, or all of them by a signal to the master."""
    pids = server.worker_pids()
    if by is None:
        os.kill(pids[0], signal.SIGKILL)
        _until(lambda: pids[0] not in server.worker_pids(), "it lives")
    else:
        os.kill(server.pid, by)
        _until(lambda: not set(pids) & set(server.worker_pids()), "no reload")
    server.wait_until_ready()


def _counters(text: str) -> dict[str, float]:
    found = re.findall(r"^(bleepstore_\S+_(?:total|count|sum|bucket)(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    gauges = ("bleepstore_process", "bleepstore_bucket", "bleepstore_objects", "bleepstore_disk")
    return {name: float(value) for name, value in found if not name.startswith(gauges)}


def test_every_family_is_there_from_the_start_and_well_formed(server: RunningServer) -> None:
    text = scrape(server)
    for family in FAMILIES:
        kind, name = family.kind, PREFIX + family.name
        assert f"# TYPE {name} {kind}\n" in text
        assert re.search(rf"^# HELP {name} \S", text, re.MULTILINE), name
    checked = subprocess.run([require_promtool(), "check", "metrics"], input=text, capture_output=True, text=True)
    ours = [line for line in checked.stderr.splitlines() if any(PREFIX + each.name in line for each in FAMILIES)]
    assert checked.returncode in (0, 3), checked.stderr  # 3: it read all of it, and would name something otherwise
    assert ours == []


def test_openmetrics_is_given_to_those_who_ask_for_it(server: RunningServer) -> None:
    asked = urllib.request.Request(
        f"{server.endpoint}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    assert text.endswith("# EOF\n")
    assert "# TYPE bleepstore_http_requests counter\n" in text


def test_stages_of_authentication_are_sampled(start_server: StartServer) -> None:
    server = start_server()
    client = server.client()
    client.create_bucket(Bucket="counted")
    for _ in range(130):
        client.list_objects_v2(Bucket="counted")
    found = samples(scrape(server), "bleepstore_auth_duration_seconds_count")
    assert {dict(labels)["stage"]: value for labels, value in found.items()} == dict.fromkeys(
        ("parse", "key", "canonical", "compare"), 2
    )
