"""Every query of the dashboard and of the rules, asked of a real Prometheus that scrapes real servers under load."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.prometheus.conftest import DASHBOARD, RULES, Scene
from tests.prometheus.running import JOB

ANSWERED_IN_S = 30.0
VARIABLES = {
    "$__rate_interval": "20s", "$__interval": "5s", "$__range": "1m", "$job": JOB, "$instance": ".*", "$bucket": ".*",
}  # fmt: skip
COMPARISON = re.compile(r"\s*(==|>|<)\s*[\d.* ]+$")


def filled(expr: str) -> str:
    """A query of the dashboard as Grafana sends it."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panel_queries() -> Iterator[Any]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")


def rule_expressions() -> Iterator[Any]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])


@pytest.mark.parametrize("expr", list(panel_queries()))
def test_every_panel_shows_something(scene: Scene, expr: str) -> None:
    assert scene.prometheus.ask_until_answered(filled(expr), ANSWERED_IN_S), expr


@pytest.mark.parametrize("expr", list(rule_expressions()))
def test_what_every_rule_looks_at_is_there(scene: Scene, expr: str) -> None:
    """Without its comparison, which is not to hold here."""
    looked_at = COMPARISON.sub("", expr)
    assert looked_at != expr or ":" in scene_name(expr), expr
    assert scene.prometheus.ask_until_answered(looked_at, ANSWERED_IN_S), looked_at


def scene_name(expr: str) -> str:
    """The name under which a rule records; an alert has none."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return next((str(rule.get("record", "")) for rule in rules if rule["expr"] == expr), "")


def test_the_dashboards_variables_have_values(scene: Scene) -> None:
    asked = [each for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    assert [each["name"] for each in asked] == ["job", "instance", "bucket"]
    for variable in asked:
        metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        values = {labels[label] for labels, _ in scene.prometheus.ask_until_answered(filled(metric), ANSWERED_IN_S)}
        assert len(values) >= (1 if label == "job" else 2), variable["name"]


def test_the_annotations_query_is_one(scene: Scene) -> None:
    for annotation in dashboard()["annotations"]["list"]:
        scene.prometheus.query(filled(annotation["expr"]))


def test_both_servers_are_scraped_with_the_token_and_every_rule_is_evaluated(scene: Scene) -> None:
    deadline = time.monotonic() + ANSWERED_IN_S
    while not all(rule["health"] == "ok" for rule in scene.prometheus.rules()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [rule["lastError"] for rule in scene.prometheus.rules() if rule.get("lastError")] == []
    targets = scene.prometheus.targets()
    assert [(each["health"], each["lastError"]) for each in targets] == [("up", "")] * 2
    assert all(each["lastScrapeDuration"] < 1 for each in targets)


def test_no_alert_of_severity_critical_fires_under_this_load(scene: Scene) -> None:
    firing = scene.prometheus.query('ALERTS{alertstate="firing",severity="critical"}')
    assert [labels["alertname"] for labels, _ in firing] == []


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
