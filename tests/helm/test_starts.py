"""The server starts with exactly what the chart gives its pod: arguments, variables, files; and does what the values say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.components import require_python
from tests.helm.charts import VALUE_SETS, Rendered, rendered
from tests.helm.pods import Sandbox, image_entrypoint, image_environment
from tests.server.certificates import self_signed
from tests.servers import PASSED_ON, ROOT, RunningServer, boto_client, free_port

PLUGIN = "example-sql"

# What the sets of values say is there already.
SECRETS = {
    "bobs": {"key": "bobs-secret-text"},
    "root-keys": {"rootUser": "openshift-root", "rootPassword": "openshift-secret-text"},
    "aws-keys": {"access-key-id": "aws-key", "secret-access-key": "aws-secret"},
    "scraper": {"token": "the-scrapers-token"},
}


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """All of SECRETS, with a certificate and a service account that have real keys."""
    pem = self_signed(tmp_path_factory.mktemp("certificate")).read_text()
    key, begin, certificate = pem.partition("-----BEGIN CERTIFICATE-----")
    account = {
        "type": "service_account", "project_id": "p", "private_key_id": "1", "client_id": "1", "private_key": key,
        "client_email": "objects@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    }  # fmt: skip
    tls = {"tls.crt": begin + certificate, "tls.key": key}
    return SECRETS | {"demo-bleepstore-tls": tls, "gcp-account": {"credentials.json": json.dumps(account)}}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A directory for the search path with an installed package that brings an engine, by the name that a set of values has."""
    info = tmp_path / "packages" / "example_sql-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-sql\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bleepstore.metadata]\n{PLUGIN} = app.metadata.kv.memory:MemoryStore\n")
    return info.parent


@dataclass
class PodServer(RunningServer):
    """The server's container, with ports of this machine."""

    sandbox: Sandbox | None = None
    metrics_port: int = field(default_factory=free_port)
    console_port: int = field(default_factory=free_port)
    search_path: str = str(ROOT)

    def command(self) -> list[str]:
        assert self.sandbox is not None
        return self.sandbox.command(self.sandbox.chart.container)

    def environment(self) -> dict[str, str]:
        assert self.sandbox is not None
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        given = self.sandbox.environment(self.sandbox.chart.container, image_environment())
        moved = {"BLEEPSTORE_SERVER_HOST": self.host, "BLEEPSTORE_SERVER_PORT": str(self.port)}
        if "metrics_bind" in self.sandbox.chart.config["observability"]:
            moved["BLEEPSTORE_OBSERVABILITY_METRICS_BIND"] = f"{self.host}:{self.metrics_port}"
        if "console_bind" in self.sandbox.chart.config["server"]:
            moved["BLEEPSTORE_SERVER_CONSOLE_BIND"] = f"{self.host}:{self.console_port}"
        return kept | given | moved | {"PYTHONPATH": self.search_path} | dict(self.environ)

    @property
    def probes_at(self) -> str:
        """Where the kubelet would ask."""
        assert self.sandbox is not None
        name = self.sandbox.chart.container["readinessProbe"]["httpGet"]["port"]
        port = self.metrics_port if name == "metrics" else self.port
        return f"{self.scheme}://{self.host}:{port}"


@pytest.fixture
def start_pod(tmp_path: Path, secrets: dict[str, dict[str, str]], plugin: Path) -> Iterator[Any]:
    """`start_pod("default")` starts the server as the chart has it with this set of values; all are killed at the end."""
    started: list[PodServer] = []

    def start(values: str, *further: str, **fields: Any) -> PodServer:
        sandbox = boxed(rendered(4, values, *further), tmp_path / f"pod{len(started)}", secrets)
        made = PodServer(
            tmp_path / f"data{len(started)}", sandbox=sandbox, search_path=f"{ROOT}{os.pathsep}{plugin}", **fields
        )
        started.append(made)
        return made.start()  # type: ignore[return-value]  # itself

    yield start
    for each in started:
        each.kill9()


def boxed(chart: Rendered, place: Path, secrets: dict[str, dict[str, str]]) -> Sandbox:
    return Sandbox(chart, chart.pod, place, secrets).fill()


def get(url: str, token: str | None = None) -> tuple[int, bytes]:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("values", VALUE_SETS)
def test_the_server_accepts_the_configuration(
    values: str, tmp_path: Path, secrets: dict[str, dict[str, str]], plugin: Path
) -> None:
    """Every set: the same variables, files and arguments, asked by `bleepstore config check`. Unknown names are refused."""
    sandbox = boxed(rendered(4, values), tmp_path / "pod", secrets)
    container = sandbox.chart.container
    assert image_entrypoint() == ["bleepstore"]
    assert "command" not in container
    assert container["args"][0] == "serve"
    command = sandbox.command(container, ["config", "check", *container["args"][1:]])
    environ = sandbox.environment(container, image_environment())
    environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{plugin}"}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_the_server_does_not_know_is_found(tmp_path: Path, secrets: dict[str, dict[str, str]]) -> None:
    """The check above can fail."""
    sandbox = boxed(
        rendered(4, "default", "--set=extraEnv[0].name=BLEEPSTORE_SERVER_PROT,extraEnv[0].value=1"), tmp_path, secrets
    )
    environ = sandbox.environment(sandbox.chart.container, image_environment()) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", "config", "check"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "BLEEPSTORE_SERVER_PROT is not a setting" in done.stderr


def test_as_it_is_installed_it_takes_objects_and_its_probes_answer(start_pod: Any) -> None:
    pod = start_pod("default")
    access_key, secret_key = keys_of(pod)
    assert access_key == "bleepstore"
    assert len(secret_key) == 40
    s3 = boto_client(pod.endpoint, access_key, secret_key)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="cat", Body=b"meow" * 50_000)
    assert s3.get_object(Bucket="photos", Key="cat")["Body"].read() == b"meow" * 50_000
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert get(pod.probes_at + pod.sandbox.chart.container[probe]["httpGet"]["path"])[0] == 200
    assert b"bleepstore_build_info" in get(f"{pod.probes_at}/metrics")[1]
    assert get(f"{pod.endpoint}/metrics")[0] != 200, "the S3 port, to which an Ingress leads, answers metrics"
    assert (pod.sandbox.place / "data" / "metadata.db").is_file()
    assert pod.terminate() == 0


def keys_of(pod: PodServer) -> tuple[str, str]:
    """The root user's, as the pod finds them."""
    assert pod.sandbox is not None
    place = pod.sandbox.place / "auth"
    return (place / "access-key").read_text(), (place / "secret-key").read_text()


def test_users_and_buckets_are_those_of_the_values(start_pod: Any) -> None:
    pod = start_pod("embedded-exposed", "--set=config.server.region=us-east-1", workers=2)
    root = boto_client(pod.endpoint, "admin", "a-long-random-text")
    assert [each["Name"] for each in root.list_buckets()["Buckets"]] == ["logs", "photos"]
    assert root.get_bucket_versioning(Bucket="photos")["Status"] == "Enabled"
    assert "Status" not in root.get_bucket_versioning(Bucket="logs")
    for bucket, status in (("logs", 200), ("photos", 403)):
        root.put_object(Bucket=bucket, Key="a", Body=b"1")
        assert get(f"{pod.endpoint}/{bucket}/a")[0] == status, bucket
    assert get(f"http://{pod.host}:{pod.console_port}/docs")[0] == 200
    assert get(f"http://{pod.host}:{pod.console_port}/logs/a")[0] == 404, "the console's port answers S3"
    for name, access_key, secret_key in (
        ("ann", "ann-key", "anns-secret-text"),
        ("bob", "bob-key", "bobs-secret-text"),
    ):
        user = boto_client(pod.endpoint, access_key, secret_key)
        user.create_bucket(Bucket=f"{name}s-own")
        user.put_object(Bucket=f"{name}s-own", Key="a", Body=b"1")
        assert [each["Name"] for each in user.list_buckets()["Buckets"]] == [f"{name}s-own"]


def test_with_a_certificate_it_speaks_tls_on_every_port(start_pod: Any) -> None:
    pod = start_pod("embedded-tls", scheme="https")
    for probe in ("startupProbe", "readinessProbe"):
        asked = pod.sandbox.chart.container[probe]["httpGet"]
        assert asked["scheme"] == "HTTPS"
        assert get(pod.probes_at + asked["path"])[0] == 200
    s3 = boto_client(pod.endpoint, *keys_of(pod), verify=False)
    s3.create_bucket(Bucket="photos")
    assert (pod.sandbox.place / "data" / "objects.db").is_file()


def test_keys_that_are_there_already_are_taken(start_pod: Any) -> None:
    pod = start_pod("embedded-openshift")
    boto_client(pod.endpoint, "openshift-root", "openshift-secret-text").create_bucket(Bucket="photos")


def test_metrics_are_for_whoever_has_the_token(start_pod: Any) -> None:
    pod = start_pod("monitored")
    (endpoint,) = pod.sandbox.chart.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "scraper", "key": "token"}
    assert get(pod.probes_at + endpoint["path"])[0] == 401
    status, text = get(pod.probes_at + endpoint["path"], SECRETS["scraper"]["token"])
    assert status == 200
    assert b"bleepstore_build_info" in text
    assert get(f"{pod.probes_at}/readyz")[0] == 200, "probes have no token"


def test_a_gateway_keeps_bytes_in_the_service_and_metadata_on_its_volume(start_pod: Any, moto: str) -> None:
    require_python("boto3").client(
        "s3", endpoint_url=moto, aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1"
    ).create_bucket(Bucket="our-objects", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    pod = start_pod("gateway-aws", f"--set=storage.aws.endpointUrl={moto}")
    s3 = boto_client(pod.endpoint, *keys_of(pod))
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="cat", Body=b"meow" * 50_000)
    assert s3.get_object(Bucket="photos", Key="cat")["Body"].read() == b"meow" * 50_000
    assert (pod.sandbox.place / "data" / "metadata.db").is_file()
    assert not (pod.sandbox.place / "data" / "objects").exists()
    assert get(f"{pod.probes_at}/readyz")[0] == 200


def test_an_engine_of_a_plug_in_is_used_and_nothing_is_kept_in_the_pod(start_pod: Any, moto: str) -> None:
    """The engine here is one that forgets: what counts is that the chart's words reach a package's entry point."""
    variables = {
        "AWS_ENDPOINT_URL_S3": moto,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    require_python("boto3").client(
        "s3", endpoint_url=moto, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    ).create_bucket(Bucket="shared-objects")
    pod = start_pod("gateway-shared", "--set=storage.aws.bucket=shared-objects", environ=variables)
    s3 = boto_client(pod.endpoint, *keys_of(pod))
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="cat", Body=b"meow" * 50_000)
    assert s3.get_object(Bucket="photos", Key="cat")["Body"].read() == b"meow" * 50_000
    assert not list((pod.sandbox.place / "data").glob("*.db"))
