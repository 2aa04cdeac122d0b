"""Access control lists: grants, the canned ones, and what a permission allows.

An ACL is stored as JSON text (`dump`, `load`): {"owner": id, "grants": [[grantee type, grantee, permission], …]}.
Source: "Access control list (ACL) overview", AWS S3 user guide.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})

GRANTS_MAX = 100  # per ACL, as at AWS


class Permission(enum.StrEnum):
    FULL_CONTROL = "FULL_CONTROL"
    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"


class GranteeType(enum.StrEnum):
    CANONICAL_USER = "CanonicalUser"
    GROUP = "Group"


@dataclass(frozen=True, slots=True)
class Grant:
    """`grantee` is a canonical user id or a group's URI, as `type` says."""

    type: GranteeType
    grantee: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class Acl:
    owner_id: str
    grants: tuple[Grant, ...]

    def allows(self, user_id: str, permission: Permission) -> bool:
        """Whether a grant gives `permission` to this canonical id; the empty id is an anonymous caller."""
        return any(
            grant.permission in (permission, Permission.FULL_CONTROL) and _covers(grant, user_id)
            for grant in self.grants
        )


def _covers(grant: Grant, user_id: str) -> bool:
    if grant.type is GranteeType.CANONICAL_USER:
        return bool(user_id) and grant.grantee == user_id
    if grant.grantee == ALL_USERS:
        return True
    return grant.grantee == AUTHENTICATED_USERS and bool(user_id)


def private(owner_id: str) -> Acl:
    return Acl(owner_id, (_user(owner_id, Permission.FULL_CONTROL),))


def canned(name: str, owner_id: str, bucket_owner_id: str) -> Acl | None:
    """The ACL that a canned name stands for, or None for an unknown name.

    The bucket-owner names add nothing where the bucket's owner is the object's.
    """
    own = _user(owner_id, Permission.FULL_CONTROL)
    extra: dict[str, tuple[Grant, ...]] = {
        "private": (),
        "public-read": (_group(ALL_USERS, Permission.READ),),
        "public-read-write": (_group(ALL_USERS, Permission.READ), _group(ALL_USERS, Permission.WRITE)),
        "authenticated-read": (_group(AUTHENTICATED_USERS, Permission.READ),),
        "aws-exec-read": (),
        "log-delivery-write": (_group(LOG_DELIVERY, Permission.WRITE), _group(LOG_DELIVERY, Permission.READ_ACP)),
        "bucket-owner-read": (_user(bucket_owner_id, Permission.READ),),
        "bucket-owner-full-control": (_user(bucket_owner_id, Permission.FULL_CONTROL),),
    }
    if name not in extra:
        return None
    if owner_id == bucket_owner_id and name.startswith("bucket-owner-"):
        return Acl(owner_id, (own,))
    return Acl(owner_id, (own, *extra[name]))


def dump(acl: Acl) -> str:
    grants = [[grant.type.value, grant.grantee, grant.permission.value] for grant in acl.grants]
    return json.dumps({"owner": acl.owner_id, "grants": grants}, separators=(",", ":"))


def load(text: str) -> Acl:
    document = json.loads(text)
    return Acl(
        document["owner"],
        tuple(
            Grant(GranteeType(type_), grantee, Permission(permission))
            for type_, grantee, permission in document["grants"]
        ),
    )


def _user(user_id: str, permission: Permission) -> Grant:
    return Grant(GranteeType.CANONICAL_USER, user_id, permission)


def _group(uri: str, permission: Permission) -> Grant:
    return Grant(GranteeType.GROUP, uri, permission)
