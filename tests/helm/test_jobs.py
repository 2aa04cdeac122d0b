"""The pods beside the server: `helm test` and the load test, run as they stand against a server as the chart has it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.components import require_python
from tests.helm.charts import ROOT, Manifest, Rendered, rendered
from tests.helm.pods import Sandbox
from tests.servers import RunningServer, boto_client

KEYS = ("admin", "a-long-random-text")
TIMEOUT_S = 120

Process = subprocess.CompletedProcess[str]


@pytest.fixture
def chart() -> Rendered:
    return rendered(4, "loadtest")


@pytest.fixture
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    """What the release's service leads to."""
    return start_server(access_key=KEYS[0], secret_key=KEYS[1])


def run(sandbox: Sandbox, container: Manifest, endpoint: str, **more: str) -> Process:
    """A container of the pod, with its service at `endpoint`."""
    environ = sandbox.environment(container, {})
    environ |= {name: endpoint for name in ("S3_ENDPOINT", "LOCUST_HOST") if name in environ}
    environ |= {"PATH": os.environ["PATH"]} | more
    command = sandbox.command(container)
    return subprocess.run(command, env=environ, cwd=sandbox.place, capture_output=True, text=True, timeout=TIMEOUT_S)


def require_locust() -> None:
    """It is not imported here: it would patch this process."""
    if importlib.util.find_spec("locust") is None:
        require_python("locust")


def pods_of_helm_test(chart: Rendered) -> list[Manifest]:
    return [each for each in chart.of("Pod") if each["metadata"]["annotations"]["helm.sh/hook"] == "test"]


def test_helm_test_puts_gets_presigns_and_lists(chart: Rendered, server: RunningServer, tmp_path: Path) -> None:
    pods = pods_of_helm_test(chart)
    assert [each["spec"]["containers"][0]["command"][-1] for each in pods] == ["put-get", "presign", "list"]
    for pod in pods:
        sandbox = Sandbox(chart, pod["spec"], tmp_path / pod["metadata"]["name"], {}).fill()
        done = run(sandbox, pod["spec"]["containers"][0], server.endpoint)
        assert done.returncode == 0, done.stderr
    assert boto_client(server.endpoint, *KEYS).list_buckets()["Buckets"] == [], "what the tests made is left"


@pytest.mark.parametrize(
    ("flags", "environ", "found"),
    [
        pytest.param((), {"AWS_SECRET_ACCESS_KEY": "another"}, "SignatureDoesNotMatch", id="wrong key"),
        pytest.param(
            ("--auth.enabled", "false"), {}, "without a signature the object was given out", id="no signatures"
        ),
    ],
)
def test_helm_test_finds_a_server_that_is_not_right(
    flags: tuple[str, ...], environ: dict[str, str], found: str, chart: Rendered,
    start_server: Callable[..., RunningServer], tmp_path: Path,
) -> None:  # fmt: skip
    server = start_server(*flags, access_key=KEYS[0], secret_key=KEYS[1])
    (pod,) = [each for each in pods_of_helm_test(chart) if each["metadata"]["name"].endswith("presign")]
    sandbox = Sandbox(chart, pod["spec"], tmp_path / "pod", {}).fill()
    done = run(sandbox, pod["spec"]["containers"][0], server.endpoint, **environ)
    assert done.returncode != 0
    assert found in done.stderr


def test_helm_test_does_not_ask_an_open_server_for_refusals(
    start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    chart = rendered(4, "loadtest", "--set=config.auth.enabled=false")
    server = start_server("--auth.enabled", "false", access_key=KEYS[0], secret_key=KEYS[1])
    (pod,) = [each for each in pods_of_helm_test(chart) if each["metadata"]["name"].endswith("presign")]
    done = run(Sandbox(chart, pod["spec"], tmp_path / "pod", {}).fill(), pod["spec"]["containers"][0], server.endpoint)
    assert done.returncode == 0, done.stderr


def test_the_load_test_runs_as_its_job_has_it(chart: Rendered, server: RunningServer, tmp_path: Path) -> None:
    """All three containers, in order, over the same volumes. Locust finds the server's code in what the first one copied."""
    require_locust()
    spec = chart.one("Job")["spec"]["template"]["spec"]
    sandbox = Sandbox(chart, spec, tmp_path / "pod", {}).fill()
    code, wait = spec["initContainers"]
    for container in (code, wait):
        done = run(sandbox, container, server.endpoint, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "pod/code/app/auth/signing.py").is_file()
    locust = spec["containers"][0]
    done = run(sandbox, locust, server.endpoint, PYTHONPATH=search_path(sandbox, locust))
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Aggregated" in done.stdout + done.stderr
    for name in ("page of folders", "object 1 KiB"):
        assert name in done.stdout + done.stderr
    assert boto_client(server.endpoint, *KEYS).list_buckets()["Buckets"] == [], "what the load test made is left"


def search_path(sandbox: Sandbox, container: Manifest) -> str:
    """The container's, whose second entry holds a mount and is none itself."""
    (variable,) = [each["value"] for each in container["env"] if each["name"] == "PYTHONPATH"]
    mounts = {each["mountPath"]: sandbox.place / each["name"] for each in container["volumeMounts"]}
    code, load = variable.split(":")
    assert mounts[f"{load}/loadtests"].name == "loadtests"
    return f"{mounts[code]}:{sandbox.place}"


def test_a_load_that_fails_is_a_job_that_fails(chart: Rendered, server: RunningServer, tmp_path: Path) -> None:
    require_locust()
    spec = chart.one("Job")["spec"]["template"]["spec"]
    sandbox = Sandbox(chart, spec, tmp_path / "pod", {}).fill()
    locust = spec["containers"][0]
    path = f"{search_path(sandbox, locust)}:{ROOT}"
    done = run(sandbox, locust, server.endpoint, LOCUST_SECRET_KEY="another", PYTHONPATH=path)
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr + done.stdout


def test_the_load_tests_need_nothing_of_the_server_but_plain_python() -> None:
    """Locust's image has none of the server's packages."""
    code = (
        "import sys, loadtests.presigner, app.auth.signing, app.auth.credentials\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'gevent', 'apsw', 'awscrt', 'flask', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_each_revision_has_a_job_of_its_own_and_names_are_never_too_long() -> None:
    long = rendered(4, "loadtest", f"--set=fullnameOverride={'x' * 80}")
    for each in long.manifests:
        assert len(each["metadata"]["name"]) <= 63
    assert long.one("Job")["metadata"]["name"].endswith("-loadtest-1")
