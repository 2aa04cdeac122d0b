"""docker-compose.monitoring.yaml: what it mounts is there and is the chart's own, and its Prometheus scrapes such a server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.components import require, require_promtool
from tests.conftest import StartServer
from tests.prometheus.conftest import DASHBOARD, RULES
from tests.prometheus.running import prometheus_of
from tests.servers import ROOT, free_port

FILES = ("docker-compose.yaml", "docker-compose.monitoring.yaml")
NEEDED = {"BLEEPSTORE_SECRET_KEY": "a-secret-key", "GRAFANA_PASSWORD": "a-password"}


def composed(**environ: str) -> subprocess.CompletedProcess[str]:
    command = [require("docker-compose"), *(word for name in FILES for word in ("-f", str(ROOT / name))), "config"]
    kept = {name: value for name, value in os.environ.items() if name not in NEEDED}
    return subprocess.run(command, env=kept | environ, capture_output=True, text=True, check=False)


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Files and folders of this repository by where they are in the container."""
    pairs = [str(each).split(":") for each in service["volumes"]]
    return {target: ROOT / source for source, target, *_ in pairs if source.startswith(".")}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / FILES[1]).read_text())["services"]
    return found


@pytest.fixture
def settings(services: dict[str, Any], tmp_path: Path) -> Path:
    """The Prometheus' configuration with files of this machine in place of those in its container."""
    (tmp_path / "token").write_text("a-token")
    places = {"/run/secrets/metrics_token": tmp_path / "token"} | mounts(services["prometheus"])
    text = places.pop("/etc/prometheus/prometheus.yml").read_text()
    for inside, outside in places.items():
        assert inside in text, f"{inside} is mounted and not used"
        text = text.replace(inside, str(outside))
    assert "/etc/" not in text
    (tmp_path / "prometheus.yml").write_text(text)
    return tmp_path / "prometheus.yml"


def test_the_files_go_together() -> None:
    done = composed(**NEEDED)
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load(done.stdout)["services"]
    assert set(merged) == {"s3", "prometheus", "grafana"}
    assert merged["s3"]["environment"]["BLEEPSTORE_AUTH_SECRET_KEY"] == "a-secret-key"


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_without_a_secret_it_does_not_start(name: str) -> None:
    done = composed(**{other: value for other, value in NEEDED.items() if other != name})
    assert done.returncode != 0
    assert name in done.stderr


def test_what_is_mounted_is_there_and_the_charts_own(services: dict[str, Any]) -> None:
    mounted = mounts(services["prometheus"]) | mounts(services["grafana"])
    assert all(path.exists() for path in mounted.values())
    assert {RULES, DASHBOARD} <= set(mounted.values())


def test_grafana_is_told_of_the_data_source_and_where_the_dashboard_is(services: dict[str, Any]) -> None:
    mounted = mounts(services["grafana"])
    provisioned = {
        kind: yaml.safe_load(next(mounted[f"/etc/grafana/provisioning/{kind}"].iterdir()).read_text())
        for kind in ("datasources", "dashboards")
    }
    (source,) = provisioned["datasources"]["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    (provider,) = provisioned["dashboards"]["providers"]
    (place,) = [inside for inside, outside in mounted.items() if outside == DASHBOARD]
    assert os.path.dirname(place) == provider["options"]["path"]
    variables = {each["name"]: each for each in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert variables["datasource"]["query"] == source["type"]


def test_its_prometheus_takes_the_configuration_and_scrapes_the_server_it_describes(
    start_server: StartServer, services: dict[str, Any], settings: Path
) -> None:
    done = subprocess.run([require_promtool(), "check", "config", str(settings)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    environ = dict(services["s3"]["environment"])
    (bind,) = [name for name, value in environ.items() if value == ":9100"]
    (token_file,) = [name for name, value in environ.items() if value == "/run/secrets/metrics_token"]
    port = free_port()
    start_server(environ={bind: f":{port}", token_file: str(settings.parent / "token")})
    text = settings.read_text().replace("s3:9100", f"127.0.0.1:{port}").replace("15s", "500ms")
    settings.write_text(text)
    with prometheus_of(settings) as running:
        assert running.ask_until_answered("up == 1", 20)
        assert running.ask_until_answered("bleepstore:s3_operations:rate5m or bleepstore_workers", 20)
        assert len(running.rules()) >= 15
