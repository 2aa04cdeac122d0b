"""docker-compose.yaml, started as it is but for the network: the host's, as all containers of these tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.components import require
from tests.image.conftest import Container, wait_until_answered
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
