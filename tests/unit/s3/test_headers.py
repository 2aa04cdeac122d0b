"""Headers: what writes say about an object, and how reads describe it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.domain import acl
from app.domain.acl import Acl, Grant, GranteeType, Permission
from app.domain.errors import (
    InvalidArgument,
    InvalidRequest,
    InvalidStorageClass,
    MetadataTooLarge,
    S3NotImplemented,
    UnresolvableGrantByEmailAddress,
)
from app.domain.types import Attributes, Version, Versioning
from app.s3.headers import (
    acl_from_headers,
    checksum_algorithm,
    object_headers,
    read_attributes,
    refuse_protections,
    response_overrides,
)
from app.s3.request import Headers, Query


class Users:
    def exists(self, user_id: str) -> bool:
        return user_id in ("alice", "bob")


def headers(*items: tuple[str, str], **named: str) -> Headers:
    return Headers([*items, *((name.replace("_", "-"), value) for name, value in named.items())])


# -- What is stored


def test_an_object_has_a_content_type_in_any_case() -> None:
    assert read_attributes(headers()) == Attributes((("Content-Type", "binary/octet-stream"),))
    assert read_attributes(headers(content_type="")).headers == (("Content-Type", "binary/octet-stream"),)


def test_the_six_system_headers_are_stored_as_received() -> None:
    stored = read_attributes(
        headers(
            Content_Type="text/html;  charset=UTF-8",
            Cache_Control="max-age=1 , public",
            Content_Disposition='attachment; filename="\u00c3\u00a9.txt"',
            Content_Encoding="gzip,br",
            Content_Language="de",
            Expires="whenever",
        )
    )
    assert dict(stored.headers) == {
        "Content-Type": "text/html;  charset=UTF-8",
        "Cache-Control": "max-age=1 , public",
        "Content-Disposition": 'attachment; filename="\u00c3\u00a9.txt"',
        "Content-Encoding": "gzip,br",
        "Content-Language": "de",
        "Expires": "whenever",
    }


@pytest.mark.parametrize(
    ("received", "stored"),
    [
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("AWS-Chunked , br, gzip", "br,gzip"),
        ("gzip", "gzip"),
        ("gzip , br", "gzip , br"),
        ("", None),
    ],
)
def test_aws_chunked_is_how_it_travelled_and_not_what_it_is(received: str, stored: str | None) -> None:
    assert dict(read_attributes(headers(content_encoding=received)).headers).get("Content-Encoding") == stored


def test_user_metadata_keeps_its_bytes_and_its_underscores() -> None:
    attributes = read_attributes(
        headers(("X-Amz-Meta-My_Key", "1"), ("x-amz-meta-my-key", "\u00ff\u00e4"), ("x-amz-meta-e", ""))
    )
    assert attributes.user_metadata == (("my_key", "1"), ("my-key", "\u00ff\u00e4"), ("e", ""))


def test_repeated_metadata_is_joined() -> None:
    attributes = read_attributes(headers(("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")))
    assert attributes.user_metadata == (("a", "1,2"),)


def test_user_metadata_has_two_kilobytes() -> None:
    assert read_attributes(headers(("x-amz-meta-a", "v" * 2047))).user_metadata
    for items in ([("x-amz-meta-a", "v" * 2048)], [(f"x-amz-meta-{number:02d}", "v" * 24) for number in range(99)]):
        with pytest.raises(MetadataTooLarge) as refusal:
            read_attributes(headers(*items))
        assert refusal.value.fields["MaxSizeAllowed"] == "2048"
        assert int(refusal.value.fields["Size"]) > 2048


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\nSet-Cookie: x", "a\x00b", "a\x1bb", "a\x7fb", "snow\u2603"])
@pytest.mark.parametrize("name", ["x-amz-meta-a", "content-type", "cache-control", "content-encoding", "expires"])
def test_nothing_is_stored_that_no_header_can_carry(name: str, bad: str) -> None:
    """S-18"""
    with pytest.raises(InvalidArgument):
        read_attributes(headers((name, bad)))


def test_metadata_needs_a_name() -> None:
    with pytest.raises(InvalidArgument):
        read_attributes(headers(("x-amz-meta-", "v")))


def test_a_storage_class_is_a_known_one() -> None:
    assert read_attributes(headers()).storage_class == "STANDARD"
    assert read_attributes(headers(x_amz_storage_class="GLACIER_IR")).storage_class == "GLACIER_IR"
    for name in ("COLD", "standard", "EXPRESS_ONEZONE", "OUTPOSTS"):
        with pytest.raises(InvalidStorageClass):
            read_attributes(headers(x_amz_storage_class=name))


def test_a_website_redirect_is_a_path_or_a_url() -> None:
    name = "x-amz-website-redirect-location"
    assert read_attributes(headers()).website_redirect is None
    for location in ("/other", "http://example.com/", "https://example.com/"):
        assert read_attributes(headers((name, location))).website_redirect == location
    for location in ("", "other", "ftp://x/", "javascript:alert(1)", "/" + "x" * 2048, "/a\r\nb"):
        with pytest.raises(InvalidArgument):
            read_attributes(headers((name, location)))


# -- What promises protection


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "a2V5"),
        ("X-Amz-Server-Side-Encryption-Customer-Key-MD5", "bWQ1"),
        ("x-amz-copy-source-server-side-encryption-customer-key", "a2V5"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption", "aws:kms:dsse"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-context", "e30="),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-bucket-object-lock-enabled", "true"),
        ("x-amz-bucket-object-lock-enabled", "True"),
        ("x-amz-write-offset-bytes", "0"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(name: str, value: str) -> None:
    for encrypted_at_rest in (False, True):
        with pytest.raises(S3NotImplemented) as refusal:
            refuse_protections(headers((name, value)), encrypted_at_rest=encrypted_at_rest)
        assert refusal.value.fields["Header"] == name.lower()


@pytest.mark.parametrize("name", ["mode", "retain-until-date", "legal-hold"])
def test_object_lock_needs_a_bucket_with_it(name: str) -> None:
    """S-25"""
    with pytest.raises(InvalidRequest):
        refuse_protections(headers((f"x-amz-object-lock-{name}", "GOVERNANCE")))


def test_sse_s3_is_accepted_where_the_storage_is_encrypted() -> None:
    asked = headers(x_amz_server_side_encryption="AES256")
    with pytest.raises(S3NotImplemented, match="encrypted_at_rest"):
        refuse_protections(asked)
    refuse_protections(asked, encrypted_at_rest=True)
    assert read_attributes(asked) == read_attributes(headers())


def test_an_unknown_encryption_is_an_invalid_argument() -> None:
    for value in ("", "AES128", "aes256"):
        with pytest.raises(InvalidArgument):
            refuse_protections(headers(x_amz_server_side_encryption=value))


def test_what_promises_nothing_is_let_through() -> None:
    refuse_protections(
        headers(
            x_amz_server_side_encryption_bucket_key_enabled="false",
            x_amz_bucket_object_lock_enabled="false",
            x_amz_bypass_governance_retention="true",
            x_amz_meta_x_amz_object_lock_mode="a name of the client's own",
            x_amz_date="20260222T120000Z",
        )
    )


@pytest.mark.parametrize("name", ["CRC32", "crc64nvme", "SHA256", "SHA512", "XXHASH128"])
def test_a_checksum_algorithm_is_read_in_any_case(name: str) -> None:
    assert checksum_algorithm(headers(x_amz_checksum_algorithm=name)) == name.upper()


def test_an_unknown_checksum_algorithm_is_refused() -> None:
    assert checksum_algorithm(headers()) is None
    for name in ("", "CRC16", "SHA-256"):
        with pytest.raises(InvalidRequest):
            checksum_algorithm(headers(x_amz_checksum_algorithm=name))


# -- ACLs


def read_acl(*items: tuple[str, str]) -> Acl | None:
    return acl_from_headers(headers(*items), "alice", "bob", Users())


def test_without_headers_there_is_no_acl() -> None:
    assert read_acl() is None


def test_a_canned_name_stands_for_grants() -> None:
    assert read_acl(("x-amz-acl", "private")) == acl.private("alice")
    granted = read_acl(("x-amz-acl", "bucket-owner-read"))
    assert granted is not None
    assert Grant(GranteeType.CANONICAL_USER, "bob", Permission.READ) in granted.grants
    with pytest.raises(InvalidArgument) as refusal:
        read_acl(("x-amz-acl", "everybody"))
    assert refusal.value.fields == {"ArgumentName": "x-amz-acl", "ArgumentValue": "everybody"}


def test_grant_headers_are_the_whole_acl() -> None:
    granted = read_acl(
        ("x-amz-grant-read", f'id="bob", uri="{acl.ALL_USERS}"'),
        ("x-amz-grant-full-control", "id=alice"),
        ("x-amz-grant-write-acp", f"URI={acl.AUTHENTICATED_USERS}"),
    )
    assert granted == Acl(
        "alice",
        (
            Grant(GranteeType.CANONICAL_USER, "bob", Permission.READ),
            Grant(GranteeType.GROUP, acl.ALL_USERS, Permission.READ),
            Grant(GranteeType.CANONICAL_USER, "alice", Permission.FULL_CONTROL),
            Grant(GranteeType.GROUP, acl.AUTHENTICATED_USERS, Permission.WRITE_ACP),
        ),
    )


def test_canned_and_explicit_grants_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest):
        read_acl(("x-amz-acl", "private"), ("x-amz-grant-read", "id=bob"))


@pytest.mark.parametrize(
    "value", ["id=stranger", "uri=http://example.com/everybody", "bob", "", "name=bob", "id", "id=bob,", 'id="bob";x']
)
def test_a_grant_to_nobody_is_an_invalid_argument(value: str) -> None:
    with pytest.raises(InvalidArgument):
        read_acl(("x-amz-grant-read", value))


def test_an_unknown_permission_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgument):
        read_acl(("x-amz-grant-everything", "id=bob"))


def test_e_mail_addresses_are_nobodys() -> None:
    with pytest.raises(UnresolvableGrantByEmailAddress):
        read_acl(("x-amz-grant-read", 'emailAddress="a@example.com"'))


def test_an_acl_has_a_hundred_grants() -> None:
    hundred = ",".join(["id=bob"] * 100)
    granted = read_acl(("x-amz-grant-read", hundred))
    assert granted is not None
    assert len(granted.grants) == 100
    with pytest.raises(InvalidRequest):
        read_acl(("x-amz-grant-read", hundred), ("x-amz-grant-write", "id=bob"))


# -- What is sent


def version(**fields: Any) -> Version:
    values: dict[str, Any] = {
        "bucket": "b",
        "key": "k",
        "version_id": "v" * 32,
        "sequence": 1,
        "is_current": True,
        "is_delete_marker": False,
        "owner_id": "alice",
        "modified_ms": 1_771_761_600_000,
        "size_bytes": 3,
        "etag": "abc",
        "attributes": Attributes((("Content-Type", "text/plain"), ("Cache-Control", "no-store"))),
    }
    return Version(**(values | fields))


def test_a_plain_object_is_described_without_extras() -> None:
    assert object_headers(version(), Versioning.UNVERSIONED) == [
        ("Last-Modified", "Sun, 22 Feb 2026 12:00:00 GMT"),
        ("ETag", '"abc"'),
        ("Accept-Ranges", "bytes"),
        ("Content-Type", "text/plain"),
        ("Cache-Control", "no-store"),
    ]


def test_what_is_special_is_said() -> None:
    special = version(
        tags=(("a", "b"), ("c", "d")),
        attributes=Attributes((), (("my_key", "\u00ff"),), "GLACIER", "/other"),
    )
    described = dict(object_headers(special, Versioning.ENABLED))
    assert described["x-amz-meta-my_key"] == "\u00ff"
    assert described["x-amz-storage-class"] == "GLACIER"
    assert described["x-amz-website-redirect-location"] == "/other"
    assert described["x-amz-tagging-count"] == "2"
    assert described["x-amz-version-id"] == "v" * 32


def test_a_suspended_bucket_names_the_null_version() -> None:
    described = dict(object_headers(version(version_id="null"), Versioning.SUSPENDED))
    assert described["x-amz-version-id"] == "null"
    assert "x-amz-version-id" not in dict(object_headers(version(version_id="null"), Versioning.UNVERSIONED))


def test_an_override_takes_the_place_of_the_stored_header() -> None:
    overrides = response_overrides(
        Query([("response-content-type", "a/b"), ("response-expires", "0"), ("response-unknown", "x")]),
        is_signed=True,
    )
    described = object_headers(version(), Versioning.UNVERSIONED, overrides)
    assert [item for item in described if item[0] in ("Content-Type", "Cache-Control", "Expires")] == [
        ("Cache-Control", "no-store"),
        ("Content-Type", "a/b"),
        ("Expires", "0"),
    ]


def test_overrides_are_for_signed_requests() -> None:
    asked = Query([("response-content-type", "a/b")])
    with pytest.raises(InvalidRequest):
        response_overrides(asked, is_signed=False)
    assert response_overrides(Query([("x", "y")]), is_signed=False) == []


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\x00b", "\u2603"])
def test_an_override_injects_no_header(value: str) -> None:
    """S-18"""
    for name in ("type", "disposition", "language", "encoding"):
        with pytest.raises(InvalidArgument):
            response_overrides(Query([(f"response-content-{name}", value)]), is_signed=True)


def test_long_headers_take_no_time() -> None:
    """S-23"""
    started = time.process_time()
    for value in ("a" * 65_536, "aws-chunked," * 5_000, ",;=" * 20_000, '"' * 65_536):
        for name in (
            "content-encoding",
            "x-amz-grant-read",
            "x-amz-acl",
            "x-amz-tagging",
            "x-amz-website-redirect-location",
        ):
            asked = headers((name, value))
            for read in (read_attributes, lambda given: acl_from_headers(given, "alice", "bob", Users())):
                try:
                    read(asked)
                except (InvalidArgument, MetadataTooLarge):
                    pass
    assert time.process_time() - started < 1, "40 readings of at most 50 ms, and far less in fact"
