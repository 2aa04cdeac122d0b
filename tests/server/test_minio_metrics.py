"""MinIO's metric pages: its names, our numbers, nothing that we do not know."""

from __future__ import annotations

import re

import pytest

from tests.conftest import StartServer
from tests.server.test_listeners import IN_MEMORY, ask, bearer, status
from tests.server.test_scrape import Sample, scraped
from tests.servers import RunningServer


def page(server: RunningServer, name: str) -> dict[Sample, float]:
    return scraped(server, f"/minio/v2/metrics/{name}")


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    found = [
        number
        for (each, given), number in samples.items()
        if each == f"minio_{name}" and labels.items() <= dict(given).items()
    ]
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


@pytest.fixture
def used(start_server: StartServer) -> RunningServer:
    server = start_server(workers=2)
    s3 = server.client()
    s3.create_bucket(Bucket="photos")
    for number in range(3):
        s3.put_object(Bucket="photos", Key=f"k{number}", Body=bytes(1_000))
    s3.get_object(Bucket="photos", Key="k1")["Body"].read()
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="photos", Key="never")
    s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "k0"}]})
    return server


def test_the_cluster_page_has_capacity_usage_and_requests(used: RunningServer) -> None:
    samples = page(used, "cluster")
    assert value(samples, "cluster_usage_object_total") == 2
    assert value(samples, "cluster_usage_total_bytes") == 2_000
    assert value(samples, "cluster_bucket_total") == value(samples, "cluster_buckets_total") == 1
    assert (
        value(samples, "cluster_capacity_usable_total_bytes") > value(samples, "cluster_capacity_usable_free_bytes") > 0
    )
    assert (value(samples, "cluster_nodes_online_total"), value(samples, "cluster_nodes_offline_total")) == (1, 0)
    assert value(samples, "s3_requests_total", api="putobject") == 3
    assert value(samples, "s3_requests_total", api="getobject") == 2
    assert value(samples, "s3_requests_total", api="deletemultipleobjects") == 1
    assert value(samples, "s3_requests_errors_total", api="getobject") == 1
    assert value(samples, "s3_requests_4xx_errors_total", api="getobject") == 1
    assert value(samples, "s3_requests_5xx_errors_total", api="getobject") == 0
    assert value(samples, "s3_requests_errors_total", api="putobject") == 0
    assert value(samples, "s3_requests_ttfb_seconds_distribution", api="putobject", le="+Inf") == 3
    assert value(samples, "s3_ttfb_seconds_distribution", api="putobject", le="+Inf") == 3
    assert value(samples, "s3_traffic_received_bytes") >= 3_000
    assert value(samples, "s3_traffic_sent_bytes") >= 1_000


def test_the_node_page_has_processes_and_disks(used: RunningServer) -> None:
    samples = page(used, "node")
    assert value(samples, "node_process_resident_memory_bytes") > 20e6
    assert 0 <= value(samples, "node_process_uptime_seconds") < 60
    assert value(samples, "node_file_descriptor_open_total") > 10
    total, free = (value(samples, f"node_drive_{name}_bytes", drive="storage") for name in ("total", "free"))
    assert value(samples, "node_drive_used_bytes", drive="storage") == total - free
    assert value(samples, "s3_requests_total", api="putbucket") == 1


def test_the_bucket_page_has_usage_and_requests(used: RunningServer) -> None:
    samples = page(used, "bucket")
    assert value(samples, "bucket_usage_object_total", bucket="photos") == 2
    assert value(samples, "bucket_usage_total_bytes", bucket="photos") == 2_000
    assert value(samples, "bucket_requests_total", bucket="photos", api="putobject") == 3
    assert value(samples, "bucket_requests_4xx_errors_total", bucket="photos", api="getobject") == 1


def test_every_family_is_typed_by_its_own_name_and_names_the_server(used: RunningServer) -> None:
    for name in ("cluster", "node", "bucket"):
        text = ask(used.port, f"/minio/v2/metrics/{name}")[2].decode()
        typed = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
        given = [line for line in text.splitlines() if not line.startswith("#")]
        assert len(typed) == len(set(typed))
        assert {line.partition("{")[0] for line in given} == set(typed)
        assert all(f'server="127.0.0.1:{used.port}"' in line for line in given)
        assert all(line.startswith("minio_") for line in given)


def test_the_token_is_ours_and_without_one_any_is_let_in(start_server: StartServer) -> None:
    path = "/minio/v2/metrics/cluster"
    free = start_server(*IN_MEMORY)
    assert status(free.port, path) == status(free.port, path, headers=bearer("eyJhbGciOi.of.mc")) == 200
    assert b"NoSuchBucket" in ask(free.port, "/minio/v2/metrics/resource")[2], "an object's path, as it was"
    guarded = start_server(*IN_MEMORY, "--observability.metrics_token", "ours")
    assert status(guarded.port, path) == status(guarded.port, path, headers=bearer("eyJhbGciOi.of.mc")) == 401
    assert status(guarded.port, path, headers=bearer("ours")) == 200


def test_switched_off_nothing_is_there(start_server: StartServer) -> None:
    server = start_server(*IN_MEMORY, "--observability.metrics", "false")
    assert status(server.port, "/minio/v2/metrics/node") == 404
