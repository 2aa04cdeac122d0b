"""Versions as rows: listings, and the changes that leave the bytes alone (tags, ACL)."""

from __future__ import annotations

from app.auth import access
from app.core.buckets import check_grants, refuse_acl_if_enforced
from app.core.store import Store
from app.domain import acl as acls
from app.domain.acl import Acl
from app.domain.errors import AccessDenied, MethodNotAllowed, NoSuchKey, NoSuchVersion
from app.domain.names import new_op_id
from app.domain.tags import OBJECT_TAGS_MAX, validate_tags
from app.domain.types import Bucket, ListQuery, Page, Tags, Version, VersionChange, VersionQuery


def list_current(store: Store, query: ListQuery) -> Page[Version]:
    """Raises: NoSuchBucket."""
    return store.metadata.list_current(query)


def list_versions(store: Store, query: VersionQuery) -> Page[Version]:
    """Raises: NoSuchBucket."""
    return store.metadata.list_versions(query)


def put_tags(store: Store, version: Version, new: Tags, *, is_named: bool) -> None:
    """Replace the tags of a version that the caller may change. ETag and modification time stay.

    Raises: InvalidTag, BadRequest, NoSuchBucket, NoSuchKey, NoSuchVersion.
    """
    validate_tags(new, OBJECT_TAGS_MAX)
    _change(store, version, VersionChange(tags=new), is_named=is_named)


def owner_id(bucket: Bucket, version: Version) -> str:
    """Who owns a version: the bucket's owner, whoever wrote it, where object ownership says so."""
    return bucket.owner_id if access.is_enforced(bucket) else version.owner_id


def effective_acl(bucket: Bucket, version: Version) -> Acl:
    """The ACL that counts for a version."""
    if access.is_enforced(bucket) or version.acl is None:
        return acls.private(owner_id(bucket, version))
    return version.acl


def put_acl(store: Store, bucket: Bucket, version: Version, new: Acl, *, is_named: bool) -> None:
    """Replace a version's ACL. ETag and modification time stay.

    Raises: AccessControlListNotSupported, AccessDenied (another owner), InvalidArgument, MalformedACLError,
    NoSuchBucket, NoSuchKey, NoSuchVersion.
    """
    refuse_acl_if_enforced(bucket)
    if new.owner_id != version.owner_id:
        raise AccessDenied
    check_grants(new, store.directory)
    _change(store, version, VersionChange(acl=new), is_named=is_named)


def _change(store: Store, version: Version, change: VersionChange, *, is_named: bool) -> None:
    """The version the caller was authorised for is the one that changes, though another may be current by now."""
    try:
        store.metadata.update_version(version.bucket, version.key, version.version_id, change, new_op_id())
    except (NoSuchVersion, MethodNotAllowed):
        if is_named:
            raise
        raise NoSuchKey(Key=version.key) from None
