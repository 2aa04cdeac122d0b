"""Who may do what: principal + action + bucket + object -> yes or no.

The bucket's policy first: what it denies is denied, to the bucket's owner too. Then ownership, then ACLs. Under
BucketOwnerEnforced no ACL counts and the bucket's owner owns every object. Without ownership controls a bucket is ObjectWriter: whoever writes an object owns it, and the bucket's owner may
delete it but not read it. Source: "Access control list (ACL) overview" and "Controlling ownership of objects",
AWS S3 user guide; specs/access.md, specs/policies.md.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from app.domain import acl
from app.domain.acl import Acl, Permission
from app.domain.types import Bucket, Principal, Version

if TYPE_CHECKING:
    from app.domain.policy import Policy, Verdict

ACL_DOCUMENT = "acl"
OWNERSHIP_DOCUMENT = "ownership_controls"
POLICY_DOCUMENT = "policy"

BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
OBJECT_WRITER = "ObjectWriter"


class Circumstances(Protocol):
    """What a policy may ask of a request beyond who, what and where. `version` is what the action is done to."""

    def policy_value(self, name: str, version: Version | None) -> tuple[str, ...] | None: ...


class Grounds(enum.IntEnum):
    """What an action is decided by, when the caller does not own the bucket."""

    SIGNED_IN = enum.auto()  # any signed caller
    BUCKET_OWNER = enum.auto()  # nobody else
    BUCKET_READ = enum.auto()
    BUCKET_WRITE = enum.auto()
    BUCKET_READ_ACP = enum.auto()
    BUCKET_WRITE_ACP = enum.auto()
    INITIATOR = enum.auto()  # whoever may write; the upload's row decides further
    OBJECT_READ = enum.auto()
    OBJECT_READ_ACP = enum.auto()
    OBJECT_WRITE_ACP = enum.auto()
    OBJECT_OWNER = enum.auto()


# Every other action is the bucket owner's alone.
ACTIONS: dict[str, Grounds] = {
    "s3:ListAllMyBuckets": Grounds.SIGNED_IN,
    "s3:CreateBucket": Grounds.SIGNED_IN,
    "s3:ListBucket": Grounds.BUCKET_READ,
    "s3:ListBucketVersions": Grounds.BUCKET_READ,
    "s3:ListBucketMultipartUploads": Grounds.BUCKET_READ,
    "s3:PutObject": Grounds.BUCKET_WRITE,
    "s3:DeleteObject": Grounds.BUCKET_WRITE,
    "s3:AbortMultipartUpload": Grounds.INITIATOR,
    "s3:ListMultipartUploadParts": Grounds.INITIATOR,
    "s3:GetBucketAcl": Grounds.BUCKET_READ_ACP,
    "s3:PutBucketAcl": Grounds.BUCKET_WRITE_ACP,
    "s3:GetObject": Grounds.OBJECT_READ,
    "s3:GetObjectVersion": Grounds.OBJECT_READ,
    "s3:GetObjectAttributes": Grounds.OBJECT_READ,
    "s3:GetObjectVersionAttributes": Grounds.OBJECT_READ,
    "s3:GetObjectAcl": Grounds.OBJECT_READ_ACP,
    "s3:GetObjectVersionAcl": Grounds.OBJECT_READ_ACP,
    "s3:PutObjectAcl": Grounds.OBJECT_WRITE_ACP,
    "s3:PutObjectVersionAcl": Grounds.OBJECT_WRITE_ACP,
    "s3:GetObjectTagging": Grounds.OBJECT_OWNER,
    "s3:GetObjectVersionTagging": Grounds.OBJECT_OWNER,
    "s3:PutObjectTagging": Grounds.OBJECT_OWNER,
    "s3:PutObjectVersionTagging": Grounds.OBJECT_OWNER,
    "s3:DeleteObjectTagging": Grounds.OBJECT_OWNER,
    "s3:DeleteObjectVersionTagging": Grounds.OBJECT_OWNER,
    "s3:GetObjectRetention": Grounds.OBJECT_OWNER,
    "s3:GetObjectLegalHold": Grounds.OBJECT_OWNER,
}

_BUCKET_PERMISSION = {
    Grounds.BUCKET_READ: Permission.READ,
    Grounds.BUCKET_WRITE: Permission.WRITE,
    Grounds.INITIATOR: Permission.WRITE,
    Grounds.BUCKET_READ_ACP: Permission.READ_ACP,
    Grounds.BUCKET_WRITE_ACP: Permission.WRITE_ACP,
}
_OBJECT_PERMISSION = {
    Grounds.OBJECT_READ: Permission.READ,
    Grounds.OBJECT_READ_ACP: Permission.READ_ACP,
    Grounds.OBJECT_WRITE_ACP: Permission.WRITE_ACP,
}
_OBJECT_GROUNDS = frozenset({*_OBJECT_PERMISSION, Grounds.OBJECT_OWNER})


# No policy keeps a bucket's owner from mending it.
_NEVER_DENIED_TO_OWNER = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
# What shows a part of what the other action is about needs both.
_ALSO_NEEDS = {
    "s3:GetObjectAttributes": "s3:GetObject",
    "s3:GetObjectVersionAttributes": "s3:GetObjectVersion",
}


def permits(
    principal: Principal,
    action: str,
    bucket: Bucket | None,
    version: Version | None = None,
    key: str | None = None,
    about: Circumstances | None = None,
) -> bool:
    """Whether `principal` may do `action`. For an object's action, `version` is the object's current or named version.

    Without one the answer is no: whether the caller may learn that is the question `may_list`. `key` is the object's,
    None for the bucket itself. Without `about` the answer is no where a policy would have to look at it.
    """
    grounds = ACTIONS.get(action, Grounds.BUCKET_OWNER)
    if grounds is Grounds.SIGNED_IN:
        return not principal.is_anonymous
    if bucket is None:
        return False
    owns_bucket = bucket.owner_id == principal.id
    if POLICY_DOCUMENT in bucket.documents:
        answer = _by_policy(principal, action, bucket, version, key, about)
        if answer is not None:
            return answer or (owns_bucket and action in _NEVER_DENIED_TO_OWNER)
    if grounds in _OBJECT_GROUNDS:
        if version is None:
            return False
        # Whoever owns both may, whichever of the two decides.
        return (owns_bucket and version.owner_id == principal.id) or _permits_object(
            principal, grounds, bucket, version
        )
    if owns_bucket:
        return True
    permission = _BUCKET_PERMISSION.get(grounds)
    return permission is not None and not is_enforced(bucket) and bucket_acl(bucket).allows(principal.id, permission)


def may_list(principal: Principal, bucket: Bucket, about: Circumstances | None = None) -> bool:
    """Whether the caller may learn that a key is absent."""
    return permits(principal, "s3:ListBucket", bucket, None, None, about)


def denies(principal: Principal, action: str, bucket: Bucket, key: str, about: Circumstances) -> bool:
    """Whether the bucket's policy forbids `action`, whatever else allows it."""
    from app.domain.policy import Verdict

    policy = bucket_policy(bucket)
    return policy is not None and _verdict(policy, principal, action, bucket, None, key, about) is Verdict.DENIED


def might_permit(principal: Principal, action: str, bucket: Bucket) -> bool:
    """Whether the caller might be permitted an object's action on some key: for requests that name keys in the body."""
    policy = bucket_policy(bucket)
    return (policy is not None and policy.might_allow(principal, action)) or permits(
        principal, action, _without_policy(bucket)
    )


def has_policy(bucket: Bucket) -> bool:
    return POLICY_DOCUMENT in bucket.documents


def bucket_policy(bucket: Bucket) -> Policy | None:
    text = bucket.documents.get(POLICY_DOCUMENT)
    if text is None:
        return None
    from app.domain import policy_reading  # most servers have no policy

    return policy_reading.load(text)


def _by_policy(
    principal: Principal,
    action: str,
    bucket: Bucket,
    version: Version | None,
    key: str | None,
    about: Circumstances | None,
) -> bool | None:
    """What the policy says; None where that is for ownership and ACLs to say."""
    from app.domain.policy import Verdict

    policy = bucket_policy(bucket)
    if policy is None:
        return None
    if about is None and policy.asks_request:
        return False
    verdict = _verdict(policy, principal, action, bucket, version, key, about)
    also = _ALSO_NEEDS.get(action)
    if also is not None and not permits(principal, also, bucket, version, key, about):
        return False
    if verdict is Verdict.DENIED:
        return False
    if verdict is Verdict.SILENT:
        return None
    if ACTIONS.get(action) in _OBJECT_GROUNDS:
        # A bucket's policy gives nothing of what others own in it.
        return None if version is None or not (is_enforced(bucket) or version.owner_id == bucket.owner_id) else True
    return True


def _verdict(
    policy: Policy,
    principal: Principal,
    action: str,
    bucket: Bucket,
    version: Version | None,
    key: str | None,
    about: Circumstances | None,
) -> Verdict:
    resource = bucket.name if key is None else f"{bucket.name}/{key}"
    return policy.verdict(
        principal, action, resource, lambda name: None if about is None else about.policy_value(name, version)
    )


def _without_policy(bucket: Bucket) -> Bucket:
    others = {kind: text for kind, text in bucket.documents.items() if kind != POLICY_DOCUMENT}
    return replace(bucket, documents=others)


def _permits_object(principal: Principal, grounds: Grounds, bucket: Bucket, version: Version) -> bool:
    if is_enforced(bucket):
        return bucket.owner_id == principal.id
    if version.owner_id == principal.id:
        return True
    if grounds is Grounds.OBJECT_OWNER or version.acl is None:
        return False
    return version.acl.allows(principal.id, _OBJECT_PERMISSION[grounds])


def ownership(bucket: Bucket) -> str:
    """The bucket's object ownership; ObjectWriter where no controls are set (AWS before April 2023)."""
    return bucket.documents.get(OWNERSHIP_DOCUMENT) or OBJECT_WRITER


def is_enforced(bucket: Bucket) -> bool:
    return bucket.documents.get(OWNERSHIP_DOCUMENT) == BUCKET_OWNER_ENFORCED


def bucket_acl(bucket: Bucket) -> Acl:
    text = bucket.documents.get(ACL_DOCUMENT)
    return acl.private(bucket.owner_id) if text is None else _load(text)


@lru_cache(maxsize=1024)
def _load(text: str) -> Acl:
    return acl.load(text)
