"""The audit log and trusted proxies, on a real server with two workers."""

from __future__ import annotations

import json
import logging
import os
import time
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.observe.audit import AuditFile
from tests.conftest import StartServer
from tests.s3 import raw
from tests.servers import RunningServer


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(path: Path, count: int) -> list[dict[str, Any]]:
    give_up_s = time.monotonic() + 10
    while len(found := lines(path)) < count:
        assert time.monotonic() < give_up_s, found
        time.sleep(0.01)
    return found


@pytest.fixture
def audited(start_server: StartServer, tmp_path: Path) -> RunningServer:
    return start_server(
        "--observability.audit_file", str(tmp_path / "audit.log"), "--server.trusted_proxies", "127.0.0.0/8", workers=2
    )


def test_every_request_is_there_once_with_who_did_what(audited: RunningServer, tmp_path: Path) -> None:
    s3 = audited.client()
    s3.create_bucket(Bucket="audited")
    for number in range(50):
        s3.put_object(Bucket="audited", Key=f'k {number} "é"\n', Body=b"12345")
    for _ in range(3):
        s3.get_object(Bucket="audited", Key='k 0 "é"\n')["Body"].read()
    with pytest.raises(ClientError):
        s3.get_object(Bucket="audited", Key="missing")
    assert raw.request(audited, "GET", "/audited/k?secret=x", is_anonymous=True).status == 403
    found = wait_for(tmp_path / "audit.log", 56)
    assert len(found) == 56
    assert len({each["request_id"] for each in found}) == 56
    put = next(each for each in found if each.get("key") == 'k 7 "é"\n')
    assert (put["operation"], put["method"], put["status"], put["bytes_in"]) == ("PutObject", "PUT", 200, 5)
    assert (put["principal"], put["access_key"], put["remote_address"]) == ("root", audited.access_key, "127.0.0.1")
    refused = [each for each in found if each["status"] >= 400]
    assert sorted(each["code"] for each in refused) == ["AccessDenied", "NoSuchKey"]
    assert sum(each["operation"] == "GetObject" and each["status"] == 200 for each in found) == 3
    text = (tmp_path / "audit.log").read_text()
    for never in (audited.secret_key, "secret=x", "Signature", "AWS4"):
        assert never not in text


def test_a_file_that_is_moved_away_is_followed_by_a_new_one(audited: RunningServer, tmp_path: Path) -> None:
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    s3 = audited.client()
    s3.create_bucket(Bucket="rotated")
    wait_for(path, 1)
    os.rename(path, old)
    time.sleep(1.1)  # so long a worker may keep the old file
    for number in range(40):
        s3.put_object(Bucket="rotated", Key=f"k{number}", Body=b"x")
    wait_for(path, 40)
    assert len(lines(old)) == 1


def test_the_log_says_who_is_behind_a_proxy_and_believes_no_other(audited: RunningServer, tmp_path: Path) -> None:
    s3 = audited.client()
    s3.create_bucket(Bucket="proxied")
    s3.put_object(Bucket="proxied", Key="k", Body=b"x")
    for forwarded in ("6.6.6.6, 203.0.113.9", "203.0.113.9", "203.0.113.9"):
        raw.request(
            audited,
            "GET",
            "/proxied/k",
            keys=(audited.access_key, audited.secret_key),
            headers={"X-Forwarded-For": forwarded},
        )
    found = wait_for(tmp_path / "audit.log", 5)
    assert [each["remote_address"] for each in found if each["operation"] == "GetObject"] == ["203.0.113.9"] * 3
    assert "remote_address=203.0.113.9" in audited.log()


def test_a_file_that_cannot_be_written_stops_no_request(tmp_path: Path) -> None:
    now_s = 100.0
    audit = AuditFile(str(tmp_path / "missing" / "audit.log"), monotonic=lambda: now_s)
    # A handler of the test's own: what earlier tests have made of the loggers above is no matter here.
    kept, logger = BufferingHandler(100), logging.getLogger("bleepstore.observe")
    logger.addHandler(kept)
    try:
        for _ in range(3):
            audit.write(b"line\n")
    finally:
        logger.removeHandler(kept)
    assert audit.lost == 3
    assert [record.getMessage() for record in kept.buffer].count("audit.failed") == 1
    (tmp_path / "missing").mkdir()
    now_s += 2
    audit.write(b"line\n")
    assert (tmp_path / "missing" / "audit.log").read_bytes() == b"line\n"
