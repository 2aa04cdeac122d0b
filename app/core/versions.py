"""Versions as rows: listings, and the changes that leave the bytes alone (tags, ACL)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from app.auth import access
from app.core.buckets import check_grants, refuse_acl_if_enforced
from app.core.store import Store
from app.domain import acl as acls
from app.domain.acl import Acl
from app.domain.errors import AccessDenied, NoSuchVersion
from app.domain.names import new_op_id
from app.domain.tags import OBJECT_TAGS_MAX, validate_tags
from app.domain.types import (
    Bucket,
    Listed,
    ListedVersion,
    ListQuery,
    Page,
    Tags,
    Version,
    VersionChange,
    VersionQuery,
)


def list_current(store: Store, query: ListQuery) -> Page[Listed]:
    """Raises: NoSuchBucket."""
    return store.metadata.list_current(query, brief=True)


def list_versions(store: Store, query: VersionQuery) -> Page[ListedVersion]:
    """Raises: NoSuchBucket."""
    return store.metadata.list_versions(query, brief=True)


def owner_of_all(bucket: Bucket) -> str | None:
    """Who owns every version of a bucket, where object ownership says so; None: each has its own owner."""
    return bucket.owner_id if access.is_enforced(bucket) else None


def put_tags(store: Store, version: Version, new: Tags) -> None:
    """Replace the tags of a version that the caller may change. ETag and modification time stay.

    Raises: InvalidTag, BadRequest, NoSuchBucket.
    """
    validate_tags(new, OBJECT_TAGS_MAX)
    _change(store, version, VersionChange(tags=new))


def owner_id(bucket: Bucket, version: Version) -> str:
    """Who owns a version: the bucket's owner, whoever wrote it, where object ownership says so."""
    return bucket.owner_id if access.is_enforced(bucket) else version.owner_id


def effective_acl(bucket: Bucket, version: Version) -> Acl:
    """The ACL that counts for a version."""
    if access.is_enforced(bucket) or version.acl is None:
        return acls.private(owner_id(bucket, version))
    return version.acl


def put_acl(store: Store, bucket: Bucket, version: Version, new: Acl) -> None:
    """Replace a version's ACL. ETag and modification time stay.

    Raises: AccessControlListNotSupported, AccessDenied (another owner), InvalidArgument, MalformedACLError,
    NoSuchBucket.
    """
    refuse_acl_if_enforced(bucket)
    if new.owner_id != version.owner_id:
        raise AccessDenied
    check_grants(new, store.directory)
    _change(store, version, VersionChange(acl=new))


def _change(store: Store, version: Version, change: VersionChange) -> None:
    """The row that the caller was authorised for is changed, or none.

    One that was replaced or deleted since was changed just before and took the change with it: nothing tells the two
    apart, so that is no error. Its successor may be another owner's, and is left alone.
    """
    change = replace(change, sequence=version.sequence)
    with suppress(NoSuchVersion):
        store.metadata.update_version(version.bucket, version.key, version.version_id, change, new_op_id())
