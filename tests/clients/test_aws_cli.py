"""The AWS CLI: `aws s3api` for every operation, and `aws s3` with its transfers."""

from __future__ import annotations

import os
import secrets
import urllib.request
from pathlib import Path

import pytest

from tests.clients import DOMAIN
from tests.clients.drivers import AwsCli, resolving
from tests.clients.scenarios import ODD_KEY, RECENT_SCENARIOS, SCENARIOS, Refused, Scenario
from tests.servers import RunningServer


@pytest.fixture
def aws(service: RunningServer, tmp_path: Path) -> AwsCli:
    return AwsCli(service, tmp_path)


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RECENT_SCENARIOS], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, aws: AwsCli, bucket: str) -> None:
    scenario(aws, bucket)


# -- aws s3


def listed(aws: AwsCli, *arguments: str) -> list[str]:
    """The last column of `aws s3 ls`."""
    return [line.split(maxsplit=3)[-1] for line in aws.run("s3", "ls", *arguments).decode().splitlines()]


def test_buckets_are_made_listed_and_removed(aws: AwsCli, bucket: str) -> None:
    name = f"{bucket}-own"
    assert b"make_bucket" in aws.run("s3", "mb", f"s3://{name}")
    assert name in [line.split()[-1] for line in aws.run("s3", "ls").decode().splitlines()]
    aws.run("s3", "cp", "-", f"s3://{name}/k", stdin=b"x")
    with pytest.raises(Refused, match="BucketNotEmpty"):
        aws.run("s3", "rb", f"s3://{name}")
    aws.run("s3", "rb", "--force", f"s3://{name}")
    assert name not in aws.run("s3", "ls").decode()


def test_files_are_copied_both_ways_and_on_the_server(aws: AwsCli, bucket: str, tmp_path: Path) -> None:
    body = secrets.token_bytes(20 * 1024 * 1024 + 1)  # the CLI sends 8 MiB a part
    (tmp_path / "large").write_bytes(body)
    aws.run("s3", "cp", "large", f"s3://{bucket}/{ODD_KEY}", "--metadata", "a=1", "--content-type", "text/x")
    head = aws("HeadObject", Bucket=bucket, Key=ODD_KEY)
    assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (len(body), {"a": "1"}, "text/x")
    assert head["ETag"].endswith('-3"')
    aws.run("s3", "cp", f"s3://{bucket}/{ODD_KEY}", f"s3://{bucket}/copy")
    aws.run("s3", "mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    aws.run("s3", "cp", f"s3://{bucket}/moved", "received")
    assert (tmp_path / "received").read_bytes() == body
    assert listed(aws, "--recursive", f"s3://{bucket}/") == [ODD_KEY, "moved"]
    with pytest.raises(Refused, match="404"):
        aws.run("s3", "cp", f"s3://{bucket}/copy", "received")


def test_pipes(aws: AwsCli, bucket: str) -> None:
    body = secrets.token_bytes(9 * 1024 * 1024)  # two parts
    aws.run("s3", "cp", "-", f"s3://{bucket}/k", stdin=body)
    assert aws.run("s3", "cp", f"s3://{bucket}/k", "-") == body


def test_trees_are_synchronised(aws: AwsCli, bucket: str, tmp_path: Path) -> None:
    tree = {"a.txt": b"a", "dir/b c.txt": b"b", "dir/deep/ü.txt": b"", "x.log": b"log"}
    for name, content in tree.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_600_000_000, 1_600_000_000))  # S3 tells seconds: what is newer is by a second at least
    there = f"s3://{bucket}/backup"
    assert aws.run("s3", "sync", "tree", there, "--no-progress").count(b"upload:") == 4
    assert aws.run("s3", "sync", "tree", there) == b"", "nothing has changed"
    assert listed(aws, f"{there}/") == ["dir/", "a.txt", "x.log"]
    aws.run("s3", "cp", there, "back", "--recursive", "--exclude", "*.log")
    assert {str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.*")} == {
        name for name in tree if not name.endswith(".log")
    }
    (tmp_path / "tree/a.txt").unlink()
    (tmp_path / "tree/x.log").write_bytes(b"more")
    done = aws.run("s3", "sync", "tree", there, "--delete", "--no-progress").decode()
    assert sorted(line.split(":")[0] for line in done.splitlines()) == ["delete", "upload"]
    aws.run("s3", "sync", there, f"s3://{bucket}/second")
    aws.run("s3", "rm", there, "--recursive")
    assert listed(aws, f"s3://{bucket}/") == ["second/"]
    assert b"Total Objects: 3" in aws.run("s3", "ls", "--summarize", "--recursive", f"s3://{bucket}/")


def configured(home: Path, setting: str) -> dict[str, str]:
    """The environment with this line in the CLI's section for S3."""
    (home / "config").write_text(f"[default]\ns3 =\n  {setting}\n")
    return {"AWS_CONFIG_FILE": str(home / "config")}


def test_presigned_urls(aws: AwsCli, bucket: str, tmp_path: Path) -> None:
    aws.run("s3", "cp", "-", f"s3://{bucket}/{ODD_KEY}", stdin=b"x")
    environ = configured(tmp_path, "signature_version = s3v4")  # the CLI's version 1 would choose the oldest
    url = aws.run("s3", "presign", f"s3://{bucket}/{ODD_KEY}", "--expires-in", "60", environ=environ).decode().strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"x"


def test_the_bucket_may_be_in_the_host_name(service: RunningServer, bucket: str, tmp_path: Path) -> None:
    aws = AwsCli(service, tmp_path, endpoint=f"http://{DOMAIN}:{service.port}")
    environ = resolving() | configured(tmp_path, "addressing_style = virtual")
    aws.run("s3", "cp", "-", f"s3://{bucket}/{ODD_KEY}", stdin=b"x", environ=environ)
    assert aws.run("s3", "cp", f"s3://{bucket}/{ODD_KEY}", "-", environ=environ) == b"x"
