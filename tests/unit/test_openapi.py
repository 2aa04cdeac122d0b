"""The OpenAPI document is the contract of the S3 interface: it and the routes say the same, in both directions."""

from __future__ import annotations

import re

import pytest

from app.auth.access import ACTIONS, Grounds
from app.domain import errors
from app.domain.digests import CHECKSUM_ALGORITHMS
from app.domain.errors import S3Error
from app.s3.headers import STORAGE_CLASSES
from app.s3.routing import Level, Rule
from app.s3.views import BLUEPRINTS
from app.version import __version__
from tests.components import require_python
from tests.unit.openapi import COPY_HEADER, Documented, at, document, operations, references

RULES: dict[str, Rule] = {rule.operation: rule for blueprint in BLUEPRINTS for rule in blueprint.rules}
OPERATIONS = operations()
PATHS = {Level.SERVICE: "/", Level.BUCKET: "/{bucket}", Level.OBJECT: "/{bucket}/{key}"}
STATUS = {
    error.code: error.status
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, S3Error)
}
# What ACLs can never open to everybody.
SIGNED_ONLY = {Grounds.SIGNED_IN, Grounds.BUCKET_OWNER, Grounds.OBJECT_OWNER}

BOTH = pytest.mark.parametrize(
    ("rule", "operation"),
    [pytest.param(RULES[name], OPERATIONS[name], id=name) for name in RULES if name in OPERATIONS],
)


def test_the_operations_are_those_of_the_routes() -> None:
    assert sorted(OPERATIONS) == sorted(RULES)


@BOTH
def test_an_operation_is_where_its_route_is(rule: Rule, operation: Documented) -> None:
    selector = rule.subresource or ("=".join(rule.query) if rule.query else "")
    assert (operation.method, operation.path, operation.selector) == (rule.method, PATHS[rule.level], selector)
    assert operation.is_copy == rule.copies
    assert (COPY_HEADER in operation.named("header")) == rule.copies
    assert set(operation.named("path")) == set(re.findall(r"\{(\w+)\}", operation.path))


@BOTH
def test_an_operation_takes_the_query_parameters_of_its_route(rule: Rule, operation: Documented) -> None:
    expected = set(rule.parameters)
    if rule.subresource == "uploadId":
        expected |= {"uploadId"} | ({"partNumber"} if rule.method == "PUT" else set())
    assert set(operation.named("query")) == expected


@BOTH
def test_an_operation_asks_for_the_permission_of_its_route(rule: Rule, operation: Documented) -> None:
    assert operation.node["x-iam-action"] == rule.action
    assert operation.node.get("x-iam-version-action", "") == rule.version_action
    opens = {ACTIONS.get(action, Grounds.BUCKET_OWNER) for action in (rule.action, rule.version_action) if action}
    signed: list[dict[str, list[str]]] = [{"signature": []}, {"presigned": []}]
    assert operation.node.get("security", signed) == (signed if opens <= SIGNED_ONLY else [*signed, {}])


@BOTH
def test_what_is_not_built_is_marked(rule: Rule, operation: Documented) -> None:
    unconfigured = next(blueprint for blueprint in BLUEPRINTS if blueprint.name == "unconfigured")
    assert (operation.node.get("x-status") == "unconfigured") == (rule in unconfigured.rules)


@BOTH
def test_error_codes_exist_and_their_statuses_are_documented(rule: Rule, operation: Documented) -> None:
    codes = operation.node.get("x-errors", [])
    assert codes == sorted(set(codes))
    assert set(codes) <= set(STATUS)
    failures = {int(status) for status in operation.node["responses"] if status.isdigit() and int(status) >= 300}
    assert {STATUS[code] for code in codes} == failures
    assert operation.node["responses"]["default"] == {"$ref": "#/components/responses/Error"}
    assert ("NoSuchBucket" in codes) == (rule.level is not Level.SERVICE and rule.operation != "CreateBucket")


def test_error_codes_of_every_operation_exist() -> None:
    assert set(document()["x-errors-of-every-operation"]) <= set(STATUS)


def test_words_are_those_of_the_code() -> None:
    schemas = document()["components"]["schemas"]
    assert document()["info"]["version"] == __version__
    assert set(schemas["StorageClassName"]["enum"]) == STORAGE_CLASSES
    assert tuple(schemas["ChecksumAlgorithmName"]["enum"]) == CHECKSUM_ALGORITHMS
    assert list(schemas["PartChecksum"]["properties"]) == [f"Checksum{name}" for name in CHECKSUM_ALGORITHMS]


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(document()))
    for reference in used:
        assert at(reference), reference
    components = document()["components"]
    kinds = ("parameters", "headers", "responses", "schemas")
    assert used == {f"#/components/{kind}/{name}" for kind in kinds for name in components[kind]}


def test_every_operation_has_a_tag_that_exists_and_a_description() -> None:
    tags = {tag["name"] for tag in document()["tags"]}
    for operation in OPERATIONS.values():
        assert set(operation.node["tags"]) <= tags
        assert len(operation.node["tags"]) == 1
        assert operation.node["summary"] == operation.name, "the page shows it"
        assert operation.node["description"].endswith(".")


def test_the_document_is_valid_openapi() -> None:
    require_python("openapi_spec_validator", "openapi-spec-validator").validate(document())
