"""What the chart has from elsewhere is current, and what it says of itself is so."""

from __future__ import annotations

import json
from typing import Any

import yaml

from app.config import all_settings
from app.version import __version__
from helm import generate
from helm.config_schema import DECIDED, is_decided
from helm.values_table import rows
from tests.helm.charts import CHART, ROOT, rendered
from tests.helm.pods import image_environment

VALUES_LINES_MAX = 400


def test_the_readme_the_schema_and_the_load_tests_are_current() -> None:
    """`make chart` would change nothing."""
    assert generate.stale() == [], "make chart"


def test_every_value_is_in_the_table_with_its_default() -> None:
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    for row in rows(text):
        value: Any = values
        for name in row.path.split("."):
            value = value[name]
        if row.default is not None:
            assert yaml.safe_load(row.default) == value, row.path
    listed = {row.path.split(".")[0] for row in rows(text)}
    assert listed == set(values)
    assert len(text.splitlines()) <= VALUES_LINES_MAX


def test_the_schema_has_every_value_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) == {*values, "enabled"}
    assert list(differences(schema, values, "")) == []


def differences(schema: Any, values: Any, path: str) -> Any:
    """Paths where a closed section of the schema and of the values have other names."""
    for name, value in values.items():
        inner = schema["properties"].get(name)
        if inner is None:
            yield f"{path}{name} is not in the schema"
        elif isinstance(value, dict) and inner.get("properties") and f"{path}{name}" != "config":
            yield from differences(inner, value, f"{path}{name}.")


def test_the_servers_settings_are_either_in_config_or_decided_by_other_values() -> None:
    config = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]
    for path in all_settings():
        place: Any = config
        for name in path.split("."):
            place = place.get("properties", {}).get(name, {})
        assert bool(place) != is_decided(path), path
    for name in DECIDED:
        assert any(path == name or path.startswith(name) for path in all_settings()), f"{name} is no setting"


def test_the_chart_is_of_this_release() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
    assert rendered(4, "default").container["image"] == f"bleepstore:{__version__}"


def test_the_load_test_has_the_locust_that_the_tests_run_with() -> None:
    tag = yaml.safe_load((CHART / "values.yaml").read_text())["loadtest"]["image"]["tag"]
    assert f"\nlocust=={tag} " in (ROOT / "requirements-dev.lock").read_text()


def test_the_pod_says_all_that_the_image_says() -> None:
    """So that what the image's variables are by default does not matter."""
    given = {each["name"] for each in rendered(4, "default").container["env"]}
    ours = {name for name in image_environment() if name.startswith("BLEEPSTORE_")}
    assert ours <= given
