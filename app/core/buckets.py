"""Buckets and their configurations: create, delete, list, versioning, tags, ACL, object ownership.

A configuration is one document of the bucket, replaced whole in one commit: the ACL as `acl.dump` writes it, tags as
a JSON list of [key, value], object ownership as its bare name. Source: specs/buckets.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from app.auth import access
from app.core import placement
from app.core.store import Directory, Store
from app.domain import acl as acls
from app.domain.acl import Acl, GranteeType
from app.domain.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    IllegalLocationConstraintException,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    InvalidLocationConstraint,
    MalformedACLError,
    NoSuchBucket,
    NoSuchTagSet,
    OperationAborted,
    OwnershipControlsNotFoundError,
)
from app.domain.names import check_bucket_name, new_op_id
from app.domain.tags import BUCKET_TAGS_MAX, validate_tags
from app.domain.types import Bucket, BucketQuery, NewBucket, Page, Tags, Versioning

TAGGING_DOCUMENT = "tagging"
OWNERSHIPS = (access.BUCKET_OWNER_ENFORCED, access.BUCKET_OWNER_PREFERRED, access.OBJECT_WRITER)
FIRST_REGION = "us-east-1"

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}")
_REGION_MAX = 63
_STORABLE_REGION = re.compile(rf"[A-Za-z0-9_-]{{1,{_REGION_MAX}}}")
_OLD_NAMES = {"EU": "eu-west-1"}


@dataclass(frozen=True, slots=True)
class BucketWish:
    """What a client says about the bucket it creates. `location` None: wherever the server is."""

    name: str
    owner_id: str
    location: str | None = None
    acl: Acl | None = None
    ownership: str | None = None
    tags: Tags = ()
    policy: str | None = None  # of the server's own making


def create_bucket(store: Store, wish: BucketWish) -> None:
    """Create a bucket. One that the caller owns already is left as it is: a success in us-east-1 where no ACL is involved.

    Raises: InvalidBucketName, InvalidLocationConstraint, IllegalLocationConstraintException, InvalidArgument,
    InvalidBucketAclWithObjectOwnership, InvalidTag, BadRequest, BucketAlreadyExists, BucketAlreadyOwnedByYou.
    """
    check_bucket_name(wish.name)
    backend = None if store.placement is None or not wish.location else store.placement.at_location(wish.location)
    # Whatever holds the bytes: clients sign with the region that GetBucketLocation says.
    region = _region_for(store.region, None if backend is not None else wish.location)
    if wish.ownership is not None:
        _check_ownership(wish.ownership)
    validate_tags(wish.tags, BUCKET_TAGS_MAX)
    granted = wish.acl is not None and wish.acl != acls.private(wish.owner_id)
    if wish.acl is not None:
        check_grants(wish.acl, store.directory)
    if granted and wish.ownership == access.BUCKET_OWNER_ENFORCED:
        raise InvalidBucketAclWithObjectOwnership
    documents: dict[str, str] = {}
    if wish.acl is not None and granted:
        documents[access.ACL_DOCUMENT] = acls.dump(wish.acl)
    if wish.ownership is not None:
        documents[access.OWNERSHIP_DOCUMENT] = wish.ownership
    if wish.tags:
        documents[TAGGING_DOCUMENT] = _dump_tags(wish.tags)
    if wish.policy is not None:
        documents[access.POLICY_DOCUMENT] = wish.policy
    if backend is not None:
        documents[placement.DOCUMENT] = placement.document(backend)
    new = NewBucket(wish.name, wish.owner_id, region, store.now_ms(), documents)
    try:
        store.metadata.create_bucket(new, new_op_id())
    except BucketAlreadyOwnedByYou:
        bucket = _still_there(store, wish.name)
        if bucket.region != FIRST_REGION:
            raise
        if granted or access.ACL_DOCUMENT in bucket.documents:
            raise BucketAlreadyExists(BucketName=wish.name) from None


def _still_there(store: Store, name: str) -> Bucket:
    try:
        return store.metadata.bucket(name)
    except NoSuchBucket:
        raise OperationAborted from None  # deleted since: the client decides whether it still wants one


def _region_for(server_region: str, location: str | None) -> str:
    """The region a bucket is created in. A server without a region takes any name, as one that stands for many."""
    if not location:
        return server_region or FIRST_REGION
    if not server_region:
        if not _STORABLE_REGION.fullmatch(location):
            raise InvalidLocationConstraint(LocationConstraint=location)
        return location
    if server_region in (location, _OLD_NAMES.get(location)):
        return server_region
    if location in _OLD_NAMES or (len(location) <= _REGION_MAX and _REGION.fullmatch(location)):
        raise IllegalLocationConstraintException(
            f"The {location} location constraint is incompatible for the region specific endpoint this request was "
            "sent to."
        )
    raise InvalidLocationConstraint(LocationConstraint=location)


def delete_bucket(store: Store, name: str) -> None:
    """Raises: NoSuchBucket, BucketNotEmpty (versions and delete markers count)."""
    store.metadata.delete_bucket(name, new_op_id(), store.now_ms())


def list_buckets(store: Store, query: BucketQuery) -> Page[Bucket]:
    return store.metadata.list_buckets(query)


def put_versioning(store: Store, bucket: Bucket, versioning: Versioning) -> None:
    """Raises: NoSuchBucket."""
    store.metadata.set_versioning(bucket.name, versioning, new_op_id())


# -- tags --------------------------------------------------------------------------------------------------------


def tags(bucket: Bucket) -> Tags:
    """Raises: NoSuchTagSet."""
    text = bucket.documents.get(TAGGING_DOCUMENT)
    if text is None:
        raise NoSuchTagSet(BucketName=bucket.name)
    return tuple((key, value) for key, value in json.loads(text))


def put_tags(store: Store, bucket: Bucket, new: Tags) -> None:
    """Replace the tag set; an empty one is none. Raises: InvalidTag, BadRequest, NoSuchBucket."""
    validate_tags(new, BUCKET_TAGS_MAX)
    store.metadata.put_document(bucket.name, TAGGING_DOCUMENT, _dump_tags(new) if new else None, new_op_id())


def delete_tags(store: Store, bucket: Bucket) -> None:
    """Raises: NoSuchBucket."""
    store.metadata.put_document(bucket.name, TAGGING_DOCUMENT, None, new_op_id())


def _dump_tags(new: Tags) -> str:
    return json.dumps(new, separators=(",", ":"), ensure_ascii=False)


# -- access control list -----------------------------------------------------------------------------------------


def effective_acl(bucket: Bucket) -> Acl:
    """The ACL that counts: the owner's alone where object ownership has switched ACLs off."""
    return acls.private(bucket.owner_id) if access.is_enforced(bucket) else access.bucket_acl(bucket)


def put_acl(store: Store, bucket: Bucket, new: Acl) -> None:
    """Replace the bucket's ACL. The owner's own access never depends on it.

    Raises: AccessControlListNotSupported, AccessDenied (another owner), InvalidArgument, MalformedACLError,
    NoSuchBucket.
    """
    refuse_acl_if_enforced(bucket)
    if new.owner_id != bucket.owner_id:
        raise AccessDenied
    check_grants(new, store.directory)
    text = None if new == acls.private(bucket.owner_id) else acls.dump(new)
    store.metadata.put_document(bucket.name, access.ACL_DOCUMENT, text, new_op_id())


def refuse_acl_if_enforced(bucket: Bucket) -> None:
    """Raises: AccessControlListNotSupported."""
    if access.is_enforced(bucket):
        raise AccessControlListNotSupported


def check_grants(new: Acl, directory: Directory) -> None:
    """Raises: InvalidArgument (an unknown grantee), MalformedACLError (too many grants)."""
    if len(new.grants) > acls.GRANTS_MAX:
        raise MalformedACLError
    for grant in new.grants:
        if grant.type is GranteeType.GROUP:
            if grant.grantee not in acls.GROUPS:
                raise InvalidArgument("Invalid group uri", ArgumentName="uri", ArgumentValue=grant.grantee)
        elif grant.grantee != new.owner_id and not directory.exists(grant.grantee):
            raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=grant.grantee)


# -- object ownership --------------------------------------------------------------------------------------------


def ownership(bucket: Bucket) -> str:
    """Raises: OwnershipControlsNotFoundError."""
    name = bucket.documents.get(access.OWNERSHIP_DOCUMENT)
    if name is None:
        raise OwnershipControlsNotFoundError(BucketName=bucket.name)
    return name


def put_ownership(store: Store, bucket: Bucket, name: str) -> None:
    """Raises: InvalidArgument, InvalidBucketAclWithObjectOwnership (Enforced, and the ACL grants others), NoSuchBucket."""
    _check_ownership(name)
    if name == access.BUCKET_OWNER_ENFORCED and _grants_others(access.bucket_acl(bucket)):
        raise InvalidBucketAclWithObjectOwnership
    store.metadata.put_document(bucket.name, access.OWNERSHIP_DOCUMENT, name, new_op_id())


def delete_ownership(store: Store, bucket: Bucket) -> None:
    """Raises: NoSuchBucket."""
    store.metadata.put_document(bucket.name, access.OWNERSHIP_DOCUMENT, None, new_op_id())


def _check_ownership(name: str) -> None:
    if name not in OWNERSHIPS:
        raise InvalidArgument(
            f"Invalid x-amz-object-ownership header: {name}",
            ArgumentName="x-amz-object-ownership",
            ArgumentValue=name,
        )


def _grants_others(acl: Acl) -> bool:
    return any(grant.grantee != acl.owner_id for grant in acl.grants)
