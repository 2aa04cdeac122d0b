"""Bucket policies: who may do what to which resources, and whether a request's statements allow or deny it.

A statement that denies wins over any that allows. How their JSON is read: app/domain/policy_reading.py.
Source: "IAM JSON policy elements reference", AWS IAM user guide, and "Policies and permissions in Amazon S3", AWS S3
user guide; specs/policies.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from app.domain.patterns import Pattern, Values, no_values
from app.domain.policy_conditions import Condition, read_network
from app.domain.types import Principal

# What narrows "everybody" down to somebody, for the question whether a bucket is public.
_NARROWING = frozenset(
    {"aws:sourceip", "aws:sourcearn", "aws:sourceaccount", "aws:sourcevpc", "aws:sourcevpce", "aws:principalorgid",
     "aws:principalarn", "aws:principalaccount", "aws:userid", "aws:username", "s3:dataaccesspointarn",
     "s3:dataaccesspointaccount"}
)  # fmt: skip


class Verdict(enum.Enum):
    ALLOWED = enum.auto()
    DENIED = enum.auto()
    SILENT = enum.auto()  # no statement is about it


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement is about: everybody, ids, or names of users."""

    everybody: bool = False
    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    root: bool = False

    def cover(self, principal: Principal) -> bool:
        if self.everybody:
            return True
        if principal.is_anonymous:
            return False
        return principal.id in self.ids or principal.name in self.names or (self.root and principal.is_root)


@dataclass(frozen=True, slots=True)
class Choice:
    """A list of patterns, or, where `negated`, everything but them."""

    patterns: tuple[Pattern, ...]
    negated: bool = False

    def holds(self, text: str, values: Values) -> bool:
        return any(pattern.matches(text, values) for pattern in self.patterns) != self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    denies: bool
    principals: Principals
    others: bool  # NotPrincipal: it is about everybody but these
    actions: Choice
    resources: Choice
    conditions: tuple[Condition, ...]

    def is_about(self, principal: Principal, action: str, resource: str, values: Values) -> bool:
        return (
            self.principals.cover(principal) != self.others
            and self.actions.holds(action.lower(), values)
            and self.resources.holds(resource, values)
            and all(condition.holds(values) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """`asks_request`: its verdict depends on more than who, what and where."""

    statements: tuple[Statement, ...]
    asks_request: bool

    def verdict(self, principal: Principal, action: str, resource: str, values: Values) -> Verdict:
        """`resource` is "bucket" or "bucket/key"; `values` gives the request's values of condition keys."""
        verdict = Verdict.SILENT
        for statement in self.statements:
            if verdict is Verdict.ALLOWED and not statement.denies:
                continue
            if statement.is_about(principal, action, resource, values):
                if statement.denies:
                    return Verdict.DENIED
                verdict = Verdict.ALLOWED
        return verdict

    def might_allow(self, principal: Principal, action: str) -> bool:
        """Whether some statement allows it somewhere, under some circumstances: before the keys are known."""
        return any(
            not statement.denies
            and statement.principals.cover(principal)
            and statement.actions.holds(action.lower(), no_values)
            for statement in self.statements
        )

    @property
    def is_public(self) -> bool:
        """Whether it allows something to everybody, wherever he comes from."""
        return any(_is_public(statement) for statement in self.statements)


def _is_public(statement: Statement) -> bool:
    if statement.denies or not statement.principals.everybody:
        return False
    return not any(_narrows(condition) for condition in statement.conditions)


def _narrows(condition: Condition) -> bool:
    if condition.key not in _NARROWING or condition.if_exists or "Not" in condition.operator:
        return False
    if any(pattern.has_variables for pattern in condition.wanted):
        return False
    if condition.operator == "IpAddress":
        networks = [read_network(pattern.text) for pattern in condition.wanted]
        return all(network is not None and network.prefixlen > 0 for network in networks)
    return not any("*" in pattern.text or "?" in pattern.text for pattern in condition.wanted)
