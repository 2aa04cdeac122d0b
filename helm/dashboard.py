"""The Grafana dashboard, from the rows of panels in dashboard_rows.py.

A panel's queries name no job, instance or bucket: `SELECT` in their text becomes the selection that the dashboard's variables
make, and `RATE` the range of a rate, which Grafana fits to the scrape interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 39  # Grafana 11
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTION = 'job=~"$job",instance=~"$instance"'
WIDTH = 24  # of a dashboard, in its own units


@dataclass(frozen=True)
class Query:
    """`legend` names the lines by their labels: "{{operation}}"."""

    expr: str
    legend: str = ""

    @property
    def text(self) -> str:
        return self.expr.replace("SELECT", SELECTION).replace("RATE", "$__rate_interval")


@dataclass(frozen=True)
class Panel:
    """`kind` is Grafana's: timeseries, stat, bargauge, heatmap. `steps` are thresholds: values from which a colour holds."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    text: str = ""
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    is_stacked: bool = False
    maximum: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """`title` is the question that its panels answer."""

    title: str
    panels: tuple[Panel, ...]


def dashboard(rows: tuple[Row, ...]) -> dict[str, Any]:
    return {
        "uid": "bleepstore",
        "title": "BleepStore",
        "description": "One question a row: is it up, how fast, what fails, who uses it, will it fill up, what is the limit?",
        "tags": ["bleepstore", "s3"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "annotations": {"list": [_restarts()]},
        "templating": {"list": _variables()},
        "panels": list(_placed(rows)),
    }


def _variables() -> list[dict[str, Any]]:
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    return [
        datasource,
        _asked("job", "Job", "label_values(bleepstore_build_info, job)"),
        _asked("instance", "Server", 'label_values(bleepstore_build_info{job=~"$job"}, instance)'),
        _asked("bucket", "Bucket", f"label_values(bleepstore_bucket_bytes{{{SELECTION}}}, bucket)"),
    ]


def _asked(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _restarts() -> dict[str, Any]:
    return {
        "name": "Starts of a server",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "orange",
        "expr": f"changes(bleepstore_process_start_time_seconds{{{SELECTION}}}[$__interval]) > 0",
        "titleFormat": "{{instance}} started",
    }


def _placed(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    """Every row's head and panels, from left to right and from top to bottom."""
    number, y = 1, 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield _panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height}}
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "targets": [_target(panel, index, query) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel) | panel.options,
    }


def _target(panel: Panel, index: int, query: Query) -> dict[str, Any]:
    is_now = panel.kind in ("stat", "bargauge")
    return {
        "refId": "ABCDEFGH"[index],
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.text,
        "legendFormat": query.legend or "__auto",
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        "instant": is_now,
        "range": not is_now,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.steps]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.maximum is not None:
        defaults |= {"min": 0, "max": panel.maximum}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.is_stacked else "none", "group": "A"}
        fill = 30 if panel.is_stacked else 8
        defaults["custom"] = {"fillOpacity": fill, "stacking": stacking, "showPoints": "never", "spanNulls": False}
        if panel.unit != "s":
            defaults["min"] = 0
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {"reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    if panel.kind == "bargauge":
        return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
    if panel.kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": panel.unit}, "color": {"mode": "scheme", "scheme": "Blues"}}
    legend = {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"], "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
