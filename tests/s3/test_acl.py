"""ACLs and object ownership over HTTP: how they are written, what they show, and that they are enforced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd, Person
from tests.s3.naming import fresh_name, refusal

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
POLICY = (
    '<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>{owner}</ID></Owner>'
    "<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
)
GRANT = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{type}">{who}</Grantee>'
    "<Permission>{permission}</Permission></Grant>"
)


def policy(owner: str, *grants: tuple[str, str, str]) -> bytes:
    """A body of grants: (grantee type, its element, permission)."""
    rows = "".join(GRANT.format(type=type_, who=who, permission=permission) for type_, who, permission in grants)
    return POLICY.format(owner=owner, grants=rows).encode()


def user(id_: str) -> tuple[str, str]:
    return "CanonicalUser", f"<ID>{id_}</ID>"


def shown(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """(grantee, permission) of what Get…Acl answers."""
    return [(grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"]) for grant in answer["Grants"]]


@pytest.fixture
def theirs(crowd: Crowd) -> str:
    """Alice's bucket, where everybody may write, with her object "hers" and bob's "his"."""
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    crowd.alice.s3.put_object(Bucket=name, Key="hers", Body=b"hers")
    crowd.bob.s3.put_object(Bucket=name, Key="his", Body=b"his")
    return name


# -- reading -----------------------------------------------------------------------------------------------------


def test_a_new_bucket_is_its_owners_alone(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    answer = crowd.alice.s3.get_bucket_acl(Bucket=name)
    assert answer["Owner"] == {"ID": crowd.alice.id, "DisplayName": "alice"}
    assert answer["Grants"] == [
        {
            "Grantee": {"ID": crowd.alice.id, "DisplayName": "alice", "Type": "CanonicalUser"},
            "Permission": "FULL_CONTROL",
        }
    ]


def test_an_object_is_its_writers(crowd: Crowd, theirs: str) -> None:
    answer = crowd.bob.s3.get_object_acl(Bucket=theirs, Key="his")
    assert answer["Owner"]["ID"] == crowd.bob.id
    assert shown(answer) == [(crowd.bob.id, "FULL_CONTROL")]


@pytest.mark.parametrize(
    ("canned", "extra"),
    [
        ("private", []),
        ("public-read", [(ALL_USERS, "READ")]),
        ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")]),
        ("authenticated-read", [("http://acs.amazonaws.com/groups/global/AuthenticatedUsers", "READ")]),
    ],
)
def test_canned_acls_stand_for_grants(crowd: Crowd, canned: str, extra: list[tuple[str, str]]) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL=canned)
    own = [(crowd.alice.id, "FULL_CONTROL")]
    assert shown(crowd.alice.s3.get_bucket_acl(Bucket=name)) == extra + own
    crowd.alice.s3.put_object(Bucket=name, Key="k", Body=b"", ACL=canned)
    assert shown(crowd.alice.s3.get_object_acl(Bucket=name, Key="k")) == extra + own


@pytest.mark.parametrize(
    ("canned", "extra"), [("bucket-owner-read", "READ"), ("bucket-owner-full-control", "FULL_CONTROL")]
)
def test_bucket_owner_acls_add_the_buckets_owner(crowd: Crowd, theirs: str, canned: str, extra: str) -> None:
    crowd.bob.s3.put_object_acl(Bucket=theirs, Key="his", ACL=canned)
    answer = crowd.bob.s3.get_object_acl(Bucket=theirs, Key="his")
    assert shown(answer) == [(crowd.bob.id, "FULL_CONTROL"), (crowd.alice.id, extra)]
    assert crowd.alice.s3.get_object(Bucket=theirs, Key="his")["Body"].read() == b"his"


# -- writing -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["bucket", "object"])
def acl_target(request: pytest.FixtureRequest, crowd: Crowd, theirs: str) -> str:
    return f"/{theirs}?acl" if request.param == "bucket" else f"/{theirs}/hers?acl"


def test_grants_in_headers_are_the_whole_acl(crowd: Crowd, theirs: str) -> None:
    arguments = {"GrantRead": f'id="{crowd.bob.id}", uri="{ALL_USERS}"', "GrantWriteACP": f"id={crowd.bob.id}"}
    crowd.alice.s3.put_object_acl(Bucket=theirs, Key="hers", **arguments)
    answer = shown(crowd.alice.s3.get_object_acl(Bucket=theirs, Key="hers"))
    assert sorted(answer) == sorted([(crowd.bob.id, "READ"), (ALL_USERS, "READ"), (crowd.bob.id, "WRITE_ACP")])


def test_a_document_is_the_whole_acl(crowd: Crowd, acl_target: str) -> None:
    body = policy(crowd.alice.id, (*user(crowd.bob.id), "READ_ACP"))
    assert crowd.request("PUT", acl_target, body, by=crowd.alice).status == 200
    document = crowd.request("GET", acl_target, by=crowd.bob)
    assert document.text("AccessControlList/Grant/Grantee/ID") == crowd.bob.id
    assert document.text("AccessControlList/Grant/Permission") == "READ_ACP"
    assert b'xsi:type="CanonicalUser"' in document.body


def test_groups_are_shown_before_users_and_else_grants_in_the_order_given(crowd: Crowd, acl_target: str) -> None:
    group = ("Group", f"<URI>{ALL_USERS}</URI>")
    me, him = user(crowd.alice.id), user(crowd.bob.id)
    body = policy(crowd.alice.id, (*me, "FULL_CONTROL"), (*group, "READ_ACP"), (*him, "READ"), (*group, "READ"))
    assert crowd.request("PUT", acl_target, body, by=crowd.alice).status == 200
    document = crowd.request("GET", acl_target, by=crowd.alice).xml
    given = [element.text for element in document.iter(f"{raw.NAMESPACE}Permission")]
    assert given == ["READ_ACP", "READ", "FULL_CONTROL", "READ"]


def test_the_owner_may_always_put_things_right(crowd: Crowd, theirs: str) -> None:
    """Without a single grant, the owner reads and writes bucket, object and ACL still."""
    for target in (f"/{theirs}?acl", f"/{theirs}/hers?acl"):
        assert crowd.request("PUT", target, policy(crowd.alice.id), by=crowd.alice).status == 200
        assert crowd.request("GET", target, by=crowd.alice).status == 200
    assert crowd.alice.s3.get_object(Bucket=theirs, Key="hers")["Body"].read() == b"hers"
    crowd.alice.s3.put_bucket_acl(Bucket=theirs, ACL="private")


def refusals(crowd: Crowd) -> Iterator[tuple[str, bytes, dict[str, str], int, str]]:
    """(what, body, headers, status, code) of PUT ?acl by alice."""
    mine, his = crowd.alice.id, crowd.bob.id
    good = policy(mine, (*user(his), "READ"))
    yield "nothing at all", b"", {}, 400, "MissingSecurityHeader"
    yield "header and body", good, {"x-amz-acl": "private"}, 400, "UnexpectedContent"
    yield "canned and grants", b"", {"x-amz-acl": "private", "x-amz-grant-read": f"id={his}"}, 400, "InvalidRequest"
    yield "unknown canned name", b"", {"x-amz-acl": "public"}, 400, "InvalidArgument"
    yield "unknown id in a header", b"", {"x-amz-grant-read": "id=" + "0" * 64}, 400, "InvalidArgument"
    yield "unknown group in a header", b"", {"x-amz-grant-read": "uri=http://example.com"}, 400, "InvalidArgument"
    yield (
        "e-mail in a header",
        b"",
        {"x-amz-grant-read": "emailAddress=a@example.com"},
        400,
        ("UnresolvableGrantByEmailAddress"),
    )
    yield "unknown id", policy(mine, (*user("0" * 64), "READ")), {}, 400, "InvalidArgument"
    yield "unknown group", policy(mine, ("Group", "<URI>http://example.com</URI>", "READ")), {}, 400, "InvalidArgument"
    email = ("AmazonCustomerByEmail", "<EmailAddress>a@example.com</EmailAddress>", "READ")
    yield "e-mail", policy(mine, email), {}, 400, "UnresolvableGrantByEmailAddress"
    yield "unknown permission", policy(mine, (*user(his), "OWN")), {}, 400, "MalformedACLError"
    yield "no XML", b"grant bob read", {}, 400, "MalformedACLError"
    yield "another document", b"<Tagging/>", {}, 400, "MalformedACLError"
    yield "no owner", good.replace(f"<Owner><ID>{mine}</ID></Owner>".encode(), b""), {}, 400, "MalformedACLError"
    yield "another owner", policy(his, (*user(his), "FULL_CONTROL")), {}, 403, "AccessDenied"
    yield "too many grants", policy(mine, *[(*user(his), "READ")] * 101), {}, 400, "MalformedACLError"


def test_what_is_no_acl_is_refused_and_changes_nothing(crowd: Crowd, acl_target: str) -> None:
    before = crowd.request("GET", acl_target, by=crowd.alice).body
    for what, body, headers, status, code in refusals(crowd):
        reply = crowd.request("PUT", acl_target, body, by=crowd.alice, headers=headers)
        assert (reply.status, reply.code) == (status, code), what
    assert crowd.request("GET", acl_target, by=crowd.alice).body == before


def test_a_new_acl_leaves_the_object_as_it_was(crowd: Crowd, theirs: str) -> None:
    before = crowd.alice.s3.head_object(Bucket=theirs, Key="hers")
    crowd.alice.s3.put_object_acl(Bucket=theirs, Key="hers", ACL="public-read")
    after = crowd.alice.s3.head_object(Bucket=theirs, Key="hers")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    assert crowd.request("GET", f"/{theirs}/hers").body == b"hers"


def test_overwriting_makes_an_object_private_again(crowd: Crowd, theirs: str) -> None:
    crowd.alice.s3.put_object_acl(Bucket=theirs, Key="hers", ACL="public-read")
    crowd.alice.s3.put_object(Bucket=theirs, Key="hers", Body=b"new")
    assert crowd.request("GET", f"/{theirs}/hers").code == "AccessDenied"


def test_each_version_has_an_acl_of_its_own(crowd: Crowd, theirs: str) -> None:
    s3 = crowd.alice.s3
    s3.put_bucket_versioning(Bucket=theirs, VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket=theirs, Key="v", Body=b"")["VersionId"] for _ in range(2))
    reply = crowd.request(
        "PUT", f"/{theirs}/v?acl&versionId={first}", by=crowd.alice, headers={"x-amz-acl": "public-read"}
    )
    assert (reply.status, reply.headers["x-amz-version-id"]) == (200, first)
    assert len(shown(s3.get_object_acl(Bucket=theirs, Key="v", VersionId=first))) == 2
    assert len(shown(s3.get_object_acl(Bucket=theirs, Key="v", VersionId=second))) == 1
    assert len(shown(s3.get_object_acl(Bucket=theirs, Key="v"))) == 1
    assert crowd.request("GET", f"/{theirs}/v?versionId={first}").status == 200
    assert crowd.request("GET", f"/{theirs}/v").status == 403


# -- enforcement -------------------------------------------------------------------------------------------------


def test_the_buckets_owner_may_delete_but_not_read_what_another_wrote(crowd: Crowd, theirs: str) -> None:
    assert refusal(crowd.alice.s3.get_object, Bucket=theirs, Key="his") == (403, "AccessDenied")
    assert refusal(crowd.alice.s3.get_object_acl, Bucket=theirs, Key="his") == (403, "AccessDenied")
    assert refusal(crowd.alice.s3.put_object_acl, Bucket=theirs, Key="his", ACL="private") == (403, "AccessDenied")
    crowd.alice.s3.delete_object(Bucket=theirs, Key="his")
    assert refusal(crowd.bob.s3.get_object, Bucket=theirs, Key="his") == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        ("GrantRead", {"GET "}),
        ("GrantWrite", {"PUT k"}),
        ("GrantReadACP", {"GET ?acl"}),
        ("GrantWriteACP", {"PUT ?acl"}),
        ("GrantFullControl", {"GET ", "PUT k", "GET ?acl", "PUT ?acl"}),
    ],
)
def test_a_bucket_grant_allows_what_it_says(crowd: Crowd, grant: str, allowed: set[str]) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, **{grant: f"id={crowd.bob.id}"})
    targets = {"GET ": f"/{name}", "PUT k": f"/{name}/k", "GET ?acl": f"/{name}?acl", "PUT ?acl": f"/{name}?acl"}
    keeps = {f"x-amz-grant-{dashed(grant)}": f"id={crowd.bob.id}"}
    for action, target in targets.items():
        method = action.split()[0]
        headers = keeps if action == "PUT ?acl" else {}
        reply = crowd.request(method, target, by=crowd.bob, headers=headers)
        assert reply.status == (200 if action in allowed else 403), action
        assert crowd.request(method, target, headers=headers).status == 403, action
    # Configurations are the owner's alone, whatever the grant.
    for method, target in (("GET", "?versioning"), ("GET", "?location"), ("DELETE", ""), ("GET", "?tagging")):
        assert crowd.request(method, f"/{name}{target}", by=crowd.bob).status == 403


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        ("GrantRead", {"GET "}),
        ("GrantReadACP", {"GET ?acl"}),
        ("GrantWriteACP", {"PUT ?acl"}),
        ("GrantFullControl", {"GET ", "GET ?acl", "PUT ?acl"}),
    ],
)
def test_an_object_grant_allows_what_it_says(crowd: Crowd, grant: str, allowed: set[str]) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    crowd.alice.s3.put_object(Bucket=name, Key="k", Body=b"", **{grant: f"id={crowd.bob.id}"})
    keeps = {f"x-amz-grant-{dashed(grant)}": f"id={crowd.bob.id}"}
    for method, suffix in (("GET", ""), ("GET", "?acl"), ("PUT", "?acl"), ("GET", "?tagging"), ("DELETE", "")):
        headers = keeps if method == "PUT" else {}
        reply = crowd.request(method, f"/{name}/k{suffix}", by=crowd.bob, headers=headers)
        assert (reply.status == 200) == (f"{method} {suffix}" in allowed), (method, suffix)
        assert crowd.request(method, f"/{name}/k{suffix}", headers=headers).status == 403


def dashed(grant: str) -> str:
    names = {"Read": "read", "Write": "write", "ReadACP": "read-acp", "WriteACP": "write-acp"}
    return names.get(grant.removeprefix("Grant"), "full-control")


def test_an_absent_key_is_told_to_those_who_may_list(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    target = f"/{name}/none?acl"
    assert crowd.request("GET", target, by=crowd.alice).code == "NoSuchKey"
    assert crowd.request("GET", target, by=crowd.bob).code == "AccessDenied"
    crowd.alice.s3.put_bucket_acl(Bucket=name, ACL="public-read")
    assert crowd.request("GET", target, by=crowd.bob).code == "NoSuchKey"
    assert crowd.request("GET", target).code == "NoSuchKey"


def test_a_hidden_key_names_its_marker(crowd: Crowd) -> None:
    name, s3 = fresh_name(), crowd.alice.s3
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    for what in ("acl", "tagging"):
        hidden = crowd.request("GET", f"/{name}/k?{what}", by=crowd.alice)
        assert (hidden.status, hidden.code) == (404, "NoSuchKey")
        assert (hidden.headers["x-amz-delete-marker"], hidden.headers["x-amz-version-id"]) == ("true", marker)
        named = crowd.request("GET", f"/{name}/k?{what}&versionId={marker}", by=crowd.alice)
        assert (named.status, named.code) == (405, "MethodNotAllowed")
        assert named.headers["x-amz-delete-marker"] == "true"
        assert "last-modified" in named.headers
        unknown = crowd.request("GET", f"/{name}/k?{what}&versionId={'A' * 32}", by=crowd.alice)
        assert (unknown.status, unknown.code) == (404, "NoSuchVersion")
        for broken in ("", "x"):
            malformed = crowd.request("GET", f"/{name}/k?{what}&versionId={broken}", by=crowd.alice)
            assert (malformed.status, malformed.code) == (400, "InvalidArgument")


# -- ownership ---------------------------------------------------------------------------------------------------


def own(person: Person, bucket: str, ownership: str) -> None:
    person.s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
    )


def test_ownership_controls_are_absent_set_and_absent_again(crowd: Crowd) -> None:
    name, s3 = fresh_name(), crowd.alice.s3
    s3.create_bucket(Bucket=name)
    missing = (404, "OwnershipControlsNotFoundError")
    assert refusal(s3.get_bucket_ownership_controls, Bucket=name) == missing
    for ownership in ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"):
        own(crowd.alice, name, ownership)
        answer = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]
        assert answer == {"Rules": [{"ObjectOwnership": ownership}]}
    for _ in range(2):
        s3.delete_bucket_ownership_controls(Bucket=name)
        assert refusal(s3.get_bucket_ownership_controls, Bucket=name) == missing


def test_ownership_comes_with_the_creation(crowd: Crowd) -> None:
    name, s3 = fresh_name(), crowd.alice.s3
    s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
    answer = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]
    assert answer == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert refusal(s3.create_bucket, Bucket=fresh_name(), ObjectOwnership="Nobody") == (400, "InvalidArgument")


def test_enforced_ownership_and_grants_exclude_each_other(crowd: Crowd, theirs: str) -> None:
    s3, refused = crowd.alice.s3, (400, "InvalidBucketAclWithObjectOwnership")
    arguments = {"ObjectOwnership": "BucketOwnerEnforced", "ACL": "public-read"}
    assert refusal(s3.create_bucket, Bucket=fresh_name(), **arguments) == refused
    assert refusal(own, person=crowd.alice, bucket=theirs, ownership="BucketOwnerEnforced") == refused
    s3.put_bucket_acl(Bucket=theirs, ACL="private")
    own(crowd.alice, theirs, "BucketOwnerEnforced")


def test_enforced_ownership_switches_acls_off(crowd: Crowd, theirs: str) -> None:
    s3 = crowd.alice.s3
    crowd.bob.s3.put_object_acl(Bucket=theirs, Key="his", ACL="public-read")
    s3.put_bucket_acl(Bucket=theirs, ACL="private")
    own(crowd.alice, theirs, "BucketOwnerEnforced")
    assert s3.get_object(Bucket=theirs, Key="his")["Body"].read() == b"his"
    assert crowd.request("GET", f"/{theirs}/his").status == 403
    assert refusal(crowd.bob.s3.get_object, Bucket=theirs, Key="his") == (403, "AccessDenied")
    alone = [(crowd.alice.id, "FULL_CONTROL")]
    assert shown(s3.get_object_acl(Bucket=theirs, Key="his")) == shown(s3.get_bucket_acl(Bucket=theirs)) == alone
    refused = (400, "AccessControlListNotSupported")
    assert refusal(s3.put_bucket_acl, Bucket=theirs, ACL="private") == refused
    assert refusal(s3.put_object_acl, Bucket=theirs, Key="hers", ACL="bucket-owner-full-control") == refused
    assert refusal(s3.put_object, Bucket=theirs, Key="new", ACL="public-read") == refused
    s3.put_object(Bucket=theirs, Key="new", ACL="bucket-owner-full-control")
    s3.delete_bucket_ownership_controls(Bucket=theirs)
    assert crowd.request("GET", f"/{theirs}/his").body == b"his"


def test_preferred_ownership_gives_objects_to_the_buckets_owner(crowd: Crowd, theirs: str) -> None:
    own(crowd.alice, theirs, "BucketOwnerPreferred")
    crowd.bob.s3.put_object(Bucket=theirs, Key="given", Body=b"g", ACL="bucket-owner-full-control")
    crowd.bob.s3.put_object(Bucket=theirs, Key="kept", Body=b"k")
    assert crowd.alice.s3.get_object_acl(Bucket=theirs, Key="given")["Owner"]["ID"] == crowd.alice.id
    assert crowd.bob.s3.get_object_acl(Bucket=theirs, Key="kept")["Owner"]["ID"] == crowd.bob.id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<OwnershipControls/>",
        b"<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>",
        b"<Tagging/>",
    ],
)
def test_what_is_no_ownership_document_is_refused(crowd: Crowd, theirs: str, body: bytes) -> None:
    reply = crowd.request("PUT", f"/{theirs}?ownershipControls", body, by=crowd.alice)
    assert (reply.status, reply.code) == (400, "MalformedXML")
