"""Alert rules and dashboard reach the cluster as the chart's files have them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.components import require_promtool
from tests.helm.charts import CHART, MAJORS, Refused, rendered

RULES = yaml.safe_load((CHART / "files/rules.yaml").read_text())
SWITCHES = {"files/rules.yaml": "metrics.prometheusRule", "files/dashboard.json": "metrics.dashboard"}


@pytest.mark.parametrize("major", MAJORS)
def test_the_rules_are_the_files_with_those_of_the_values_behind(major: int) -> None:
    groups = rendered(major, "monitored").one("PrometheusRule")["spec"]["groups"]
    assert groups[:-1] == RULES["groups"]
    assert groups[-1]["name"] == "ours"


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """The object's spec is what the operator gives to Prometheus as a file."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rendered(4, "monitored").one("PrometheusRule")["spec"]))
    done = subprocess.run([require_promtool(), "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.parametrize("major", MAJORS)
def test_the_dashboard_is_the_file(major: int) -> None:
    found = rendered(major, "monitored").one("ConfigMap", "demo-bleepstore-dashboard")
    assert found["metadata"]["namespace"] == "grafana"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"]["grafana_folder"] == "Storage"
    (text,) = found["data"].values()
    assert json.loads(text) == json.loads((CHART / "files/dashboard.json").read_text())
    assert len(text.encode()) < 1 << 20, "no ConfigMap holds more"


@pytest.mark.parametrize("path", SWITCHES)
def test_a_chart_that_lost_a_file_says_so(path: str, tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "bleepstore")
    (tmp_path / "bleepstore" / path).unlink()
    with pytest.raises(Refused, match=f"{path} is not in this chart"):
        rendered(4, None, f"--set={SWITCHES[path]}.enabled=true", chart=tmp_path / "bleepstore")
    (tmp_path / "bleepstore" / path).write_text("{}")
    if path.endswith(".yaml"):
        with pytest.raises(Refused, match="has no groups of rules"):
            rendered(4, None, f"--set={SWITCHES[path]}.enabled=true", "--debug", chart=tmp_path / "bleepstore")
