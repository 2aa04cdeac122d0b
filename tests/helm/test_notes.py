"""What Helm prints after an install can be typed as it stands."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.helm.charts import MAJORS, NAMESPACE, VALUE_SETS, rendered

# The notes as an object among the others: `helm template` does not print them.
_AS_OBJECT = (
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: notes}, "
    'data: {text: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}}}'
)


def notes(major: int, values: str | None = None, *further: str) -> str:
    chart = rendered(major, values, f"--set-json=extraManifests={json.dumps([_AS_OBJECT])}", *further)
    text: str = chart.one("ConfigMap", "notes")["data"]["text"]
    return text


@pytest.mark.parametrize("values", VALUE_SETS)
def test_the_lines_name_what_is_there(values: str) -> None:
    text = notes(4, values)
    chart = rendered(4, values)
    services = {each["metadata"]["name"]: each for each in chart.of("Service")}
    (forward,) = [line.split() for line in text.splitlines() if "port-forward" in line]
    service = services[forward[4].removeprefix("service/")]
    assert forward[2] == NAMESPACE
    assert int(forward[5].partition(":")[2]) == service["spec"]["ports"][0]["port"]
    exports = [line for line in text.splitlines() if "get secret" in line]
    (auth,) = [each for each in chart.pod["volumes"] if each["name"] == "auth"]
    root = auth["projected"]["sources"][0]["secret"]
    for line, item in zip(exports, root["items"], strict=True):
        assert f"get secret {root['name']} " in line
        assert f'index .data "{item["key"]}"' in line
        assert shlex.split(line)


@pytest.mark.parametrize("major", MAJORS)
def test_what_is_lost_is_said(major: int) -> None:
    assert "WARNING" not in notes(major)
    assert "WARNING: persistence.enabled is false" in notes(major, None, "--set=persistence.enabled=false")
    assert "WARNING: metadata.engine is memory" in notes(major, None, "--set=metadata.engine=memory")
    assert "WARNING: storage.backend is memory" in notes(major, None, "--set=storage.backend=memory")


def test_a_key_that_was_made_is_mentioned_and_not_shown() -> None:
    assert "The secret key was made by this chart" in notes(4)
    assert "The secret key was made" not in notes(4, None, "--set=auth.secretKey=a-long-random-text")
    assert "a-long-random-text" not in notes(4, None, "--set=auth.secretKey=a-long-random-text")
