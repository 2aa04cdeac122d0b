"""What a scrape reads: the store's numbers are exact at every moment, the processes' are those of the workers that live."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartServer
from tests.server.conftest import eventually
from tests.servers import RunningServer

IN_MEMORY = ("--metadata.engine", "memory", "--storage.backend", "memory")
Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels]


def scraped(server: RunningServer, path: str = "/metrics") -> dict[Sample, float]:
    """Every sample by name without the prefix and labels."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return {
        (sample.name.removeprefix("bleepstore_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_bucket(samples: dict[Sample, float], bucket: str) -> tuple[float, float, float]:
    """Objects, versions, bytes."""
    values = [samples[f"bucket_{name}", (("bucket", bucket),)] for name in ("objects", "versions", "bytes")]
    return values[0], values[1], values[2]


def single(samples: dict[Sample, float], name: str) -> float:
    return samples[name, ()]


@pytest.mark.parametrize("engine", ["sqlite", "memory"])
def test_usage_is_exact_after_every_request(start_server: StartServer, engine: str) -> None:
    server = start_server(*(IN_MEMORY if engine == "memory" else ()), workers=1 if engine == "memory" else 2)
    s3 = server.client()

    def has(*expected: float, bucket: str = "photos") -> bool:
        return found(bucket) == expected

    def found(bucket: str) -> tuple[float, float, float] | None:
        samples = scraped(server)
        return of_bucket(samples, bucket) if ("bucket_bytes", (("bucket", bucket),)) in samples else None

    assert single(scraped(server), "buckets_total") == 0
    s3.create_bucket(Bucket="photos")
    assert has(0, 0, 0)
    s3.put_object(Bucket="photos", Key="a", Body=bytes(1_000))
    s3.put_object(Bucket="photos", Key="b", Body=bytes(100_000))
    assert has(2, 2, 101_000)
    s3.put_object(Bucket="photos", Key="a", Body=bytes(10))
    s3.copy_object(Bucket="photos", Key="c", CopySource="photos/b")
    assert has(3, 3, 200_010)
    s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "a"}, {"Key": "c"}, {"Key": "never"}]})
    assert has(1, 1, 100_000)
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="photos", Key="b", Body=bytes(5))["VersionId"]
    s3.put_object(Bucket="photos", Key="b", Body=bytes(7))
    assert has(1, 3, 100_012)
    marker = s3.delete_object(Bucket="photos", Key="b")["VersionId"]
    assert has(0, 3, 100_012), "a delete marker is no version that has bytes"
    s3.delete_object(Bucket="photos", Key="b", VersionId=marker)
    s3.delete_object(Bucket="photos", Key="b", VersionId=first)
    assert has(1, 2, 100_007)
    s3.create_bucket(Bucket="films")
    upload = s3.create_multipart_upload(Bucket="films", Key="m")["UploadId"]
    part = s3.upload_part(Bucket="films", Key="m", UploadId=upload, PartNumber=1, Body=bytes(300_000))
    assert has(0, 0, 0, bucket="films")
    assert single(scraped(server), "multipart_uploads_open") == 1
    s3.complete_multipart_upload(
        Bucket="films", Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert has(1, 1, 300_000, bucket="films")
    samples = scraped(server)
    assert [single(samples, name) for name in ("buckets_total", "objects_total", "multipart_uploads_open")] == [2, 2, 0]
    s3.delete_object(Bucket="films", Key="m")
    s3.delete_bucket(Bucket="films")
    assert single(scraped(server), "buckets_total") == 1
    assert found("films") is None


def test_only_the_largest_buckets_have_labels_and_the_rest_are_summed(start_server: StartServer) -> None:
    server = start_server("--observability.bucket_labels_max", "2")
    s3 = server.client()
    for number, name in enumerate(("one", "two", "three", "four"), 1):
        s3.create_bucket(Bucket=f"{name}-bucket")
        s3.put_object(Bucket=f"{name}-bucket", Key="k", Body=bytes(100 * number))
    s3.put_object(Bucket="one-bucket", Key="more", Body=b"")
    samples = scraped(server)
    assert {labels[0][1] for name, labels in samples if name == "bucket_bytes"} == {
        "four-bucket",
        "three-bucket",
        "__other__",
    }
    assert of_bucket(samples, "__other__") == (3, 3, 300)
    assert (single(samples, "buckets_total"), single(samples, "objects_total")) == (4, 5)


def test_what_the_files_and_the_disk_have_is_told(start_server: StartServer) -> None:
    server = start_server()
    server.client().create_bucket(Bucket="photos")
    samples = scraped(server)
    assert single(samples, "sqlite_db_bytes") == (server.data_dir / "metadata.db").stat().st_size
    assert single(samples, "sqlite_wal_bytes") == (server.data_dir / "metadata.db-wal").stat().st_size > 0
    for disk in ("metadata", "storage"):
        free = samples["disk_free_bytes", (("disk", disk),)]
        assert abs(free - shutil.disk_usage(server.data_dir).free) < 1 << 30
        assert samples["disk_size_bytes", (("disk", disk),)] > free
        assert samples["inodes", (("disk", disk),)] >= samples["inodes_free", (("disk", disk),)]


def test_an_engine_without_files_has_none_of_their_metrics(start_server: StartServer) -> None:
    names = {name for name, _ in scraped(start_server(*IN_MEMORY))}
    assert not names & {"sqlite_db_bytes", "sqlite_wal_bytes"}
    assert "buckets_total" in names


def test_the_processes_are_the_workers_that_live(start_server: StartServer) -> None:
    server = start_server(workers=2)
    assert eventually(lambda: single(scraped(server), "workers") == 2)
    before = server.worker_pids()
    samples = scraped(server)
    for worker in ("0", "1"):
        assert 10e6 < samples["process_resident_memory_bytes", (("worker", worker),)] < 500e6
        assert 5 < samples["process_open_fds", (("worker", worker),)] < 200
        assert samples["process_cpu_seconds_total", (("worker", worker),)] >= 0
    began_s = single(samples, "process_start_time_seconds")
    assert time.time() - 60 < began_s <= time.time()
    os.kill(before[0], signal.SIGKILL)
    assert eventually(lambda: len(server.worker_pids()) == 2 and before[0] not in server.worker_pids())
    assert eventually(lambda: single(scraped(server), "workers") == 2)
    samples = scraped(server)
    assert {labels for name, labels in samples if name == "process_open_fds"} == {
        (("worker", "0"),),
        (("worker", "1"),),
    }
    assert single(samples, "process_start_time_seconds") == began_s, "a new worker is no new server"


def test_many_scrapes_at_once_are_answered_and_requests_go_on(start_server: StartServer) -> None:
    server = start_server()
    server.client().create_bucket(Bucket="photos")
    answers: list[dict[Sample, float]] = []
    threads = [threading.Thread(target=lambda: answers.append(scraped(server))) for _ in range(40)]
    for thread in threads:
        thread.start()
    server.client().put_object(Bucket="photos", Key="k", Body=b"x")
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    assert all(("buckets_total", ()) in answer for answer in answers)
    assert single(scraped(server), "objects_total") == 1


def test_a_reading_that_fails_takes_nothing_else_with_it(start_server: StartServer) -> None:
    server = start_server()
    server.client().create_bucket(Bucket="photos")
    shutil.rmtree(Path(server.data_dir) / "objects")
    samples: dict[Any, float] = scraped(server)
    assert ("disk_free_bytes", (("disk", "storage"),)) not in samples
    assert ("disk_free_bytes", (("disk", "metadata"),)) in samples
    assert single(samples, "buckets_total") == 1


def test_usage_is_what_can_be_listed_after_a_storm_with_deaths(start_server: StartServer) -> None:
    """Two workers write to the same buckets, and one after the other is killed amid its commits."""
    server = start_server(workers=2)
    s3 = server.client()
    for name in ("plain-bucket", "kept-bucket"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket="kept-bucket", VersioningConfiguration={"Status": "Enabled"})
    until_s = time.monotonic() + 4
    threads = [threading.Thread(target=_write, args=(server, number, until_s)) for number in range(8)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until_s - 1:
        time.sleep(0.7)
        os.kill(server.worker_pids()[0], signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert eventually(lambda: len(server.worker_pids()) == 2)
    samples, objects = scraped(server), 0.0
    for name in ("plain-bucket", "kept-bucket"):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=name)
        versions = [version for page in pages for version in page.get("Versions", ())]
        current = sum(version["IsLatest"] for version in versions)
        assert len(versions) > 20
        assert of_bucket(samples, name) == (current, len(versions), sum(version["Size"] for version in versions))
        objects += current
    assert single(samples, "objects_total") == objects


def _write(server: RunningServer, number: int, until_s: float) -> None:
    """Puts, overwrites and deletes of a few keys that others write too; who is cut off goes on."""
    s3, random = server.client(), Random(number)
    while time.monotonic() < until_s:
        name, key = random.choice(("plain-bucket", "kept-bucket")), f"k{random.randrange(60)}"
        with contextlib.suppress(ClientError, BotoCoreError):
            if random.random() < 0.7:
                s3.put_object(Bucket=name, Key=key, Body=bytes(random.choice((0, 10, 5_000, 100_000))))
            else:
                s3.delete_object(Bucket=name, Key=key)
