"""docker-compose.yaml, and one that was written for MinIO, started as they are but for the network: the host's, as all
containers of these tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.components import require, require_engine, require_mc
from tests.image.conftest import Container, docker, wait_until_answered
from tests.servers import ROOT, boto_client, free_port

pytestmark = pytest.mark.image

SECRET_KEY = "compose-secret-key-0123"


@pytest.fixture
def composed(image: str, tmp_path: Path) -> Iterator[Container]:
    document = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    service, port = document["services"]["s3"], free_port()
    del service["ports"], service["build"]
    service["network_mode"] = "host"
    service["environment"]["BLEEPSTORE_SERVER_PORT"] = str(port)
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(document))
    command = [require("docker-compose"), "-p", f"bleepstore-test-{port}", "-f", str(file)]
    environ = os.environ | {"BLEEPSTORE_IMAGE": image, "BLEEPSTORE_SECRET_KEY": SECRET_KEY}
    subprocess.run([*command, "up", "-d"], env=environ, check=True, capture_output=True, timeout=120)
    try:
        ids = subprocess.run([*command, "ps", "-q"], env=environ, check=True, capture_output=True, text=True).stdout
        yield Container(ids.strip(), port)
    finally:
        subprocess.run([*command, "down", "-v"], env=environ, check=True, capture_output=True, timeout=120)


def test_the_example_serves_and_keeps_what_it_was_given(composed: Container) -> None:
    wait_until_answered(composed)
    s3 = boto_client(composed.endpoint, "bleepstore", SECRET_KEY)
    s3.create_bucket(Bucket="composed")
    s3.put_object(Bucket="composed", Key="k", Body=b"kept")
    assert s3.get_object(Bucket="composed", Key="k")["Body"].read() == b"kept"
    assert composed.inspect("{{.HostConfig.ReadonlyRootfs}}") == "true"


def test_the_example_asks_for_a_secret_key() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BLEEPSTORE_")}
    done = subprocess.run(
        [require("docker-compose"), "-f", str(ROOT / "docker-compose.yaml"), "config"],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "BLEEPSTORE_SECRET_KEY" in done.stderr


# -- A file that was written for MinIO ---------------------------------------------------------------------------

MINIO = Path(__file__).parent / "minio"
# Each of these is in many such files: the health check, and a bucket made by the entrypoint.
CHECKS = {
    "curl": ["CMD", "curl", "-f", "http://localhost:9000/minio/health/live"],
    "curl in a shell": ["CMD-SHELL", "curl -sf http://127.0.0.1:9000/minio/health/ready || exit 1"],
    "mc": ["CMD", "mc", "ready", "local"],
    "bash": ["CMD-SHELL", "timeout 5s bash -c ':> /dev/tcp/127.0.0.1/9000' || exit 1"],
}


@pytest.fixture(scope="module")
def images(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the file's images are here. The server's is the one line that whoever changes over changes."""
    context = tmp_path_factory.mktemp("mc")
    shutil.copy(require_mc(), context / "mc")
    (context / "Dockerfile").write_text("FROM python:3.12-slim\nCOPY mc /usr/bin/mc\nRUN chmod 0755 /usr/bin/mc\n")
    docker("build", "--network=host", "-t", "bleepstore-tested-mc", str(context))
    context = tmp_path_factory.mktemp("app")
    shutil.copy(MINIO / "app.py", context / "app.py")
    lines = [
        f"FROM {image}",
        "COPY app.py /app.py",
        'ENTRYPOINT ["/opt/bleepstore/bin/python", "/app.py"]',
        "CMD []",
        "HEALTHCHECK NONE",
    ]
    (context / "Dockerfile").write_text("\n".join(lines))
    docker("build", "--network=host", "-t", "bleepstore-tested-app", str(context))
    return {
        "minio/minio:latest": image,
        "minio/mc:latest": "bleepstore-tested-mc",
        "app:latest": "bleepstore-tested-app",
    }


@pytest.mark.parametrize("check", CHECKS)
def test_a_compose_file_for_minio_runs_with_another_image(images: dict[str, str], tmp_path: Path, check: str) -> None:
    document = yaml.safe_load((MINIO / "docker-compose.yaml").read_text())
    document["services"]["minio"]["healthcheck"]["test"] = CHECKS[check]
    with up(document, images, tmp_path) as compose:
        said = compose("logs", "--no-color", "app")
        assert "the application is content" in said, said
        assert compose.status(":9001/docs") == 200


def test_a_bucket_made_by_the_entrypoint(images: dict[str, str], tmp_path: Path) -> None:
    document = yaml.safe_load((MINIO / "docker-compose.yaml").read_text())
    server = document["services"]["minio"]
    del server["command"]
    server["entrypoint"] = ["sh", "-c", "mkdir -p /data/uploads && /usr/bin/minio server /data"]
    makes = document["services"]["createbuckets"]
    makes["entrypoint"] = makes["entrypoint"].replace("/usr/bin/mc mb --ignore-existing myminio/uploads;", "")
    with up(document, images, tmp_path) as compose:
        assert "the application is content" in compose("logs", "--no-color", "app")


@dataclass
class Compose:
    command: list[str]
    ports: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self, place: str) -> int:
        port, path = place[1:].split("/", 1)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}/{path}", timeout=20) as answer:
            return int(answer.status)


@contextmanager
def up(document: dict[str, Any], images: dict[str, str], directory: Path) -> Iterator[Compose]:
    """The file started, its last container ended. Of the file itself only what the host's network asks for is another:
    ports that are free here, and a host's name that the engine's own network would have known."""
    ports = {"9000": str(free_port()), "9001": str(free_port())}
    for service in document["services"].values():
        service["image"] = images[service["image"]]
        service["network_mode"], service["extra_hosts"] = "host", ["minio:127.0.0.1"]
        service.pop("ports", None)
        service.setdefault("environment", {})["BLEEPSTORE_SERVER_PORT"] = ports["9000"]
    text = re.sub(r"(?<=[:/])900[01]\b", lambda found: ports[found.group()], yaml.safe_dump(document, width=1_000))
    file = directory / "compose.yaml"
    file.write_text(text)
    compose = Compose([require("docker-compose"), "-p", f"bleepstore-minio-{ports['9000']}", "-f", str(file)], ports)
    try:
        compose("up", "-d")
        subprocess.run(
            [require_engine(), "wait", compose("ps", "-q", "app").strip()], check=True, capture_output=True, timeout=60
        )
        yield compose
    finally:
        compose("down", "-v")
