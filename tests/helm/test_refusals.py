"""What cannot work is refused before anything is installed, and the reason is said."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import registry
from tests.helm.charts import CHART, MAJORS, Refused, rendered, with_values

PLUGIN = {"metadata.engine": "example", "metadata.plugin.enabled": True, "metadata.plugin.shared": True}
AWS = {"mode": "gateway", "storage.backend": "aws", "storage.aws.bucket": "b"}

REASONED: list[tuple[dict[str, Any], str]] = [
    (
        {"replicas": 2},
        "replicas: 2 cannot be, for SQLite's write-ahead log works between processes of one machine only",
    ),
    ({"autoscaling.enabled": True}, "autoscaling.enabled cannot be, for SQLite's write-ahead log"),
    (AWS | {"replicas": 3}, "Set replicas: 1; one pod has several worker processes"),
    (AWS | {"autoscaling.enabled": True}, "autoscaling.enabled cannot be"),
    ({"replicas": 2, "metadata.engine": "memory"}, "the metadata engine memory belongs to one pod"),
    (
        {"mode": "cluster"},
        "mode: cluster takes a replicated metadata engine, which this release of the server does not",
    ),
    ({"metadata.engine": "postgres"}, "this release of the server has sqlite, memory, and no postgres"),
    ({"metadata.engine": "raft", **AWS}, "and no raft"),
    ({"metadata.plugin.enabled": True}, "sqlite is the server's own engine"),
    ({"metadata.plugin.shared": True}, "which one pod owns"),
    (PLUGIN, "pods that share metadata must share the bytes too"),
    (
        AWS | {"metadata.engine": "example", "metadata.plugin.enabled": True, "replicas": 2},
        "example belongs to one pod",
    ),
    ({"storage.backend": "aws", "storage.aws.bucket": "b"}, "for aws set mode: gateway"),
    ({"mode": "gateway"}, "local is for mode embedded"),
    ({"mode": "gateway", "storage.backend": "aws"}, "storage.aws.bucket is missing"),
    ({"mode": "gateway", "storage.backend": "gcp"}, "storage.gcp.bucket is missing"),
    ({"mode": "gateway", "storage.backend": "azure"}, "storage.azure.container is missing"),
    ({"mode": "gateway", "storage.backend": "azure", "storage.azure.container": "c"}, "one of them"),
    (
        {
            "mode": "gateway",
            "storage.backend": "azure",
            "storage.azure.container": "c",
            "storage.azure.useManagedIdentity": True,
        },
        "storage.azure.account is missing",
    ),
    ({"persistence.accessModes": ["ReadWriteMany"]}, "is a network file system, where SQLite loses data"),
    ({"auth.secretKey": "x" * 20, "auth.existingSecret": "keys"}, "both given"),
    ({"users": [{"accessKey": "ann"}]}, "users[0]: give secretKey, or existingSecret"),
    ({"users": [{"accessKey": "ann", "existingSecret": "x"}]}, "users[0].existingSecretKey is missing"),
    ({"users": [{"accessKey": "ann", "secretKey": "x", "policy": "readwrite"}]}, "users[0].policy: the server has no"),
    ({"buckets": [{"name": "photos", "purge": True}]}, "the chart removes no data"),
    ({"buckets": [{"name": "photos", "objectlocking": True}]}, "no object lock"),
    (
        {"users": [{"accessKey": "bleepstore", "secretKey": "x"}]},
        "two have the access key bleepstore (the root user counts)",
    ),
    ({"users": [{"accessKey": f"key-{n}", "name": "ann", "secretKey": "x"} for n in (1, 2)]}, "two have the name ann"),
    ({"users": [{"accessKey": "root", "secretKey": "x"}]}, "the root user is called root"),
    ({"buckets": [{"name": "photos"}, {"name": "photos"}]}, "photos is there twice"),
    ({"policies": [{"name": "p", "statements": []}]}, "policies: the server has no policies of users"),
    ({"svcaccts": [{"accessKey": "a", "secretKey": "b", "user": "c"}]}, "svcaccts: a user has one pair of keys"),
    ({"tls.enabled": True}, "tls.enabled: there is no certificate"),
    ({"certificate.enabled": True}, "certificate.issuerRef.name is missing"),
    ({"certificate": {"enabled": True, "issuerRef": {"name": "x"}, "clusterNames": False}}, "no name to certify"),
    ({"ingress.enabled": True}, "no host is named"),
    ({"ingress.enabled": True, "domain": "a.b", "ingress.tls": True}, "ingress.tls: there is no certificate"),
    ({"console.hosts": ["a.b"]}, "console.enabled is false"),
    ({"console": {"enabled": True, "port": 9100}}, "console.port: 9100 is the port of S3"),
    ({"httpRoute.enabled": True}, "httpRoute.parentRefs is missing"),
    ({"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}}, "no host is named"),
    (
        {"podDisruptionBudget": {"enabled": True, "maxUnavailable": None}},
        "neither minAvailable nor maxUnavailable is set",
    ),
    ({"metrics.serviceMonitor.enabled": True, "metrics.podMonitor.enabled": True}, "counted twice"),
    ({"metrics.enabled": False, "metrics.dashboard.enabled": True}, "nothing to scrape"),
    ({"metrics.port": 9000}, "9000 is the S3 port"),
    (AWS | PLUGIN | {"autoscaling": {"enabled": True, "minReplicas": 9}}, "more than autoscaling.maxReplicas"),
    (AWS | PLUGIN | {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}, "nothing says by what"),
]

# The schema refuses these: the complaint names the value.
UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"replica": 1}, "replica"),
    ({"image.repo": "x"}, "repo"),
    ({"mode": "distributed"}, "mode"),
    ({"storage.aws.secretAccessKey": "in plain text"}, "secretAccessKey"),
    ({"config.server.prot": 9000}, "prot"),
    ({"config.server.port": 9001}, "port"),
    ({"config.server.log_level": "loud"}, "log_level"),
    ({"config.sever": {}}, "sever"),
    ({"replicas": "two"}, "replicas"),
    ({"image.digest": "sha256:short"}, "digest"),
    ({"buckets": [{"name": "Photos"}]}, "name"),
    ({"buckets": [{"name": "10.0.0.1"}]}, "name"),
    ({"buckets": [{"name": "two..dots"}]}, "name"),
    ({"buckets": [{"name": "photos--x-s3"}]}, "name"),
    ({"buckets": [{"name": "photos", "policy": "everybody"}]}, "policy"),
    ({"users": [{"accessKey": "ann/key", "secretKey": "x"}]}, "accessKey"),
    ({"users": [{"name": "ann", "secretKey": "x"}]}, "accessKey"),
    ({"auth.secretKey": "bleepstore-secret"}, "secretKey"),
    ({"loadtest.scenarios": ["Everything"]}, "scenarios"),
    ({"persistence.retention.whenDeleted": "Keep"}, "whenDeleted"),
    ({"persistence.size": "a lot"}, "size"),
]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("values", "reason"), REASONED, ids=lambda each: ",".join(each) if isinstance(each, dict) else ""
)
def test_what_cannot_work_is_refused_with_the_reason(major: int, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        with_values(major, values)
    assert reason in " ".join(str(refusal.value).split())


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(("values", "name"), UNKNOWN, ids=lambda each: ",".join(each) if isinstance(each, dict) else "")
def test_what_does_not_exist_is_refused_by_the_schema(major: int, values: dict[str, Any], name: str) -> None:
    with pytest.raises(Refused) as refusal:
        with_values(major, values)
    assert "don't meet the specifications of the schema" in str(refusal.value)
    assert name in str(refusal.value)


def test_the_schema_is_not_all_that_refuses_two_pods() -> None:
    """Who passes over the schema still hears why."""
    with pytest.raises(Refused, match="cannot be, for SQLite"):
        rendered(4, None, "--set=replicas=2", "--skip-schema-validation")


def test_the_chart_knows_the_engines_that_the_server_has() -> None:
    """What the server gets later is one entry more in a list; until then the chart refuses it."""
    text = (CHART / "templates/_engines.tpl").read_text()
    lists = {
        name: re.findall(r'"(\w+)"', items) for name, items in re.findall(r'"bleepstore\.(\w+)" .*\(list(.*?)\)', text)
    }
    assert lists["metadataEngines"] == list(registry.METADATA_STORES)
    assert sorted(lists["localStorages"] + lists["remoteStorages"]) == sorted(registry.OBJECT_STORAGES)
    assert set(lists["sharedEngines"]) <= set(registry.METADATA_STORES)
    assert not {"sqlite", "memory"} & set(lists["sharedEngines"])
