"""What AWS can and this server cannot be told yet: probed safely, refused by name, and nothing is touched."""

from __future__ import annotations

import socket
from typing import Any

import botocore.loaders
import pytest

from app.s3.routing import Level, Router, Rule
from app.s3.subresources import OF_BUCKETS, OF_OBJECTS
from app.s3.views import BLUEPRINTS
from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name
from tests.servers import RunningServer

# AWS's operations without a rule of ours, and why.
NOT_FOR_US = {
    "CreateSession": "of directory buckets only",
    "ListDirectoryBuckets": "at the same place as ListBuckets, on another endpoint",
    "WriteGetObjectResponse": "of an Object Lambda endpoint only",
    # One rule answers with and without an id or name.
    "ListBucketAnalyticsConfigurations": "GetBucketAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetBucketIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetBucketInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetBucketMetricsConfiguration",
    "ListObjectAnnotations": "GetObjectAnnotation",
    # The older names of operations that were renamed.
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
PARAMETERS_AS_SUBRESOURCES = {"uploadId", "partNumber"}

RULES: dict[str, Rule] = {rule.operation: rule for blueprint in BLUEPRINTS for rule in blueprint.rules}


def model() -> dict[str, Any]:
    loaded: dict[str, Any] = botocore.loaders.Loader().load_service_model("s3", "service-2")
    return loaded


def place(operation: dict[str, Any]) -> tuple[str, Level, str]:
    """(method, level, sub-resource) of one of the model's operations."""
    path, _, query = operation["http"]["requestUri"].partition("?")
    level = Level.OBJECT if "{Key+}" in path else Level.BUCKET if "{Bucket}" in path else Level.SERVICE
    name = query.partition("&")[0]
    return operation["http"]["method"], level, "" if "=" in name else name


def parameters(operation: dict[str, Any], shapes: dict[str, Any]) -> set[str]:
    if "input" not in operation:
        return set()
    members = shapes[operation["input"]["shape"]]["members"].values()
    return {member["locationName"] for member in members if member.get("location") == "querystring"}


def test_every_operation_of_aws_has_its_rule() -> None:
    """Of its method, level and sub-resource, with the parameters of the model."""
    wrong = []
    document = model()
    for name, operation in document["operations"].items():
        if name in NOT_FOR_US:
            continue
        rule = RULES.get(name)
        if rule is None:
            wrong.append(f"{name}: no rule")
            continue
        method, level, subresource = place(operation)
        if (rule.method, rule.level) != (method, level) or rule.subresource not in (subresource, "uploadId"):
            wrong.append(f"{name}: {rule.method} {rule.level} ?{rule.subresource}")
        lacking = parameters(operation, document["shapes"]) - rule.parameters - PARAMETERS_AS_SUBRESOURCES
        if lacking:
            wrong.append(f"{name}: does not take {sorted(lacking)}")
    assert not wrong


def test_every_rule_is_an_operation_of_aws() -> None:
    assert set(RULES) - set(model()["operations"]) == {"PostObject"}


def test_every_subresource_of_the_model_is_known() -> None:
    of_buckets = {place(operation)[2] for operation in model()["operations"].values()
                  if place(operation)[1] is Level.BUCKET}  # fmt: skip
    of_objects = {place(operation)[2] for operation in model()["operations"].values()
                  if place(operation)[1] is Level.OBJECT}  # fmt: skip
    assert of_buckets - {""} == OF_BUCKETS
    assert of_objects - {""} == OF_OBJECTS


def test_no_two_rules_meet() -> None:
    Router(rule for blueprint in BLUEPRINTS for rule in blueprint.rules)


# -- over HTTP ---------------------------------------------------------------------------------------------------

NOT_FOUND = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "metadataConfiguration": "MetadataConfigurationNotFound",
    "metadataTable": "MetadataConfigurationNotFound",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "policyStatus": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
    "analytics&id=1": "NoSuchConfiguration",
    "metrics&id=1": "NoSuchConfiguration",
    "inventory&id=1": "NoSuchConfiguration",
    "intelligent-tiering&id=1": "NoSuchConfiguration",
}
EMPTY = {
    "accelerate": "AccelerateConfiguration",
    "logging": "BucketLoggingStatus",
    "notification": "NotificationConfiguration",
    "versioning": "VersioningConfiguration",
}


@pytest.mark.parametrize(("subresource", "code"), NOT_FOUND.items())
def test_what_was_never_configured_is_not_found(
    server: RunningServer, bucket: str, subresource: str, code: str
) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?{subresource}")
    assert (reply.status, reply.code) == (404, code)


@pytest.mark.parametrize(("subresource", "root"), EMPTY.items())
def test_what_has_a_default_is_an_empty_document(
    server: RunningServer, bucket: str, subresource: str, root: str
) -> None:
    document = raw.request(server, "GET", f"/{bucket}?{subresource}").xml
    assert (document.tag, len(document)) == (f"{raw.NAMESPACE}{root}", 0)


def test_defaults_that_say_something(server: RunningServer, bucket: str) -> None:
    assert raw.request(server, "GET", f"/{bucket}?requestPayment").text("Payer") == "BucketOwner"
    assert raw.request(server, "GET", f"/{bucket}?abac").text("Status") == "Disabled"
    for name in ("analytics", "metrics", "inventory", "intelligent-tiering"):
        assert raw.request(server, "GET", f"/{bucket}?{name}").text("IsTruncated") == "false"


def operations(*methods: str) -> list[Any]:
    """The rules of blueprint "unconfigured" as pytest parameters."""
    unconfigured = next(blueprint for blueprint in BLUEPRINTS if blueprint.name == "unconfigured")
    return [pytest.param(rule, id=rule.operation) for rule in unconfigured.rules if rule.method in methods]


def target_of(rule: Rule, bucket: str) -> str:
    path = f"/{bucket}/k" if rule.level is Level.OBJECT else f"/{bucket}"
    return f"{path}?{rule.subresource}" if rule.subresource else path


@pytest.mark.parametrize("rule", operations("PUT", "POST"))
def test_changes_are_refused_by_name_without_reading_their_body(
    server: RunningServer, s3: Any, bucket: str, rule: Rule
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept", Tagging="a=b")
    if rule.subresource in ("retention", "legal-hold"):
        expected = (400, "InvalidRequest")
    else:
        expected = (501, "NotImplemented")
    reply = raw.request(server, rule.method, target_of(rule, bucket), b"<not even xml")
    assert (reply.status, reply.code) == expected
    if reply.status == 501:
        assert rule.operation in reply.text("Message")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


def test_a_refused_change_does_not_wait_for_its_body(server: RunningServer, bucket: str) -> None:
    """The head announces a gigabyte that never comes; the answer does."""
    target = f"/{bucket}?website"
    headers = raw.signed(server, "PUT", target, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    lines = [f"PUT {target} HTTP/1.1", f"Host: {server.host}:{server.port}", "Content-Length: 1073741824"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 501 " in connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize("rule", operations("DELETE"))
def test_deleting_what_is_absent_is_no_error(server: RunningServer, s3: Any, bucket: str, rule: Rule) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    reply = raw.request(server, "DELETE", target_of(rule, bucket))
    assert (reply.status, reply.body) == (204, b"")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


@pytest.mark.parametrize("rule", operations("GET", "PUT", "POST", "DELETE"))
def test_strangers_learn_and_change_nothing(crowd: Crowd, rule: Rule) -> None:
    name = fresh_name()
    # POST on a bucket is an upload: whoever may write may ask for it.
    crowd.alice.s3.create_bucket(
        Bucket=name, **({} if rule.operation == "PostObject" else {"ACL": "public-read-write"})
    )
    crowd.alice.s3.put_object(Bucket=name, Key="k", Body=b"")
    assert crowd.request(rule.method, target_of(rule, name), by=crowd.bob).code == "AccessDenied"
    assert crowd.request(rule.method, target_of(rule, name)).code == "AccessDenied"


@pytest.mark.parametrize("rule", operations("GET", "PUT", "POST", "DELETE"))
def test_no_bucket_is_no_bucket(server: RunningServer, rule: Rule) -> None:
    assert raw.request(server, rule.method, target_of(rule, fresh_name())).code == "NoSuchBucket"


@pytest.mark.parametrize("name", ["retention", "legal-hold"])
def test_without_object_lock_nothing_is_locked(server: RunningServer, s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    reply = raw.request(server, "GET", f"/{bucket}/k?{name}")
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    assert raw.request(server, "GET", f"/{bucket}/none?{name}").code == "NoSuchKey"


def test_an_object_has_no_annotations(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert raw.request(server, "GET", f"/{bucket}/k?annotation").status == 200
    assert raw.request(server, "GET", f"/{bucket}/k?annotation&annotationName=a").code == "NoSuchAnnotation"


def known_places() -> set[tuple[str, Level, str]]:
    return {(rule.method, rule.level, rule.subresource) for rule in RULES.values()}


NOWHERE = [
    (method, level, name)
    for level in (Level.BUCKET, Level.OBJECT)
    for name in sorted(OF_BUCKETS | OF_OBJECTS)
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
    if (method, level, name) not in known_places()
]


def test_a_known_subresource_never_runs_the_base_operation(server: RunningServer, s3: Any, bucket: str) -> None:
    """All of them on one bucket and object: what AWS has no operation for is 405, and both are as they were."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept", Tagging="a=b")
    before = s3.head_object(Bucket=bucket, Key="k")
    for method, level, name in NOWHERE:
        target = f"/{bucket}/k?{name}" if level is Level.OBJECT else f"/{bucket}?{name}"
        reply = raw.request(server, method, target, b"replaced" if method in ("PUT", "POST") else b"")
        assert reply.status == 405, (method, target)
    after = s3.head_object(Bucket=bucket, Key="k")
    assert (after["ETag"], after["LastModified"], after["TagCount"]) == (before["ETag"], before["LastModified"], 1)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_two_subresources_contradict_each_other(server: RunningServer, bucket: str) -> None:
    assert raw.request(server, "GET", f"/{bucket}?acl&policy").code == "InvalidArgument"


def test_parameters_nobody_knows_are_refused_where_they_could_destroy(
    server: RunningServer, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    for method in ("PUT", "POST", "DELETE"):
        for target in (f"/{bucket}?future", f"/{bucket}/k?future=1", f"/{bucket}/k?tagging&future"):
            reply = raw.request(server, method, target)
            assert reply.status in (400, 405), (method, target)
    assert raw.request(server, "GET", f"/{bucket}/k?future=1&v=2").body == b"kept"
    assert raw.request(server, "HEAD", f"/{bucket}?future").status == 200


def test_a_post_to_an_object_is_no_operation(server: RunningServer, bucket: str) -> None:
    reply = raw.request(server, "POST", f"/{bucket}/k", b"x")
    assert (reply.status, reply.code) == (405, "MethodNotAllowed")
