"""The image in the pods that the chart makes of it: their arguments, variables, files and rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.charts import Manifest, rendered
from tests.helm.pods import Sandbox
from tests.image.conftest import Container, docker, wait_until_answered
from tests.servers import boto_client, free_port

pytestmark = pytest.mark.image

USER = "1234567:1234567"  # as some clusters choose it: nobody knows it


@pytest.fixture
def pod(tmp_path: Path) -> Sandbox:
    """The server's; what was mounted belongs to another user."""
    chart = rendered(4, "loadtest")
    return Sandbox(chart, chart.pod, tmp_path / "pod", {}, in_place=True).fill()


def options(sandbox: Sandbox, container: Manifest) -> list[str]:
    """What a cluster would do with the container's description, in the words of `docker run`."""
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    words = ["--network=host", "--user", USER, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    read_only = {each["mountPath"] for each in container["volumeMounts"] if each.get("readOnly")}
    for path, directory in sandbox.mounts(container).items():
        if path not in read_only:
            Path(directory).chmod(0o777)  # as fsGroup does it
        words += ["-v", f"{directory}:{path}{':ro' if path in read_only else ''}"]
    for name, value in sandbox.environment(container, {}).items():
        words += ["-e", f"{name}={value}"]
    return words


def run_to_end(sandbox: Sandbox, container: Manifest, image: str, *more: str) -> str:
    program, *arguments = container["command"]
    return docker("run", "--rm", *options(sandbox, container), *more, "--entrypoint", program, image, *arguments)


@pytest.fixture
def server(pod: Sandbox, image: str) -> Iterator[Container]:
    port, metrics_port = free_port(), free_port()
    ports = ["-e", f"BLEEPSTORE_SERVER_PORT={port}", "-e", f"BLEEPSTORE_OBSERVABILITY_METRICS_BIND=:{metrics_port}"]
    container = pod.chart.container
    started = Container(docker("run", "-d", *options(pod, container), *ports, image, *container["args"]), port)
    wait_until_answered(started)
    yield started
    docker("rm", "-f", "-v", started.id, check=False)


def test_the_pod_of_the_chart_serves_and_passes_helm_test(server: Container, pod: Sandbox, image: str) -> None:
    root = boto_client(server.endpoint, "admin", "a-long-random-text")
    root.create_bucket(Bucket="photos")
    root.put_object(Bucket="photos", Key="cat", Body=b"meow" * 50_000)
    for each in (each for each in pod.chart.of("Pod") if "helm.sh/hook" in each["metadata"]["annotations"]):
        checks = Sandbox(pod.chart, each["spec"], pod.place / each["metadata"]["name"], {}, in_place=True).fill()
        said = run_to_end(checks, each["spec"]["containers"][0], image, "-e", f"S3_ENDPOINT={server.endpoint}")
        assert said.endswith(": fine")


def test_the_wait_before_the_end_works_in_the_image(server: Container) -> None:
    command = rendered(4, "default", kubernetes="1.29.0").container["lifecycle"]["preStop"]["exec"]["command"]
    docker("exec", server.id, *command)


def test_the_load_tests_get_the_servers_code(pod: Sandbox, image: str) -> None:
    spec = pod.chart.one("Job")["spec"]["template"]["spec"]
    load = Sandbox(pod.chart, spec, pod.place / "load", {}, in_place=True).fill()
    run_to_end(load, spec["initContainers"][0], image)
    assert (load.place / "code/app/auth/signing.py").is_file()
