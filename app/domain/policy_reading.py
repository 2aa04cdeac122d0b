"""The JSON of a bucket policy, read strictly: what is not understood is refused, for it might have denied something.

    {"Version": "2012-10-17", "Id": …, "Statement": [{
       "Sid": …, "Effect": "Allow" | "Deny",
       "Principal" | "NotPrincipal": "*" | {"AWS" | "CanonicalUser" | …: … | […]},
       "Action" | "NotAction": … | […], "Resource" | "NotResource": … | […],
       "Condition": {operator: {key: … | […]}}}]}

Source: "IAM JSON policy elements reference", AWS IAM user guide; specs/policies.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from app.domain.names import shown
from app.domain.patterns import Pattern, no_values
from app.domain.policy import Choice, Policy, Principals, Statement
from app.domain.policy_actions import ON_BUCKETS, ON_OBJECTS
from app.domain.policy_conditions import Condition, Malformed, read_condition

POLICY_MAX_BYTES = 20 * 1024  # as at AWS
LOADED_MAX = 256  # policies kept parsed

ARN_PREFIX = "arn:aws:s3:::"
EVERYBODY = "*"
_VERSIONS = ("2008-10-17", "2012-10-17")
_WITH_VARIABLES = "2012-10-17"
_FIELDS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_PRINCIPAL_KINDS = frozenset({"AWS", "CanonicalUser", "Federated", "Service"})
_ACCOUNT = re.compile(r"[0-9]{12}")
_IAM_ARN = re.compile(r"arn:aws:(?:iam|sts)::([0-9]{12}|):(root|(?:user|role|assumed-role)/(?:[!-~]*/)?([\w+=,.@-]+))")
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}")


@lru_cache(maxsize=LOADED_MAX)
def load(text: str) -> Policy:
    """A policy that was accepted once."""
    return _read(text, None, lambda _: True)


def parse(text: bytes, bucket: str, is_user: Callable[[str], bool]) -> str:
    """The policy as it is kept, once everything in it is understood; `is_user` knows the names and ids of users.

    Raises: Malformed, with a text for whoever wrote it.
    """
    if len(text) > POLICY_MAX_BYTES:
        raise Malformed(f"Policy exceeds the maximum allowed document size of {POLICY_MAX_BYTES} bytes")
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Malformed("Policies must be valid JSON and the first byte must be '{'") from None
    _read(decoded, bucket, is_user)
    return decoded


def _read(text: str, bucket: str | None, is_user: Callable[[str], bool]) -> Policy:
    if not text.startswith("{"):
        raise Malformed("Policies must be valid JSON and the first byte must be '{'")
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("Policies must be valid JSON and the first byte must be '{'") from None
    _check_fields(document, {"Version", "Id", "Statement"})
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise Malformed("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise Malformed("Invalid policy syntax.")
    listed = document.get("Statement")
    if listed is None:
        raise Malformed("Missing required field Statement")
    entries = listed if isinstance(listed, list) else [listed]
    if not entries:
        raise Malformed("Could not parse the policy: Statement is empty!")
    statements = tuple(_statement(entry, bucket, is_user, version == _WITH_VARIABLES) for entry in entries)
    asks = any(statement.conditions or _has_variables(statement.resources) for statement in statements)
    return Policy(statements, asks)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name given twice one reader takes the first and another the last."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed("Invalid policy syntax: a field is given twice.")
    return dict(pairs)


def _check_fields(entry: object, known: set[str] | frozenset[str]) -> None:
    if not isinstance(entry, dict):
        raise Malformed("Invalid policy syntax.")
    unknown = next((name for name in entry if name not in known), None)
    if unknown is not None:
        raise Malformed(f"Unknown field {shown(unknown)}")


def _statement(entry: Any, bucket: str | None, is_user: Callable[[str], bool], with_variables: bool) -> Statement:
    _check_fields(entry, _FIELDS)
    effect = entry.get("Effect")
    if effect is None:
        raise Malformed("Missing required field Effect")
    if effect not in ("Allow", "Deny"):
        raise Malformed(f"Invalid effect: {shown(str(effect))}")
    if not isinstance(entry.get("Sid", ""), str):
        raise Malformed("Invalid policy syntax.")
    who, others = _either(entry, "Principal")
    if others and effect == "Allow":
        raise Malformed("Allow with NotPrincipal is not allowed.")
    actions = _choice(entry, "Action", _pattern_of_action)
    resources = _choice(entry, "Resource", lambda text: _pattern_of_resource(text, bucket, with_variables))
    _check_actions(actions, resources, bucket)
    conditions = tuple(_conditions(entry.get("Condition", {}), with_variables))
    return Statement(effect == "Deny", _principals(who, is_user), others, actions, resources, conditions)


def _either(entry: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """The value of `name` or of its opposite, and whether it is the opposite."""
    given = [known for known in (name, f"Not{name}") if known in entry]
    if not given:
        raise Malformed(f"Missing required field {name}")
    if len(given) > 1:
        raise Malformed(f"{name} and Not{name} may not be in the same statement")
    return entry[given[0]], given[0] != name


def _texts(value: Any, what: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(text, str) and text for text in listed):
        raise Malformed(f"Policy has invalid {what}")
    return listed


def _choice(entry: Mapping[str, Any], name: str, read: Callable[[str], Pattern]) -> Choice:
    value, negated = _either(entry, name)
    return Choice(tuple(read(text) for text in _texts(value, name.lower())), negated)


def _pattern_of_action(text: str) -> Pattern:
    pattern = Pattern(text.lower())
    if text != EVERYBODY and not any(_matches(pattern, known.lower()) for known in ON_BUCKETS | ON_OBJECTS):
        raise Malformed("Policy has invalid action")
    return pattern


def _pattern_of_resource(text: str, bucket: str | None, with_variables: bool) -> Pattern:
    """Without its prefix. AWS refuses a resource that is in another bucket."""
    if text == EVERYBODY:
        return Pattern(text)
    if not text.startswith(ARN_PREFIX) or text == ARN_PREFIX:
        raise Malformed("Policy has invalid resource")
    pattern = Pattern(text.removeprefix(ARN_PREFIX), with_variables=with_variables)
    if bucket is not None:
        # With a variable in it, or wildcards, it may be of this bucket; one plain name is it, or is not.
        named = Pattern(pattern.text.partition("/")[0], with_variables=with_variables)
        if not named.has_variables and not _matches(named, bucket):
            raise Malformed("Policy has invalid resource")
    return pattern


def _check_actions(actions: Choice, resources: Choice, bucket: str | None) -> None:
    """A statement that can never be about anything is a mistake of whoever wrote it: GetObject on a bucket."""
    if bucket is None or actions.negated or resources.negated:
        return
    on_bucket = any(pattern.has_variables or _matches(pattern, bucket) for pattern in resources.patterns)
    on_objects = any(
        pattern.has_variables or "/" in pattern.text or pattern.text.endswith("*") for pattern in resources.patterns
    )
    for action in actions.patterns:
        names_bucket = any(_matches(action, known.lower()) for known in ON_BUCKETS)
        names_objects = any(_matches(action, known.lower()) for known in ON_OBJECTS)
        if not ((names_bucket and on_bucket) or (names_objects and on_objects)):
            raise Malformed("Action does not apply to any resource(s) in statement")


def _matches(pattern: Pattern, text: str) -> bool:
    return pattern.matches(text, no_values)


def _has_variables(choice: Choice) -> bool:
    return any(pattern.has_variables for pattern in choice.patterns)


def _principals(value: Any, is_user: Callable[[str], bool]) -> Principals:
    if value == EVERYBODY:
        return Principals(everybody=True)
    if not isinstance(value, dict) or not value or not _PRINCIPAL_KINDS.issuperset(value):
        raise Malformed("Invalid principal in policy")
    found = [_principal(kind, text, is_user) for kind, texts in value.items() for text in _texts(texts, "principal")]
    return Principals(
        any(one.everybody for one in found),
        frozenset().union(*(one.ids for one in found)),
        frozenset().union(*(one.names for one in found)),
        any(one.root for one in found),
    )


def _principal(kind: str, text: str, is_user: Callable[[str], bool]) -> Principals:
    if kind in ("Service", "Federated"):
        return Principals()  # services of AWS and identity providers: nobody who asks here is one
    if text == EVERYBODY and kind == "AWS":
        return Principals(everybody=True)
    if _CANONICAL_ID.fullmatch(text):
        if not is_user(text):
            raise Malformed("Invalid principal in policy")
        return Principals(ids=frozenset({text}))
    arn = _IAM_ARN.fullmatch(text)
    if kind != "AWS" or (arn is None and not _ACCOUNT.fullmatch(text)):
        raise Malformed("Invalid principal in policy")
    if arn is None or arn.group(2) == "root":
        return Principals(root=True)
    name = arn.group(3)
    if not is_user(name):
        raise Malformed("Invalid principal in policy")
    return Principals(names=frozenset({name}))


def _conditions(value: Any, with_variables: bool) -> Iterator[Condition]:
    if not isinstance(value, dict):
        raise Malformed("Invalid policy syntax.")
    for operator, keys in value.items():
        if not isinstance(keys, dict) or not keys:
            raise Malformed("Invalid policy syntax.")
        for key, wanted in keys.items():
            yield read_condition(operator, key, _wanted(wanted), with_variables=with_variables)


def _wanted(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str | bool | int | float) for one in listed):
        raise Malformed("Invalid policy syntax.")
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in listed]
