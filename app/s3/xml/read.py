"""Request documents: XML into plain values. Every reader raises MalformedXML for what its schema does not allow.

Local names count, in any namespace or none; unknown elements are passed over; the text of a Key is never stripped.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from app.domain import acl
from app.domain.acl import GRANTS_MAX, Acl, Grant, GranteeType, Permission
from app.domain.conditions import parse_etags
from app.domain.dates import parse_date
from app.domain.digests import CHECKSUM_ALGORITHMS
from app.domain.errors import (
    IllegalVersioningConfigurationException,
    InvalidArgument,
    MalformedACLError,
    MalformedXML,
    S3NotImplemented,
    UnresolvableGrantByEmailAddress,
)
from app.domain.multipart import PART_NUMBER_MAX
from app.domain.tags import BUCKET_TAGS_MAX, validate_tags
from app.domain.types import Tags, Versioning
from app.s3.xml.tree import Element, parse

CONFIGURATION_MAX_BYTES = 256 << 10  # of every document but the two long lists
DELETE_MAX_BYTES = 8 << 20  # 1,000 keys of 1,024 bytes, every byte of them a numeric reference
COMPLETE_MAX_BYTES = 4 << 20  # 10,000 parts with number, ETag and a long checksum each
DELETE_KEYS_MAX = 1000
DELETE_ELEMENTS_MAX = 12_000  # each key with its version and all conditions, and as much again of what we do not know
COMPLETE_ELEMENTS_MAX = 60_000  # each part with number, ETag and a checksum, and half as much again

OBJECT_OWNERSHIPS = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")


@dataclass(frozen=True, slots=True)
class BucketConfiguration:
    """What CreateBucket's document says. `location` is None where the document or the element is missing."""

    location: str | None = None
    tags: Tags = ()


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """One key of a DeleteObjects request with its version and conditions; None for what was not given.

    `etag` is without quotes; `modified_s` in whole seconds.
    """

    key: str
    version_id: str | None = None
    etag: str | None = None
    size_bytes: int | None = None
    modified_s: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    items: tuple[DeleteItem, ...]
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class CompletePart:
    """One part as CompleteMultipartUpload lists it. `etag` is without quotes, `checksums` are (algorithm, value)."""

    number: int
    etag: str
    checksums: tuple[tuple[str, str], ...] = ()


def read_create_bucket(document: bytes) -> BucketConfiguration:
    """CreateBucketConfiguration; an empty body is an empty configuration.

    Raises: BadRequest and InvalidTag for its tags, S3NotImplemented for directory buckets.
    """
    if not document.strip():
        return BucketConfiguration()
    root = parse(document, "CreateBucketConfiguration", CONFIGURATION_MAX_BYTES)
    if root.child("Location") is not None or root.child("Bucket") is not None:
        raise S3NotImplemented("Directory buckets are not implemented.")
    tags = root.child("Tags")
    return BucketConfiguration(root.word("LocationConstraint"), () if tags is None else _tags(tags, BUCKET_TAGS_MAX))


def read_tagging(document: bytes, max_count: int) -> Tags:
    """Tagging, validated, in the order given. Raises: BadRequest (more than `max_count`), InvalidTag."""
    return _tags(parse(document, "Tagging", CONFIGURATION_MAX_BYTES).require("TagSet"), max_count)


def _tags(tag_set: Element, max_count: int) -> Tags:
    pairs = tuple((tag.require("Key").text, tag.require("Value").text) for tag in tag_set.all("Tag"))
    return validate_tags(pairs, max_count)


def read_versioning(document: bytes) -> Versioning:
    """VersioningConfiguration: ENABLED or SUSPENDED.

    Raises: IllegalVersioningConfigurationException where it says neither, S3NotImplemented for MFA Delete.
    """
    root = parse(document, "VersioningConfiguration", CONFIGURATION_MAX_BYTES)
    status, mfa_delete = root.word("Status"), root.word("MfaDelete") or root.word("MFADelete")
    if status not in (None, "Enabled", "Suspended") or mfa_delete not in (None, "", "Enabled", "Disabled"):
        raise MalformedXML
    if mfa_delete == "Enabled":
        raise S3NotImplemented("MFA Delete is not implemented.")
    if status is None:
        raise IllegalVersioningConfigurationException
    return Versioning(status)


def read_ownership_controls(document: bytes) -> str:
    """OwnershipControls: one of OBJECT_OWNERSHIPS, from its one rule."""
    rules = parse(document, "OwnershipControls", CONFIGURATION_MAX_BYTES).all("Rule")
    ownership = rules[0].word("ObjectOwnership") if len(rules) == 1 else None
    if ownership not in OBJECT_OWNERSHIPS:
        raise MalformedXML
    return ownership


def read_delete(document: bytes) -> DeleteRequest:
    """Delete, with 1 to DELETE_KEYS_MAX keys."""
    root = parse(document, "Delete", DELETE_MAX_BYTES, DELETE_ELEMENTS_MAX)
    objects = root.all("Object")
    if not 1 <= len(objects) <= DELETE_KEYS_MAX:
        raise MalformedXML
    return DeleteRequest(tuple(_delete_item(entry) for entry in objects), _is_true(root.word("Quiet")))


def _delete_item(entry: Element) -> DeleteItem:
    key = entry.require("Key").text
    if not key:
        raise MalformedXML
    etag, size, modified = entry.word("ETag"), entry.word("Size"), entry.word("LastModifiedTime")
    modified_s = None if modified is None else parse_date(modified)
    if modified is not None and modified_s is None:
        raise MalformedXML
    return DeleteItem(
        key=key,
        version_id=entry.word("VersionId"),
        etag=None if etag is None else parse_etags(etag)[0],
        size_bytes=None if size is None else _number(size),
        modified_s=modified_s,
    )


def read_complete_multipart_upload(document: bytes) -> tuple[CompletePart, ...]:
    """CompleteMultipartUpload, with 1 to 10,000 parts in the client's order. Raises: InvalidArgument (part number)."""
    root = parse(document, "CompleteMultipartUpload", COMPLETE_MAX_BYTES, COMPLETE_ELEMENTS_MAX)
    parts = root.all("Part")
    if not 1 <= len(parts) <= PART_NUMBER_MAX:
        raise MalformedXML
    return tuple(_complete_part(part) for part in parts)


_CHECKSUM_ELEMENTS = {f"Checksum{algorithm}": algorithm for algorithm in CHECKSUM_ALGORITHMS}


def _complete_part(part: Element) -> CompletePart:
    number = _number(part.word("PartNumber") or "")
    if not 1 <= number <= PART_NUMBER_MAX:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    etag = part.require("ETag").text.strip().strip('"')
    checksums = [
        (_CHECKSUM_ELEMENTS[child.name], child.text.strip())
        for child in part.children
        if child.name in _CHECKSUM_ELEMENTS
    ]
    return CompletePart(number, etag, tuple(checksums))


def read_acl(document: bytes) -> Acl:
    """AccessControlPolicy. Whether its canonical ids belong to anybody is the caller's to check.

    Raises: MalformedACLError, InvalidArgument (an unknown group), UnresolvableGrantByEmailAddress.
    """
    try:
        root = parse(document, "AccessControlPolicy", CONFIGURATION_MAX_BYTES)
        owner_id = root.require("Owner").require("ID").text.strip()
        grants = root.require("AccessControlList").all("Grant")
        if not owner_id or len(grants) > GRANTS_MAX:
            raise MalformedXML
        return Acl(owner_id, tuple(_grant(grant) for grant in grants))
    except MalformedXML:
        raise MalformedACLError from None


def _grant(grant: Element) -> Grant:
    permission = grant.word("Permission") or ""
    if permission not in _PERMISSIONS:
        raise MalformedXML
    kind, grantee = _grantee(grant.require("Grantee"))
    return Grant(kind, grantee, Permission(permission))


_PERMISSIONS: Container[str] = frozenset(Permission)


def _grantee(grantee: Element) -> tuple[GranteeType, str]:
    """By the xsi:type attribute, or by the element that is there where a client leaves the attribute out."""
    user_id, uri, email = grantee.word("ID"), grantee.word("URI"), grantee.word("EmailAddress")
    if email is not None and grantee.type in ("", "AmazonCustomerByEmail"):
        raise UnresolvableGrantByEmailAddress
    if user_id and grantee.type in ("", "CanonicalUser"):
        return GranteeType.CANONICAL_USER, user_id
    if uri and grantee.type in ("", "Group"):
        if uri not in acl.GROUPS:
            raise InvalidArgument("Invalid group uri", ArgumentName="URI", ArgumentValue=uri)
        return GranteeType.GROUP, uri
    raise MalformedXML


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise MalformedXML


def _is_true(text: str | None) -> bool:
    if text is None or text.lower() == "false":
        return False
    if text.lower() == "true":
        return True
    raise MalformedXML
