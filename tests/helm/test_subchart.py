"""Inside another chart, under other names, and twice in one release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.charts import CHART, KUBERNETES, MAJORS, Refused, Rendered, helm, rendered

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart that has ours twice, once by another name, and gives global values."""
    chart = tmp_path / "parent"
    (chart / "templates").mkdir(parents=True)
    repository = f"file://{CHART}"
    dependencies = [
        {"name": "bleepstore", "version": "0.1.0", "repository": repository, "condition": "bleepstore.enabled"},
        {
            "name": "bleepstore",
            "version": "0.1.0",
            "repository": repository,
            "alias": "cold",
            "condition": "cold.enabled",
        },
    ]
    described = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": dependencies}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described))
    values = {
        "global": {
            "imageRegistry": "mirror.example.com",
            "imagePullSecrets": ["mirror"],
            "storageClass": "slow",
            "unknown": 1,
        },
        "bleepstore": {"enabled": True, "buckets": [{"name": "photos"}]},
        "cold": {
            "enabled": True,
            "nameOverride": "archive",
            "podSecurityContext": {"runAsUser": ""},
            "image": {"registry": "other", "digest": DIGEST},
        },
    }
    (chart / "values.yaml").write_text(yaml.safe_dump(values))
    return chart


@pytest.mark.parametrize("major", MAJORS)
def test_a_parent_chart_has_it_twice(major: int, parent: Path) -> None:
    helm(major, "dependency", "build", str(parent))
    assert "[ERROR]" not in helm(major, "lint", "--strict", str(parent), "--kube-version", KUBERNETES).stdout
    both = rendered(major, chart=parent)
    servers = {each["metadata"]["name"]: each for each in both.of("StatefulSet")}
    assert set(servers) == {"demo-bleepstore", "demo-archive"}
    names = [(each["kind"], each["metadata"]["name"]) for each in both.manifests]
    assert len(set(names)) == len(names), "both have an object of one name"
    selectors = [set(each["spec"]["selector"]["matchLabels"].items()) for each in servers.values()]
    labels = [set(each["spec"]["template"]["metadata"]["labels"].items()) for each in servers.values()]
    assert [[one <= other for other in labels] for one in selectors] == [[True, False], [False, True]]
    images = [pod_of(each)["containers"][0]["image"] for each in servers.values()]
    assert sorted(images) == ["mirror.example.com/bleepstore:0.1.0", f"mirror.example.com/bleepstore@{DIGEST}"]
    for each in servers.values():
        assert pod_of(each)["imagePullSecrets"] == [{"name": "mirror"}]
        (claim,) = each["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "slow"
    users = {name: pod_of(each)["securityContext"].get("runAsUser") for name, each in servers.items()}
    assert users == {"demo-bleepstore": 10001, "demo-archive": None}
    assert config_of(both, "demo-bleepstore")["server"]["default_buckets"] == ["photos"]
    assert config_of(both, "demo-archive")["server"]["default_buckets"] == []


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def config_of(chart: Rendered, name: str) -> Any:
    return yaml.safe_load(chart.one("ConfigMap", name)["data"]["bleepstore.yaml"])


@pytest.mark.parametrize("major", MAJORS)
def test_a_parents_wrong_value_is_refused_too(major: int, parent: Path) -> None:
    helm(major, "dependency", "build", str(parent))
    with pytest.raises(Refused, match="SQLite"):
        rendered(major, None, "--set=cold.replicas=2", chart=parent)
    with pytest.raises(Refused, match="bucket"):
        rendered(major, None, "--set=cold.bucket=photos", chart=parent)


def test_a_parent_can_leave_it_out(parent: Path) -> None:
    helm(4, "dependency", "build", str(parent))
    assert rendered(4, None, "--set=bleepstore.enabled=false,cold.enabled=false", chart=parent).manifests == ()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ("fullnameOverride=objects", "objects"),
        ("nameOverride=files", "demo-files"),
        ("nameOverride=demo", "demo"),  # a release that has the chart's name in its own is not doubled
    ],
)
def test_names_are_those_that_were_asked_for(settings: str, name: str) -> None:
    chart = rendered(4, None, f"--set={settings}")
    assert chart.workload["metadata"]["name"] == name
    assert {each["metadata"]["name"] for each in chart.of("Service")} == {name, f"{name}-headless"}


@pytest.mark.parametrize("major", MAJORS)
def test_the_package_has_everything(major: int, tmp_path: Path) -> None:
    """What `helm package` takes renders as the folder does, load tests included."""
    helm(major, "package", str(CHART), "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("bleepstore-*.tgz")
    packed = rendered(major, "loadtest", chart=archive)
    assert packed.manifests == rendered(major, "loadtest").manifests
