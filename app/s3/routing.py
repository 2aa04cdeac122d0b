"""From method, target and parameters to exactly one rule, which says what is done and who may do it.

A sub-resource that AWS knows never runs the base operation: without a rule of its own it is MethodNotAllowed.
A parameter that AWS does not know is ignored on GET and HEAD and refused elsewhere, so that tomorrow's sub-resource
destroys nothing. Source: specs/routing.md.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.domain.errors import InvalidArgument, MethodNotAllowed, S3Error
from app.s3.request import Headers, Query, S3Request, S3Response, Target
from app.s3.subresources import BUCKET_SUBRESOURCES, OBJECT_SUBRESOURCES

View = Callable[[S3Request], S3Response]

XML_MAX_BYTES = 1 << 20


class Level(enum.StrEnum):
    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Needs(enum.StrEnum):
    """What the pipeline looks up before it authorises."""

    NOTHING = "nothing"
    BUCKET = "bucket"
    VERSION = "version"  # the bucket and the version the key leads to
    CONTENT = "content"  # … with the bytes of an inline version


@dataclass(frozen=True, slots=True)
class Rule:
    """One S3 operation. `action` is the IAM action; `version_action` replaces it where `versionId` is given.

    `copies` rules take precedence when x-amz-copy-source is there; `query` is a parameter that must have that value.
    `parameters` are the query parameters the operation takes, beside its sub-resource.
    """

    operation: str
    method: str
    level: Level
    action: str
    view: View = field(repr=False)
    subresource: str = ""
    needs: Needs = Needs.BUCKET
    parameters: frozenset[str] = frozenset()
    version_action: str = ""
    copies: bool = False
    query: tuple[str, str] | None = None
    path: str = ""

    def action_for(self, query: Query) -> str:
        return self.version_action if self.version_action and "versionId" in query else self.action


class Router:
    """All rules of the server. Building it refuses two rules for one request."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._by_place: dict[tuple[str, str, str], list[Rule]] = {}
        self._base: dict[tuple[str, str], Rule] = {}  # what is left without any parameter
        for rule in self.rules:
            place = self._by_place.setdefault((rule.method, rule.level, rule.subresource), [])
            if any((other.copies, other.query) == (rule.copies, rule.query) for other in place):
                raise ValueError(f"two rules for {rule.method} {rule.level} ?{rule.subresource}")
            place.append(rule)
            # The special cases come first, so that the plain operation is what is left.
            place.sort(key=lambda known: (not known.copies, known.query is None))
            if not (rule.subresource or rule.copies or rule.query):
                self._base[rule.method, rule.level] = rule

    def match(self, method: str, target: Target, query: Query, headers: Headers) -> Rule:
        """The rule of a request. Raises: MethodNotAllowed, InvalidArgument (parameters that contradict or are unknown)."""
        level = level_of(target)
        if query.is_plain and "x-amz-copy-source" not in headers.values:
            base = self._base.get((method, level))
            if base is not None:
                return base
        subresource = _subresource(method, level, query)
        for rule in self._by_place.get((method, level, subresource), ()):
            if rule.copies and "x-amz-copy-source" not in headers:
                continue
            if rule.query is not None and query.get(rule.query[0]) != rule.query[1]:
                continue
            if method not in ("GET", "HEAD"):
                _refuse_unknown_parameters(rule, query)
            return rule
        raise _no_rule(method, level, subresource)


def level_of(target: Target) -> Level:
    if target.bucket is None:
        return Level.SERVICE
    return Level.BUCKET if target.key is None else Level.OBJECT


def _subresource(method: str, level: Level, query: Query) -> str:
    if level is Level.SERVICE:
        return ""
    known = BUCKET_SUBRESOURCES if level is Level.BUCKET else OBJECT_SUBRESOURCES
    named = [name for name in query if name in known]
    if len(named) > 1:
        raise InvalidArgument(
            "Conflicting query string parameters: " + ", ".join(sorted(named)),
            ArgumentName="ResourceType",
            ArgumentValue=named[1],
        )
    if level is Level.OBJECT and (method != "GET" or "uploadId" in query):
        multipart = _multipart(method, query)
        if multipart:
            if named:
                raise InvalidArgument(
                    "Conflicting query string parameters.", ArgumentName="ResourceType", ArgumentValue=named[0]
                )
            return multipart
    return named[0] if named else ""


def _multipart(method: str, query: Query) -> str:
    """`uploadId` and `partNumber` dispatch like a sub-resource, though AWS's model lists them as parameters."""
    has_upload, has_part = "uploadId" in query, "partNumber" in query
    if method == "PUT" and has_upload != has_part:
        missing = "partNumber" if has_upload else "uploadId"
        raise InvalidArgument(f"This operation needs the {missing} parameter.", ArgumentName=missing, ArgumentValue="")
    return "uploadId" if has_upload else ""


# A query that has them all is one of Signature Version 2, and refused by that name where that is not taken.
_SIGNATURE_V2 = frozenset({"AWSAccessKeyId", "Expires", "Signature"})
_OF_SIGNATURE_V2 = _SIGNATURE_V2 | {"content-type", "content-md5"}  # signers move these into the query


def _refuse_unknown_parameters(rule: Rule, query: Query) -> None:
    for name in query:
        # The base operation has no sub-resource: a parameter without a name is not its.
        if (rule.subresource and name == rule.subresource) or name in rule.parameters:
            continue
        if rule.subresource == "uploadId" and name in ("uploadId", "partNumber"):
            continue
        if name[:2].lower() == "x-" or (name in _OF_SIGNATURE_V2 and set(query) >= _SIGNATURE_V2):
            continue
        raise InvalidArgument(
            "This operation does not take this query parameter.",
            ArgumentName=name,
            ArgumentValue=query.get(name) or "",
        )


def _no_rule(method: str, level: Level, subresource: str) -> S3Error:
    return MethodNotAllowed(Method=method, ResourceType=subresource.upper() or level.upper())
