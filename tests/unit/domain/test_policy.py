"""Bucket policies: what is refused as not understood, and what the rest says to a request."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from typing import Any

import pytest

from app.domain.patterns import Pattern
from app.domain.policy import Verdict
from app.domain.policy_actions import ON_BUCKETS, ON_OBJECTS
from app.domain.policy_conditions import Malformed
from app.domain.policy_reading import POLICY_MAX_BYTES, load, parse
from app.domain.types import ANONYMOUS, Principal
from app.s3.routing import Level
from app.s3.views import BLUEPRINTS

ALICE = Principal("a" * 64, "alice", "key-of-alice")
BOB = Principal("b" * 64, "bob", "key-of-bob")
ROOT = Principal("c" * 64, "root", "key-of-root", is_root=True)
USERS = {ALICE.id, ALICE.name, BOB.id, BOB.name}

ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def verdict(
    *statements: dict[str, Any],
    who: Principal = BOB,
    action: str = "s3:GetObject",
    resource: str = "b/k",
    values: dict[str, str | tuple[str, ...]] | None = None,
    version: str = "2012-10-17",
) -> Verdict:
    text = parse(document(*statements, version=version).encode(), "b", USERS.__contains__)
    known = {key: (value,) if isinstance(value, str) else value for key, value in (values or {}).items()}
    return load(text).verdict(who, action, resource, known.get)


def allowed(**changes: Any) -> Verdict:
    """What the statement that allows reading says, with other elements."""
    asked = {name: changes.pop(name) for name in ("who", "action", "resource", "values", "version") if name in changes}
    return verdict({**ALLOW, **changes}, **asked)


def holds(condition: dict[str, Any], **values: str | tuple[str, ...]) -> bool:
    keyed = {key.replace("__", ":").replace("_", "-"): value for key, value in values.items()}
    return allowed(Condition=condition, values=keyed) is Verdict.ALLOWED


# -- what is refused ---------------------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ALLOW.items() if key != name}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "valid JSON"),
        ("[]", "valid JSON"),
        (" {}", "valid JSON"),
        ("{", "valid JSON"),
        ("{" + "[" * 15_000, "valid JSON"),
        ("{}", "Missing required field Statement"),
        ('{"Statement": [], "Version": "2012-10-17"}', "Statement is empty"),
        ('{"Statement": [7]}', "Invalid policy syntax"),
        ('{"Version": "2012-10-18", "Statement": {}}', "valid version"),
        ('{"Version": "2012-10-17", "Version": "2008-10-17", "Statement": {}}', "given twice"),
        ('{"Statements": []}', "Unknown field Statements"),
        (document({**ALLOW, "Efect": "Deny"}), "Unknown field Efect"),
        (document({**ALLOW, "Effect": "deny"}), "Invalid effect"),
        (document({**ALLOW, "Effect": ["Deny"]}), "Invalid effect"),
        (document(without("Effect")), "Missing required field Effect"),
        (document(without("Principal")), "Missing required field Principal"),
        (document(without("Action")), "Missing required field Action"),
        (document(without("Resource")), "Missing required field Resource"),
        (document({**ALLOW, "NotAction": "s3:PutObject"}), "may not be in the same statement"),
        (document({**without("Principal"), "NotPrincipal": {"AWS": ALICE.id}}), "Allow with NotPrincipal"),
        (document({**ALLOW, "Principal": "alice"}), "Invalid principal"),
        (document({**ALLOW, "Principal": {"AWS": "arn:aws:iam::123456789012:user/mallory"}}), "Invalid principal"),
        (document({**ALLOW, "Principal": {"AWS": "d" * 64}}), "Invalid principal"),
        (document({**ALLOW, "Principal": {"CanonicalUser": "*"}}), "Invalid principal"),
        (document({**ALLOW, "Principal": {"Human": "*"}}), "Invalid principal"),
        (document({**ALLOW, "Principal": {"AWS": []}}), "invalid principal"),
        (document({**ALLOW, "Action": "s3:GetObjekt"}), "invalid action"),
        (document({**ALLOW, "Action": "sqs:*"}), "invalid action"),
        (document({**ALLOW, "Action": []}), "invalid action"),
        (document({**ALLOW, "Resource": "b/*"}), "invalid resource"),
        (document({**ALLOW, "Resource": "arn:aws:s3:::other/*"}), "invalid resource"),
        (document({**ALLOW, "Resource": "arn:aws:s3:::"}), "invalid resource"),
        (document({**ALLOW, "Resource": "arn:aws:s3:::b"}), "does not apply to any resource"),
        (document({**ALLOW, "Action": "s3:ListBucket"}), "does not apply to any resource"),
        (document({**ALLOW, "Condition": []}), "Invalid policy syntax"),
        (document({**ALLOW, "Condition": {"StringIs": {"aws:Referer": "x"}}}), "Invalid Condition type"),
        (document({**ALLOW, "Condition": {"NullIfExists": {"aws:Referer": "true"}}}), "Invalid Condition type"),
        (document({**ALLOW, "Condition": {"StringEquals": {"aws:Colour": "x"}}}), "invalid condition key"),
        (document({**ALLOW, "Condition": {"StringEquals": {"s3:ExistingObjectTag/": "x"}}}), "invalid condition key"),
        (document({**ALLOW, "Condition": {"StringEquals": {"aws:Referer": {}}}}), "Invalid policy syntax"),
        (document({**ALLOW, "Condition": {"StringEquals": {"aws:Referer": []}}}), "Invalid policy syntax"),
        (document({**ALLOW, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}}), "Invalid value"),
        (document({**ALLOW, "Condition": {"NumericLessThan": {"s3:max-keys": "ten"}}}), "Invalid value"),
        (document({**ALLOW, "Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}}), "Invalid value"),
        (document({**ALLOW, "Condition": {"Bool": {"aws:SecureTransport": "yes"}}}), "Invalid value"),
        (document({**ALLOW, "Sid": "x" * POLICY_MAX_BYTES}), "maximum allowed document size"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse(text.encode(), "b", USERS.__contains__)


def test_text_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(Malformed, match="valid JSON"):
        parse(document(ALLOW).encode()[:-1] + b"\xff}", "b", USERS.__contains__)


@pytest.mark.parametrize(
    "changes",
    [
        {"Action": "*"},
        {"Action": "s3:*"},
        {"Action": ["S3:getobject", "s3:List*"], "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]},
        {"Resource": "arn:aws:s3:::b*"},
        {"Resource": "arn:aws:s3:::*"},
        {"Resource": "*"},
        {"Principal": {"AWS": ["*", ALICE.id]}},
        {"Principal": {"AWS": "123456789012"}},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root", "Service": "logging.s3.amazonaws.com"}},
        {"Sid": "one", "Condition": {}},
    ],
)
def test_what_is_understood_is_kept_as_it_was_written(changes: dict[str, Any]) -> None:
    text = document({**ALLOW, **changes})
    assert parse(text.encode(), "b", USERS.__contains__) == text


def test_every_action_of_the_server_can_be_named() -> None:
    """An operation that no policy could name could not be given to anybody."""
    rules = [rule for blueprint in BLUEPRINTS for rule in blueprint.rules if rule.level is not Level.SERVICE]
    actions = {action for rule in rules for action in (rule.action, rule.version_action) if action}
    assert actions <= ON_BUCKETS | ON_OBJECTS
    assert not ON_BUCKETS & ON_OBJECTS
    named = {
        (rule.operation, rule.level is Level.OBJECT)
        for rule in rules
        if (rule.action in ON_OBJECTS) != (rule.level is Level.OBJECT)
    }
    assert named == {("DeleteObjects", False), ("PostObject", False)}


# -- what is said ------------------------------------------------------------------------------------------------


def test_a_statement_that_denies_wins_in_any_order() -> None:
    deny = {**ALLOW, "Effect": "Deny", "Resource": "arn:aws:s3:::b/secret/*"}
    for statements in itertools.permutations((ALLOW, deny, ALLOW)):
        assert verdict(*statements, resource="b/k") is Verdict.ALLOWED
        assert verdict(*statements, resource="b/secret/k") is Verdict.DENIED
        assert verdict(*statements, action="s3:PutObject") is Verdict.SILENT


@pytest.mark.parametrize(
    ("principal", "covered"),
    [
        ("*", {ANONYMOUS, ALICE, BOB, ROOT}),
        ({"AWS": "*"}, {ANONYMOUS, ALICE, BOB, ROOT}),
        ({"AWS": "arn:aws:iam::123456789012:user/bob"}, {BOB}),
        ({"AWS": "arn:aws:iam:::user/some/path/alice"}, {ALICE}),
        ({"AWS": [ALICE.id, "arn:aws:iam::000000000000:user/bob"]}, {ALICE, BOB}),
        ({"CanonicalUser": BOB.id}, {BOB}),
        ({"AWS": "arn:aws:iam::123456789012:root"}, {ROOT}),
        ({"Service": "logging.s3.amazonaws.com"}, set()),
    ],
)
def test_who_is_meant(principal: Any, covered: set[Principal]) -> None:
    asked = {who: allowed(Principal=principal, who=who) is Verdict.ALLOWED for who in (ANONYMOUS, ALICE, BOB, ROOT)}
    assert {who for who, is_covered in asked.items() if is_covered} == covered


def test_not_principal_denies_everybody_else() -> None:
    deny = {**without("Principal"), "Effect": "Deny", "NotPrincipal": {"AWS": ALICE.id}}
    said = {who.name: verdict(deny, who=who) for who in (ALICE, BOB, ANONYMOUS)}
    assert said == {"alice": Verdict.SILENT, "bob": Verdict.DENIED, "": Verdict.DENIED}


def test_not_action_and_not_resource() -> None:
    deny = {**without("Action"), "Effect": "Deny", "NotAction": "s3:Get*"}
    assert verdict(deny, action="s3:GetObject") is Verdict.SILENT
    assert verdict(deny, action="s3:PutObject") is Verdict.DENIED
    deny = {**without("Resource"), "Effect": "Deny", "NotResource": "arn:aws:s3:::b/open/*"}
    assert verdict(deny, resource="b/open/k") is Verdict.SILENT
    assert verdict(deny, resource="b/k") is Verdict.DENIED


def test_actions_in_any_case_and_keys_in_theirs() -> None:
    assert allowed(Action="S3:GETOBJECT") is Verdict.ALLOWED
    assert allowed(Resource="arn:aws:s3:::b/K") is Verdict.SILENT
    assert allowed(Action="s3:GetObject?*") is Verdict.SILENT


def test_variables_are_values_and_no_wildcards() -> None:
    home = {"Resource": "arn:aws:s3:::b/home/${aws:username}/*"}
    assert allowed(**home, resource="b/home/bob/k", values={"aws:username": "bob"}) is Verdict.ALLOWED
    assert allowed(**home, resource="b/home/alice/k", values={"aws:username": "bob"}) is Verdict.SILENT
    assert allowed(**home, resource="b/home/alice/k", values={"aws:username": "*"}) is Verdict.SILENT
    assert allowed(**home, resource="b/home//k") is Verdict.SILENT
    assert allowed(**home, resource="b/home/bob/k", values={"aws:username": ("bob", "alice")}) is Verdict.SILENT
    # The older version of the language has none.
    assert (
        allowed(**home, resource="b/home/bob/k", values={"aws:username": "bob"}, version="2008-10-17") is Verdict.SILENT
    )
    fallback = {"Resource": "arn:aws:s3:::b/${aws:username, 'nobody'}/${*}"}
    assert allowed(**fallback, resource="b/nobody/*") is Verdict.ALLOWED
    assert allowed(**fallback, resource="b/nobody/k") is Verdict.SILENT


def test_patterns_match_as_regular_expressions_would() -> None:
    random.seed(7)
    for _ in range(3_000):
        pattern = "".join(random.choices("ab*?.", k=random.randrange(1, 7)))
        text = "".join(random.choices("ab.", k=random.randrange(7)))
        expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None
        assert Pattern(pattern).matches(text, lambda _: None) == expected, (pattern, text)


def test_a_hostile_pattern_takes_no_time() -> None:
    pattern, text = Pattern("a*" * 500 + "b"), "a" * 1_024
    started = time.perf_counter()
    assert not pattern.matches(text, lambda _: None)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    ("condition", "fits", "misses"),
    [
        ({"StringEquals": {"aws:Referer": ["x", "y"]}}, "y", "Y"),
        ({"StringNotEquals": {"aws:Referer": ["x", "y"]}}, "z", "y"),
        ({"StringEqualsIgnoreCase": {"aws:Referer": "x"}}, "X", "z"),
        ({"StringNotEqualsIgnoreCase": {"aws:Referer": "x"}}, "z", "X"),
        ({"StringLike": {"aws:Referer": "http://*.example.com/?"}}, "http://a.b.example.com/1", "http://example.com/1"),
        ({"StringNotLike": {"aws:Referer": "http://*"}}, "https://x", "http://x"),
        ({"ArnLike": {"aws:Referer": "arn:aws:iam::*:user/x"}}, "arn:aws:iam::1:user/x", "arn:aws:iam::1:user/y"),
        ({"ArnNotEquals": {"aws:Referer": "arn:aws:iam::1:user/x"}}, "y", "arn:aws:iam::1:user/x"),
        ({"IpAddress": {"aws:Referer": ["10.1.2.3/8", "::1"]}}, "10.255.0.1", "11.0.0.1"),
        ({"IpAddress": {"aws:Referer": "10.0.0.0/8"}}, "::ffff:10.0.0.1", "::1"),
        ({"NotIpAddress": {"aws:Referer": "10.0.0.0/8"}}, "2001:db8::1", "10.0.0.1"),
        ({"NumericLessThanEquals": {"aws:Referer": 10}}, "10", "10.5"),
        ({"NumericNotEquals": {"aws:Referer": "10"}}, "11", "10.0"),
        ({"NumericGreaterThan": {"aws:Referer": "10"}}, "11", "nan"),
        ({"DateLessThan": {"aws:Referer": "2030-01-01T00:00:00Z"}}, "2029-12-31T23:59:59Z", "2030-01-01T00:00:00Z"),
        ({"DateGreaterThan": {"aws:Referer": "1000"}}, "1970-01-01T00:16:41Z", "1970-01-01T00:16:40+00:00"),
        ({"Bool": {"aws:Referer": True}}, "true", "false"),
    ],
)
def test_operators(condition: dict[str, Any], fits: str, misses: str) -> None:
    negates = "Not" in next(iter(condition))
    assert holds(condition, aws__referer=fits)
    assert not holds(condition, aws__referer=misses)
    assert holds(condition) == negates, "a key that is absent"
    operator, keys = next(iter(condition.items()))
    assert holds({f"{operator}IfExists": keys})
    assert not holds({f"{operator}IfExists": keys}, aws__referer=misses)


def test_null_asks_whether_the_key_is_there() -> None:
    assert holds({"Null": {"s3:x-amz-acl": "true"}})
    assert not holds({"Null": {"s3:x-amz-acl": "true"}}, s3__x_amz_acl="private")
    assert holds({"Null": {"s3:x-amz-acl": False}}, s3__x_amz_acl="private")


def test_keys_of_several_values() -> None:
    every = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}
    some = {"ForAnyValue:StringLike": {"s3:RequestObjectTagKeys": ["a*"]}}
    assert holds(every, s3__requestobjecttagkeys=("a", "b"))
    assert holds(every)
    assert not holds(every, s3__requestobjecttagkeys=("a", "c"))
    assert holds(some, s3__requestobjecttagkeys=("z", "ab"))
    assert not holds(some)


def test_all_conditions_must_hold() -> None:
    both = {"StringEquals": {"aws:Referer": "x", "aws:UserAgent": "y"}, "Bool": {"aws:SecureTransport": "true"}}
    values = {"aws__referer": "x", "aws__useragent": "y", "aws__securetransport": "true"}
    assert holds(both, **values)
    for name in values:
        assert not holds(both, **{**values, name: "other"})


def test_a_tags_own_name_keeps_its_case() -> None:
    condition = {"StringEquals": {"S3:ExistingObjectTag/Security": "public"}}
    assert allowed(Condition=condition, values={"s3:existingobjecttag/Security": "public"}) is Verdict.ALLOWED
    assert allowed(Condition=condition, values={"s3:existingobjecttag/security": "public"}) is Verdict.SILENT


@pytest.mark.parametrize(
    ("changes", "is_public"),
    [
        ({}, True),
        ({"Principal": {"AWS": ALICE.id}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, True),
        ({"Condition": {"StringEquals": {"aws:Referer": "x"}}}, True),
        ({"Condition": {"StringLike": {"aws:userid": "*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:userid": "x"}}}, False),
    ],
)
def test_public_is_what_everybody_may(changes: dict[str, Any], is_public: bool) -> None:
    assert load(document({**ALLOW, **changes})).is_public == is_public
