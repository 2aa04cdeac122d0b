"""Configurations of buckets and objects as they are read back."""

from __future__ import annotations

from app.domain.acl import Acl, Grant, GranteeType
from app.domain.types import Tags, Versioning
from app.s3.xml.text import Directory, document, element, optional, person

_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def access_control_policy(acl: Acl, directory: Directory) -> bytes:
    """Groups come first, else the order is the ACL's (specs/access.md)."""
    in_order = sorted(acl.grants, key=lambda grant: grant.type is not GranteeType.GROUP)
    grants = "".join(_grant(grant, directory) for grant in in_order)
    return document(
        "AccessControlPolicy",
        person("Owner", acl.owner_id, directory),
        f"<AccessControlList>{grants}</AccessControlList>",
    )


def _grant(grant: Grant, directory: Directory) -> str:
    if grant.type is GranteeType.GROUP:
        who = element("URI", grant.grantee)
    else:
        who = element("ID", grant.grantee) + optional("DisplayName", directory.display_name(grant.grantee))
    # The type is an attribute, and clients read it from there.
    return (
        f'<Grant><Grantee xmlns:xsi="{_SCHEMA_INSTANCE}" xsi:type="{grant.type.value}">{who}</Grantee>'
        f"<Permission>{grant.permission.value}</Permission></Grant>"
    )


def tagging(tags: Tags) -> bytes:
    """In the order of the keys (specs/tagging.md)."""
    shown = "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in sorted(tags))
    return document("Tagging", f"<TagSet>{shown}</TagSet>")


def location_constraint(region: str) -> bytes:
    """GetBucketLocation: an empty element for us-east-1."""
    return document("LocationConstraint", "" if region == "us-east-1" else region)


def versioning_configuration(versioning: Versioning) -> bytes:
    """Empty while versioning was never configured."""
    return document("VersioningConfiguration", optional("Status", versioning.value))


def ownership_controls(object_ownership: str) -> bytes:
    return document("OwnershipControls", f"<Rule>{element('ObjectOwnership', object_ownership)}</Rule>")


def bucket_logging_status() -> bytes:
    return document("BucketLoggingStatus")


def notification_configuration() -> bytes:
    return document("NotificationConfiguration")


def accelerate_configuration() -> bytes:
    return document("AccelerateConfiguration")


def request_payment_configuration() -> bytes:
    return document("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")


def abac_status() -> bytes:
    return document("AbacStatus", "<Status>Disabled</Status>")


def empty_list(root: str) -> bytes:
    """A list of analytics, metrics, inventory or tiering configurations that has none."""
    return document(root, "<IsTruncated>false</IsTruncated>")


def policy_status(*, is_public: bool) -> bytes:
    return document("PolicyStatus", f"<IsPublic>{'true' if is_public else 'false'}</IsPublic>")
