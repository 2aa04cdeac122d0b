"""The image as people run it: `docker run`, any user, any volume, health, stop and kill."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.components import require_engine
from tests.image.conftest import ACCESS_KEY, SECRET_KEY, Container, Run, docker, wait_until_answered, writable_by_all
from tests.servers import free_port

pytestmark = pytest.mark.image

OWN_LAYERS_MAX_BYTES = 90_000_000
BODY = bytes(range(256)) * 1_000  # above the inline limit: rows and files both are used


def put_and_get(container: Container, key: str = "k") -> None:
    s3 = container.client()
    if "in-a-container" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="in-a-container")
    s3.put_object(Bucket="in-a-container", Key=key, Body=BODY)
    assert s3.get_object(Bucket="in-a-container", Key=key)["Body"].read() == BODY


def wait_for_health(container: Container, wanted: str, timeout_s: float = 60) -> None:
    give_up_s = time.monotonic() + timeout_s
    while (found := container.inspect("{{.State.Health.Status}}")) != wanted:
        assert time.monotonic() < give_up_s, f"{found}: {container.inspect('{{json .State.Health}}')}"
        time.sleep(0.5)


def finished(container: Container, timeout_s: float = 60) -> int:
    return int(docker("wait", container.id, timeout_s=timeout_s))


def test_own_layers_are_small(image: str) -> None:
    """Those that the Dockerfile adds: the first with a size from below is the base image's."""
    sizes = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image)
    own = [int(line.split()[0]) for line in sizes.splitlines()[:-1]]
    assert 1_000_000 < sum(own) < OWN_LAYERS_MAX_BYTES


def test_the_image_says_what_it_is(image: str) -> None:
    (found,) = json.loads(docker("inspect", image))
    config = found["Config"]
    assert config["Labels"]["org.opencontainers.image.title"] == "BleepStore"
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config["User"] not in ("", "0", "root")
    assert config["StopSignal"] == "SIGTERM"
    assert "9000/tcp" in config["ExposedPorts"]
    assert config["Healthcheck"]["Test"] == ["CMD", "bleepstore", "healthcheck"]


def test_no_tools_to_build_with_are_inside(run: Run) -> None:
    container = run()
    wait_until_answered(container)
    for tool in ("gcc", "cc", "make", "strip", "git"):
        found = subprocess.run(
            [require_engine(), "exec", container.id, "sh", "-c", f"command -v {tool}"], capture_output=True, check=False
        )
        assert found.returncode != 0, tool
    assert "No module named pip" in subprocess.run(
        [require_engine(), "exec", container.id, "/opt/bleepstore/bin/python", "-m", "pip"],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip


def test_it_serves_and_becomes_healthy(run: Run) -> None:
    container = run()
    wait_until_answered(container)
    put_and_get(container)
    wait_for_health(container, "healthy")


@pytest.mark.parametrize("user", ["4711:4711", "0:0", "1000710000:0"])
def test_any_user_will_do_with_nothing_else_writable(run: Run, user: str) -> None:
    container = run("--read-only", "--user", user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    wait_until_answered(container)
    put_and_get(container)


def test_a_directory_of_the_host_is_used_as_it_is(run: Run, tmp_path: Path) -> None:
    data = writable_by_all(tmp_path / "data")
    first = run("-v", f"{data}:/data")
    wait_until_answered(first)
    put_and_get(first)
    assert (data / "metadata.db").exists()
    docker("kill", first.id)
    second = run("-v", f"{data}:/data")
    wait_until_answered(second)
    assert second.client().get_object(Bucket="in-a-container", Key="k")["Body"].read() == BODY


def test_a_directory_that_it_may_not_write_is_named_in_one_line(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    container = run("-v", f"{data}:/data", "--user", "4711:4711")
    assert finished(container) == 1
    lines = [line for line in container.logs().splitlines() if "cannot start" in line]
    assert len(lines) == 1, container.logs()
    assert "/data" in lines[0]
    assert "Permission denied" in lines[0]
    assert "Traceback" not in container.logs()


def test_without_credentials_it_does_not_start_for_everybody(run: Run) -> None:
    container = run(BLEEPSTORE_AUTH_SECRET_KEY="", BLEEPSTORE_AUTH_ACCESS_KEY="")
    assert finished(container) == 2
    assert "BLEEPSTORE_AUTH_SECRET_KEY" in container.logs()


def test_stop_ends_it_in_order_and_kill_loses_nothing(run: Run) -> None:
    container = run()
    wait_until_answered(container)
    put_and_get(container)
    began_s = time.monotonic()
    docker("stop", "-t", "30", container.id)
    assert time.monotonic() - began_s < 15
    assert container.inspect("{{.State.ExitCode}}") == "0"
    for number in range(3):
        docker("start", container.id)
        wait_until_answered(container)
        put_and_get(container, f"k{number}")
        docker("kill", container.id)
    docker("start", container.id)
    wait_until_answered(container)
    keys = [each["Key"] for each in container.client().list_objects_v2(Bucket="in-a-container")["Contents"]]
    assert keys == ["k", "k0", "k1", "k2"]


def test_other_commands_are_there(run: Run) -> None:
    container = run()
    wait_until_answered(container)
    put_and_get(container)
    assert "errors 0" in docker("exec", container.id, "bleepstore", "fsck")
    assert docker("exec", container.id, "bleepstore", "version").startswith("bleepstore ")


def test_a_container_for_minio_takes_it_as_it_is(run: Run) -> None:
    """By MinIO's variables, command and health path."""
    port = free_port()
    container = run(
        command=("server", "/data", "--address", f":{port}", "--console-address", ":9001"),
        BLEEPSTORE_AUTH_ACCESS_KEY="", BLEEPSTORE_AUTH_SECRET_KEY="", BLEEPSTORE_SERVER_PORT="",
        MINIO_ROOT_USER=ACCESS_KEY, MINIO_ROOT_PASSWORD=SECRET_KEY,
    )  # fmt: skip
    container.port = port
    wait_until_answered(container)
    put_and_get(container)
    with urllib.request.urlopen(f"{container.endpoint}/minio/health/ready", timeout=10) as answer:
        assert answer.status == 200
