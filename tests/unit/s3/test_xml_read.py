"""Request documents: what is read from them, and what cannot be done to the server with them."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain import acl
from app.domain.acl import Acl, Grant, GranteeType, Permission
from app.domain.errors import (
    BadRequest,
    IllegalVersioningConfigurationException,
    InvalidArgument,
    InvalidTag,
    MalformedACLError,
    MalformedXML,
    MaxMessageLengthExceeded,
    S3Error,
    S3NotImplemented,
    UnresolvableGrantByEmailAddress,
)
from app.domain.types import Versioning
from app.s3 import xml
from app.s3.xml import BucketConfiguration, CompletePart, DeleteItem, tree

NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

# Every reader with the root element it wants and a body that it accepts.
READERS: list[tuple[str, Callable[[bytes], object], str]] = [
    ("CreateBucketConfiguration", xml.read_create_bucket, "<LocationConstraint>eu</LocationConstraint>"),
    ("Tagging", lambda document: xml.read_tagging(document, 10), "<TagSet/>"),
    ("VersioningConfiguration", xml.read_versioning, "<Status>Enabled</Status>"),
    (
        "OwnershipControls",
        xml.read_ownership_controls,
        "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>",
    ),
    ("Delete", xml.read_delete, "<Object><Key>k</Key></Object>"),
    (
        "CompleteMultipartUpload",
        xml.read_complete_multipart_upload,
        "<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>",
    ),
    ("AccessControlPolicy", xml.read_acl, "<Owner><ID>o</ID></Owner><AccessControlList/>"),
]
every_reader = pytest.mark.parametrize(("root", "read", "body"), READERS, ids=[root for root, _, _ in READERS])


@every_reader
def test_any_namespace_or_none_is_read(root: str, read: Callable[[bytes], object], body: str) -> None:
    plain = read(f"<{root}>{body}</{root}>".encode())
    assert read(f"<{root} {NS}>{body}</{root}>".encode()) == plain
    assert (
        read(f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="urn:other">{body}</{root}>\n'.encode()) == plain
    )
    prefixed = body.replace("</", "\0").replace("<", "<s3:").replace("\0", "</s3:")
    assert read(f'<s3:{root} xmlns:s3="urn:x">{prefixed}</s3:{root}>'.encode()) == plain
    assert read(b"\xef\xbb\xbf" + f"<{root}>{body}</{root}>".encode()) == plain, "a byte order mark"
    assert (
        read(f"<!-- c --><?pi x?><{root}>\n <!-- c -->{body}<Unknown a='b'><x/></Unknown></{root}>".encode()) == plain
    )


HOSTILE = {
    "external entity": '<!DOCTYPE {root} [<!ENTITY x SYSTEM "file:///etc/passwd">]><{root}>&x;{body}</{root}>',
    "external subset": '<!DOCTYPE {root} SYSTEM "http://127.0.0.1:1/x.dtd"><{root}>{body}</{root}>',
    "bare document type": "<!DOCTYPE {root}><{root}>{body}</{root}>",
    "parameter entity": '<!DOCTYPE {root} [<!ENTITY % x SYSTEM "http://127.0.0.1:1/"> %x;]><{root}>{body}</{root}>',
    "billion laughs": '<!DOCTYPE {root} [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{number} "{"&a%s;" % (number - 1 or "") * 10}">' for number in range(1, 12))
    + "]><{root}>&a11;{body}</{root}>",
    "undeclared entity": "<{root}>&x;{body}</{root}>",
    "deep nesting": "<{root}>" + "<a>" * 60_000 + "{body}</{root}>",
    "nested roots": "<{root}>" * 30_000,
    "not closed": "<{root}>{body}",
    "twice": "<{root}>{body}</{root}><{root}>{body}</{root}>",
    "attribute twice": "<{root} a='1' a='2'>{body}</{root}>",
    "unbound prefix": "<q:{root}>{body}</q:{root}>",
    "another root": "<Other>{body}</Other>",
    "wrong case": "<x{root}>{body}</x{root}>",
    "text only": "hello {root}",
    "control character": "<{root}>\x01{body}</{root}>",
    "declared utf-7": '<?xml version="1.0" encoding="UTF-7"?><{root}>{body}</{root}>',
    "declared latin-1": '<?xml version="1.0" encoding="ISO-8859-1"?><{root}>{body}</{root}>',
    "declared utf-16": '<?xml version="1.0" encoding="UTF-16"?><{root}>{body}</{root}>',
    "utf-7": "+ADwAIQ-DOCTYPE {root}+AD4-<{root}>{body}</{root}>",
    "json": '{{"{root}": 1}}',
}


@every_reader
@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_document_is_malformed(root: str, read: Callable[[bytes], object], body: str, trick: str) -> None:
    """S-03"""
    document = HOSTILE[trick].replace("{{", "{").replace("{root}", root).replace("{body}", body).encode()
    assert min(_refusal_s(read, document) for _ in range(3)) < 0.1


@every_reader
def test_only_utf8_is_read(root: str, read: Callable[[bytes], object], body: str) -> None:
    """S-03"""
    document = f"<{root}>{body}</{root}>"
    for encoded in (
        document.encode("utf-16"),
        document.encode("utf-16-le"),
        document.encode("utf-32"),
        document.replace(">", ">\udcff", 1).encode("utf-8", "surrogateescape"),
        f"<{root}>\0{body}</{root}>".encode(),
    ):
        with pytest.raises((MalformedXML, MalformedACLError)):
            read(encoded)


def _refusal_s(read: Callable[[bytes], object], document: bytes) -> float:
    """Processor time of one refusal. A server's old objects are frozen; the test run's are not to be counted in."""
    gc.freeze()
    started = time.process_time()
    with pytest.raises((MalformedXML, MalformedACLError, MaxMessageLengthExceeded)):
        read(document)
    cost_s = time.process_time() - started
    gc.unfreeze()
    return cost_s


def _slowness() -> float:
    """How much longer Python takes now than on a usual machine, where a million steps take 50 ms; 1 at least."""
    started = time.process_time()
    for _ in range(1_000_000):
        pass
    return max(1.0, (time.process_time() - started) / 0.05)


def _without_end(root: str) -> Iterator[bytes]:
    """One after the other: together they would be most of what the test measures."""
    yield b"<a>" * 1_000_000
    yield b"<%b>" % root.encode() + b"<a>" * 1_000_000
    yield b"<%b>" % root.encode() + b"<a/>" * 900_000 + b"</%b>" % root.encode()
    yield b"<%b>%b</%b>" % (root.encode(), b"x" * 4_000_000, root.encode())
    yield b"<%b>" % root.encode() + b"&#65;" * 700_000 + b"</%b>" % root.encode()
    yield b"<%b " % root.encode() + b"a" * 3_000_000


@every_reader
def test_a_document_without_end_costs_nothing(root: str, read: Callable[[bytes], object], body: str) -> None:
    """S-03, S-04"""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for document in _without_end(root):
        assert min(_refusal_s(read, document) / _slowness() for _ in range(3)) < 0.1
    # The documents themselves are up to 4 MB each, the parser's copy of one as much again.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 24 * 1024


def test_xinclude_is_only_an_unknown_element(tmp_path: Path) -> None:
    """S-03"""
    secret = tmp_path / "secret"
    secret.write_text("<Status>Suspended</Status>")
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret}"/>'
    with pytest.raises(IllegalVersioningConfigurationException):
        xml.read_versioning(f"<VersioningConfiguration>{include}</VersioningConfiguration>".encode())
    keys = xml.read_delete(f"<Delete><Object><Key>k</Key>{include}</Object></Delete>".encode())
    assert keys.items == (DeleteItem("k"),)


@pytest.mark.parametrize(
    ("read", "limit"),
    [
        (xml.read_versioning, xml.CONFIGURATION_MAX_BYTES),
        (xml.read_delete, xml.DELETE_MAX_BYTES),
        (xml.read_complete_multipart_upload, xml.COMPLETE_MAX_BYTES),
    ],
)
def test_a_document_beyond_its_limit_is_not_parsed(read: Callable[[bytes], object], limit: int) -> None:
    """S-04"""
    with pytest.raises(MaxMessageLengthExceeded):
        read(b"<" * (limit + 1))
    with pytest.raises(MalformedXML):
        read(b"<" * limit)


# -- Delete


def delete(entries: str, rest: str = "") -> xml.DeleteRequest:
    return xml.read_delete(f"<Delete {NS}>{rest}{entries}</Delete>".encode())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (" a ", " a "),
        ("\n", "\n"),
        ("a&#13;b", "a\rb"),
        ("&lt;&amp;&gt;&quot;", '<&>"'),
        ("<![CDATA[<a>&amp;]]>", "<a>&amp;"),
        ("../x", "../x"),
        ("&#x1F600;", "😀"),
        ("a<!-- c -->b", "ab"),
        ("\u00e4\u0308", "\u00e4\u0308"),
    ],
)
def test_the_text_of_a_key_is_exact(text: str, key: str) -> None:
    """S-06"""
    assert delete(f"<Object><Key>{text}</Key></Object>").items == (DeleteItem(key),)


def test_a_delete_names_versions_and_conditions() -> None:
    request = delete(
        "<Object><Key>a</Key><VersionId> null </VersionId></Object>"
        '<Object><Key>b</Key><ETag>"abc"</ETag><Size>17</Size>'
        "<LastModifiedTime>Sun, 22 Feb 2026 12:00:00 GMT</LastModifiedTime></Object>"
        "<Object><Key>c</Key><ETag>*</ETag><LastModifiedTime>2026-02-22T12:00:00Z</LastModifiedTime></Object>",
        "<Quiet>true</Quiet>",
    )
    assert request.quiet
    assert request.items == (
        DeleteItem("a", version_id="null"),
        DeleteItem("b", etag="abc", size_bytes=17, modified_s=1_771_761_600),
        DeleteItem("c", etag="*", modified_s=1_771_761_600),
    )
    assert not delete("<Object><Key>a</Key></Object>").quiet
    assert not delete("<Object><Key>a</Key></Object>", "<Quiet>false</Quiet>").quiet


def test_a_delete_has_one_to_a_thousand_keys() -> None:
    """S-04"""
    entry = "<Object><Key>k</Key></Object>"
    assert len(delete(entry * 1000).items) == 1000
    for count in (0, 1001, 20_000):
        with pytest.raises(MalformedXML):
            delete(entry * count)


def test_a_thousand_of_the_longest_keys_fit() -> None:
    key = "&#1049;" * 512  # 1,024 bytes, each character as a reference
    assert len(delete(f"<Object><Key>{key}</Key><VersionId>{'v' * 32}</VersionId></Object>" * 1000).items) == 1000


@pytest.mark.parametrize(
    "entry",
    [
        "<Object/>",
        "<Object><Key/></Object>",
        "<Object><Key>a</Key><Key>b</Key></Object>",
        "<Object><Key>a<b/></Key></Object>",
        "<Object><Key>a</Key><VersionId>1</VersionId><VersionId>2</VersionId></Object>",
        "<Object><Key>a</Key><Size>many</Size></Object>",
        "<Object><Key>a</Key><Size>-1</Size></Object>",
        "<Object><Key>a</Key><LastModifiedTime>soon</LastModifiedTime></Object>",
    ],
)
def test_a_delete_entry_that_could_mean_two_things_is_malformed(entry: str) -> None:
    with pytest.raises(MalformedXML):
        delete(entry)


def test_quiet_is_true_or_false() -> None:
    with pytest.raises(MalformedXML):
        delete("<Object><Key>a</Key></Object>", "<Quiet>perhaps</Quiet>")


# -- CompleteMultipartUpload


def complete(parts: str) -> tuple[CompletePart, ...]:
    return xml.read_complete_multipart_upload(f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())


def test_parts_come_with_etags_and_checksums_in_the_clients_order() -> None:
    parts = complete(
        '<Part><PartNumber> 2 </PartNumber><ETag>"abc"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>'
        "<Part><ETag>&quot;def&quot;</ETag><PartNumber>1</PartNumber></Part>"
        "<Part><ETag>ghi</ETag><PartNumber>10000</PartNumber>"
        "<ChecksumCRC64NVME>x</ChecksumCRC64NVME><ChecksumSHA256>y</ChecksumSHA256></Part>"
    )
    assert parts == (
        CompletePart(2, "abc", (("CRC32", "AAAAAA=="),)),
        CompletePart(1, "def"),
        CompletePart(10_000, "ghi", (("CRC64NVME", "x"), ("SHA256", "y"))),
    )


def test_an_element_has_no_more_children_than_the_longest_list() -> None:
    """However many elements all parts together may have."""
    begun = time.process_time()
    with pytest.raises(MalformedXML):
        complete("<a/>" * 62_000)
    few = b"<a/>" * tree.CHILDREN_MAX
    assert len(tree.parse(b"<a>" + few + b"</a>", "a", 1 << 20, 1 << 20).children) == tree.CHILDREN_MAX
    with pytest.raises(MalformedXML):
        tree.parse(b"<a>" + few + b"<a/></a>", "a", 1 << 20, 1 << 20)
    assert time.process_time() - begun < 0.2


def test_a_complete_has_one_to_ten_thousand_parts() -> None:
    """S-04"""
    checksum = f"<ChecksumSHA512>{'A' * 86}==</ChecksumSHA512>"
    part = f'<Part>\n  <PartNumber>1</PartNumber>\n  <ETag>"{"a" * 32}"</ETag>\n  {checksum}\n</Part>\n'
    gc.freeze()  # the test run's objects are not to be counted in
    started = time.process_time()
    assert len(complete(part * 10_000)) == 10_000
    cost_s = time.process_time() - started
    gc.unfreeze()
    assert cost_s < 0.5
    for count in (0, 10_001):
        with pytest.raises(MalformedXML):
            complete(part * count)


@pytest.mark.parametrize(
    "part",
    [
        "<Part/>",
        "<Part><PartNumber>1</PartNumber></Part>",
        "<Part><ETag>a</ETag></Part>",
        "<Part><PartNumber>one</PartNumber><ETag>a</ETag></Part>",
        "<Part><PartNumber>-1</PartNumber><ETag>a</ETag></Part>",
        f"<Part><PartNumber>{'9' * 5000}</PartNumber><ETag>a</ETag></Part>",
    ],
)
def test_a_part_without_number_and_etag_is_malformed(part: str) -> None:
    with pytest.raises(MalformedXML):
        complete(part)


@pytest.mark.parametrize("number", ["0", "10001"])
def test_a_part_number_out_of_range_is_an_invalid_argument(number: str) -> None:
    with pytest.raises(InvalidArgument):
        complete(f"<Part><PartNumber>{number}</PartNumber><ETag>a</ETag></Part>")


# -- AccessControlPolicy


def policy(grants: str, owner: str = "<Owner><ID>owner</ID><DisplayName>me</DisplayName></Owner>") -> Acl:
    return xml.read_acl(
        f"<AccessControlPolicy {NS}>{owner}<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>".encode()
    )


def grant(grantee: str, permission: str = "READ", type_: str = "") -> str:
    attribute = f' {XSI} xsi:type="{type_}"' if type_ else ""
    return f"<Grant><Grantee{attribute}>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"


def test_grants_name_users_and_groups() -> None:
    read = policy(
        grant("<ID>alice</ID><DisplayName>Alice</DisplayName>", "FULL_CONTROL", "CanonicalUser")
        + grant(f"<URI>{acl.ALL_USERS}</URI>", "READ", "Group")
    )
    assert read == Acl(
        "owner",
        (
            Grant(GranteeType.CANONICAL_USER, "alice", Permission.FULL_CONTROL),
            Grant(GranteeType.GROUP, acl.ALL_USERS, Permission.READ),
        ),
    )
    untyped = policy(grant("<ID>alice</ID>") + grant(f"<URI>{acl.ALL_USERS}</URI>"))
    assert [each.type for each in untyped.grants] == [GranteeType.CANONICAL_USER, GranteeType.GROUP]
    assert policy("") == Acl("owner", ())


@pytest.mark.parametrize(
    ("grants", "owner"),
    [
        (grant("<ID>a</ID>", "EVERYTHING"), "<Owner><ID>o</ID></Owner>"),
        (grant("<ID>a</ID>", ""), "<Owner><ID>o</ID></Owner>"),
        (grant("<ID/>"), "<Owner><ID>o</ID></Owner>"),
        (grant(""), "<Owner><ID>o</ID></Owner>"),
        (grant("<ID>a</ID>", type_="Group"), "<Owner><ID>o</ID></Owner>"),
        (grant("<ID>a</ID>", type_="Martian"), "<Owner><ID>o</ID></Owner>"),
        ("<Grant><Permission>READ</Permission></Grant>", "<Owner><ID>o</ID></Owner>"),
        (grant("<ID>a</ID>") * 101, "<Owner><ID>o</ID></Owner>"),
        ("", ""),
        ("", "<Owner/>"),
        ("", "<Owner><ID> </ID></Owner>"),
    ],
)
def test_an_acl_that_fits_no_schema_is_a_malformed_acl(grants: str, owner: str) -> None:
    with pytest.raises(MalformedACLError):
        policy(grants, owner)


def test_an_acl_needs_its_list() -> None:
    with pytest.raises(MalformedACLError):
        xml.read_acl(b"<AccessControlPolicy><Owner><ID>o</ID></Owner></AccessControlPolicy>")


def test_strangers_in_an_acl_are_named() -> None:
    with pytest.raises(InvalidArgument):
        policy(grant("<URI>http://acs.amazonaws.com/groups/global/Nobody</URI>", type_="Group"))
    with pytest.raises(UnresolvableGrantByEmailAddress):
        policy(grant("<EmailAddress>a@example.com</EmailAddress>", type_="AmazonCustomerByEmail"))


# -- the small ones


def test_a_bucket_configuration_is_optional() -> None:
    assert xml.read_create_bucket(b"") == xml.read_create_bucket(b" \n") == BucketConfiguration()
    read = xml.read_create_bucket(
        b"<CreateBucketConfiguration><LocationConstraint> eu-west-1\n</LocationConstraint>"
        b"<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
    )
    assert read == BucketConfiguration("eu-west-1", (("a", "b"),))
    assert xml.read_create_bucket(b"<CreateBucketConfiguration/>") == BucketConfiguration()
    with pytest.raises(S3NotImplemented):
        xml.read_create_bucket(
            b"<CreateBucketConfiguration><Location><Name>az</Name></Location></CreateBucketConfiguration>"
        )


def test_tags_are_validated_and_not_stripped() -> None:
    def tagging(tags: str) -> bytes:
        return f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode()

    tag = "<Tag><Key>{}</Key><Value>{}</Value></Tag>"
    assert xml.read_tagging(tagging(tag.format(" a ", "b") + tag.format("c", "")), 10) == ((" a ", "b"), ("c", ""))
    assert xml.read_tagging(tagging(""), 10) == ()
    errors: list[tuple[str, type[S3Error]]] = [
        (tag.format("", "b"), InvalidTag),
        (tag.format("a", "1") * 2, InvalidTag),
        ("".join(tag.format(number, "v") for number in range(11)), BadRequest),
        ("<Tag><Key>a</Key></Tag>", MalformedXML),
        ("<Tag><Value>a</Value></Tag>", MalformedXML),
    ]
    for tags, error in errors:
        with pytest.raises(error):
            xml.read_tagging(tagging(tags), 10)
    with pytest.raises(MalformedXML):
        xml.read_tagging(b"<Tagging/>", 10)


def test_versioning_is_enabled_or_suspended_without_mfa() -> None:
    def versioning(body: str) -> Versioning:
        return xml.read_versioning(f"<VersioningConfiguration>{body}</VersioningConfiguration>".encode())

    assert versioning("<Status>Enabled</Status>") is Versioning.ENABLED
    assert versioning("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>") is Versioning.SUSPENDED
    with pytest.raises(S3NotImplemented):
        versioning("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>")
    with pytest.raises(IllegalVersioningConfigurationException):
        versioning("")
    for body in ("<Status/>", "<Status>On</Status>", "<Status>Enabled</Status><MfaDelete>Maybe</MfaDelete>"):
        with pytest.raises(MalformedXML):
            versioning(body)


def test_ownership_has_one_rule_with_a_known_name() -> None:
    def controls(body: str) -> str:
        return xml.read_ownership_controls(f"<OwnershipControls>{body}</OwnershipControls>".encode())

    rule = "<Rule><ObjectOwnership>{}</ObjectOwnership></Rule>"
    for name in ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"):
        assert controls(rule.format(name)) == name
    for body in ("", "<Rule/>", rule.format("Nobody"), rule.format("ObjectWriter") * 2):
        with pytest.raises(MalformedXML):
            controls(body)
