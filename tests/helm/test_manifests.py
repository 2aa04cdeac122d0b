"""Every set of values gives objects that every supported Kubernetes takes, with either Helm."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest

from tests.components import require_python
from tests.helm.charts import CHART, KUBERNETES, MAJORS, VALUE_SETS, VALUES, Manifest, helm, rendered

OLDEST = (1, 28)
SETS_MIN = 8

# Of operators: Kubernetes itself has no schema for these.
FOREIGN = {
    "Certificate": "cert-manager.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}


@pytest.fixture(scope="module")
def validator() -> Any:
    """kubernetes-validate, which reads megabytes of schemas for every object unless they are kept."""
    package = require_python("kubernetes_validate", "kubernetes-validate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package.utils, "schema_contents", lru_cache(maxsize=64)(package.utils.schema_contents))
        patch.setattr(package.utils, "all_versions", lru_cache(maxsize=1)(package.utils.all_versions))
        yield package


def versions(package: Any) -> list[str]:
    """Those that the package has, from OLDEST on. It names each twice, for it has a strict schema and another."""
    names = dict.fromkeys(package.utils.all_versions())
    return [each for each in names if tuple(map(int, each.split(".")[:2])) >= OLDEST]


def test_there_are_sets_of_values_enough() -> None:
    assert len(VALUE_SETS) >= SETS_MIN


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("values", VALUE_SETS)
def test_helm_finds_nothing_to_complain_of(major: int, values: str) -> None:
    said = helm(
        major, "lint", "--strict", str(CHART), "--kube-version", KUBERNETES, "--values", str(VALUES / f"{values}.yaml")
    ).stdout
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.mark.parametrize("values", VALUE_SETS)
def test_every_kubernetes_takes_what_either_helm_renders(values: str, validator: Any) -> None:
    """Each version gets what is rendered for it. What is equal to what was looked at before is not looked at again."""
    looked_at = 0
    for version in versions(validator):
        seen: set[str] = set()
        for major in MAJORS:
            for manifest in rendered(major, values, kubernetes=version).manifests:
                text = json.dumps(manifest, sort_keys=True)
                if text not in seen:
                    seen.add(text)
                    check(manifest, version, validator)
                    looked_at += 1
    assert looked_at >= len(versions(validator)) * 5


def check(manifest: Manifest, version: str, validator: Any) -> None:
    kind = manifest["kind"]
    if kind in FOREIGN:
        assert manifest["apiVersion"] == FOREIGN[kind]
        return
    try:
        validator.validate(manifest, version, strict=True)
    except validator.ValidationError as error:
        where = ".".join(map(str, error.path))
        pytest.fail(f"{kind} {manifest['metadata']['name']}, Kubernetes {version}: {where}: {error.message}")


def test_a_field_that_does_not_exist_is_found(validator: Any) -> None:
    """The validator can fail: it is not there to nod."""
    manifest = json.loads(json.dumps(rendered(4, "default").workload))
    manifest["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(validator.ValidationError):
        validator.validate(manifest, "1.31", strict=True)


@pytest.mark.parametrize("values", VALUE_SETS)
def test_both_helms_render_the_same(values: str) -> None:
    three, four = (rendered(major, values).manifests for major in MAJORS)
    assert [without_random(each) for each in three] == [without_random(each) for each in four]


def without_random(manifest: Manifest) -> Manifest:
    """A generated key is another one each time."""
    if manifest["kind"] == "Secret":
        return {**manifest, "data": sorted(manifest["data"])}
    return manifest


def test_the_wait_before_the_end_is_what_the_cluster_can_do() -> None:
    """`sleep` is there since 1.30; before that the image's Python waits."""
    old, new = (rendered(4, "default", kubernetes=version).container for version in ("1.29.0", "1.30.0"))
    assert old["lifecycle"]["preStop"]["exec"]["command"][0] == "python"
    assert new["lifecycle"]["preStop"] == {"sleep": {"seconds": 5}}


def test_the_volume_has_what_was_asked_for() -> None:
    (claim,) = rendered(4, "embedded-exposed").workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"
    assert (
        rendered(4, "embedded-exposed").workload["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"]
        == "Delete"
    )
    (none,) = rendered(4, "gateway-gcp").workload["spec"]["volumeClaimTemplates"]
    assert none["spec"]["storageClassName"] == ""


def test_who_may_reach_the_server_is_said_and_its_own_pods_always_may() -> None:
    s3, metrics = rendered(4, "embedded-exposed").one("NetworkPolicy")["spec"]["ingress"]
    own, others = s3["from"]
    assert own["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "bleepstore",
        "app.kubernetes.io/instance": "demo",
    }
    assert others == {"namespaceSelector": {"matchLabels": {"name": "ingress-nginx"}}}
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]


@pytest.mark.parametrize(("values", "egress"), [("embedded-exposed", []), ("gateway-aws", [{}])])
def test_only_a_gateway_has_somewhere_to_go(values: str, egress: list[object]) -> None:
    assert rendered(4, values).one("NetworkPolicy")["spec"]["egress"] == egress


def test_the_service_has_what_was_asked_for() -> None:
    exposed = rendered(4, "embedded-exposed").one("Service", "objects")
    assert exposed["metadata"]["annotations"]["example.com/lb"] == "internal"
    assert exposed["spec"]["type"] == "LoadBalancer"
    assert exposed["spec"]["externalTrafficPolicy"] == "Local"
    assert exposed["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert rendered(4, "embedded-tls").one("Service", "demo-bleepstore")["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_the_pod_has_what_was_asked_for() -> None:
    pod = rendered(4, "embedded-openshift").pod
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("important", "gvisor")
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert pod["tolerations"] == [{"key": "storage", "operator": "Exists"}]
    assert list(pod["affinity"]) == ["nodeAffinity"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert rendered(4, "embedded-extras").workload["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert rendered(4, "gateway-shared").workload["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
