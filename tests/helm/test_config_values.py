"""The schema of values and the server agree about names, keys and settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from app.config import all_settings, load_config
from app.config_checks import printable
from app.domain.errors import InvalidBucketName
from app.domain.names import check_bucket_name
from helm.config_schema import is_decided
from tests.components import require_python
from tests.helm.charts import CHART, MAJORS, ROOT, rendered, with_values

BUCKET_NAMES = (
    "abc", "ab", "a" * 63, "a" * 64, "a.b-c.d", "a..b", "a.-b", "a-.b", "Abc", "a_b", "-abc", "abc-", "10.0.0.1", "10.0.0",
    "1.2.3.4.5", "xn--abc", "axn--", "sthree-x", "amzn-s3-demo-x", "x-s3alias", "x--ol-s3", "x.mrap", "x--x-s3", "x--table-s3", "",
)  # fmt: skip
ACCESS_KEYS = (
    "key",
    "a" * 128,
    "a" * 129,
    "with blank",
    "with/slash",
    "with,comma",
    "with+plus=and~more",
    "ümlaut",
    "\x7f",
    "",
)


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text())["properties"]


def takes(schema: Any, value: object) -> bool:
    validators = require_python("jsonschema", "kubernetes-validate").validators
    return bool(validators.Draft7Validator(schema).is_valid(value))


@pytest.mark.parametrize("name", BUCKET_NAMES)
def test_a_bucket_has_a_name_that_the_server_takes(name: str, schema: Any) -> None:
    try:
        check_bucket_name(name)
        expected = True
    except InvalidBucketName:
        expected = False
    assert takes(schema["buckets"]["items"]["properties"]["name"], name) == expected
    assert takes(schema["loadtest"]["properties"]["bucket"], name) == expected


@pytest.mark.parametrize("key", ACCESS_KEYS)
def test_an_access_key_is_one_that_the_server_takes(key: str, schema: Any) -> None:
    expected = bool(key) and printable(key) is None and not {"/", ",", "\x7f"} & set(key)
    assert takes(schema["auth"]["properties"]["accessKey"], key) == expected
    assert takes(schema["users"]["items"]["properties"]["accessKey"], key) == expected


@pytest.mark.parametrize("major", MAJORS)
def test_every_setting_of_the_example_reaches_the_server_through_config(major: int, tmp_path: Any) -> None:
    """With its default, as the example has it; numbers stay numbers, however large."""
    text = (ROOT / "bleepstore.example.yaml").read_text()
    given = without_decided(yaml.safe_load(text), "")
    chart = with_values(major, {"config": given})
    assert leaves(given, "").items() <= leaves(chart.config, "").items()
    decided = {path for path in all_settings() if is_decided(path)}
    assert set(leaves(given, "")) == set(all_settings()) - decided
    file = tmp_path / "bleepstore.yaml"
    file.write_text(yaml.safe_dump(given))
    assert load_config(environ={}, path=str(file)) == load_config(environ={})


def without_decided(node: dict[str, Any], prefix: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in node.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path not in all_settings():
            inner = without_decided(value, f"{path}.")
            kept |= {name: inner} if inner else {}
        elif not is_decided(path):
            kept[name] = value
    return kept


def leaves(node: dict[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in node.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path not in all_settings():
            found |= leaves(value, f"{path}.")
        else:
            found[path] = json.dumps(value)
    return found


def test_what_other_values_decide_stays_so_without_the_schema() -> None:
    chart = rendered(4, None, "--skip-schema-validation", "--set=config.server.port=1,config.server.region=here")
    assert chart.config["server"]["port"] == 9000
    assert chart.config["server"]["region"] == "here"
