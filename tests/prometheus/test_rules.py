"""The rules as promtool sees them, what stands beside each alert, and the metrics' own form."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.components import require_promtool
from tests.conftest import StartServer
from tests.prometheus.conftest import RULES, TOKEN, Scene
from tests.server.conftest import eventually
from tests.server.test_listeners import ask, bearer
from tests.servers import ROOT

TESTS = Path(__file__).parent / "alerts.yaml"
RUNBOOK = ROOT / "specs/alerts.md"
# Two gauges bear the names of counters: what the specification of this product calls them.
NAMED_SO = re.compile(r'bleepstore_(buckets|objects)_total non-counter metrics should not have "_total" suffix')


def promtool(*args: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([require_promtool(), *args], input=text, capture_output=True, text=True, check=False)


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_the_rules_are_rules() -> None:
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_is_silent_when_not() -> None:
    done = promtool("test", "rules", str(TESTS))
    assert done.returncode == 0, done.stdout + done.stderr
    tried = [each["name"] for each in yaml.safe_load(TESTS.read_text())["tests"]]
    assert tried == [f"{alert['alert']} {what}" for alert in alerts() for what in ("fires", "is silent")]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_each_alert_says_what_is_wrong_and_where_it_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"specs/alerts.md#{alert['alert'].lower()}"
    section = RUNBOOK.read_text().partition(f"## {alert['alert']}\n")[2].partition("\n## ")[0]
    assert len(section) > 200, f"specs/alerts.md says too little of {alert['alert']}"
    used = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    dropped = set(",".join(re.findall(r"without \(([^)]*)\)", alert["expr"])).replace(" ", "").split(","))
    assert used <= {"instance", "disk", "backend"} - dropped, "a label that the alert does not have"


def test_the_runbook_knows_no_other_alert() -> None:
    assert re.findall(r"^## (BleepStore\w+)$", RUNBOOK.read_text(), re.MULTILINE) == [
        each["alert"] for each in alerts()
    ]


def test_the_metrics_are_in_good_form(scene: Scene) -> None:
    assert eventually(lambda: scene.load.rounds > 200, timeout_s=30.0)
    text = ask(scene.metrics_port, "/metrics", headers=bearer(TOKEN))[2].decode()
    assert text.count("bleepstore_") > 500
    done = promtool("check", "metrics", text=text)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if line and not NAMED_SO.search(line)]
    assert complaints == []
    assert "error while linting" not in done.stderr


@pytest.mark.parametrize("path", ["/minio/v2/metrics/cluster", "/minio/v2/metrics/node", "/minio/v2/metrics/bucket"])
def test_the_metrics_with_minios_names_can_be_read(start_server: StartServer, path: str) -> None:
    """Their form is not ours to choose, so that promtool may complain of it, but not fail to read it."""
    server = start_server()
    server.client().create_bucket(Bucket="photos")
    done = promtool("check", "metrics", text=ask(server.port, path)[2].decode())
    assert "error while linting" not in done.stdout + done.stderr
    assert done.returncode in (0, 3)
