"""S-07: a target has one meaning. Signature, access and storage read the same bytes, however they are spelled.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from app.s3.subresources import OBJECT_SUBRESOURCES
from tests.conftest import StartServer
from tests.exchange import exchange
from tests.inventory import inventory
from tests.security.auth_matrix import Scene
from tests.security.conftest import user_keys
from tests.security.name_check import Asking, body_of, fresh_bucket
from tests.security.odd_names import escaped, escaped_whole
from tests.server.wire import Answer
from tests.servers import RunningServer
from tests.signing import Draft, Keys, Sign, presign, sign

# As they stand in a request target. Some mean the same key, most do not.
SPELLINGS = (
    "a/b", "a%2Fb", "a%2fb", "%61/b", "%61%2F%62", "a%252Fb", "a%252fb", "a%25252Fb", "a//b", "a%2F/b", "a/./b", "a/%2E/b",
    "a/../b", "a/%2e%2e/b", "a%2F..%2Fb", "b", "./b", "../b", "a\\b", "a%5Cb", "a;b", "a%3Bb", "a%3bb", "a;b/c", "a+b", "a%2Bb",
    "a%20b", "a%2520b", "a%3Fb", "a%253Fb", "a", "a/", "a%2F", "/a", "A/b", "caf%C3%A9", "caf%c3%a9", "cafe%CC%81", "~x", "%7Ex",
    "%7ex", "a&b", "a%26b", "a=b", "a%3Db", "*", "%2A", "'", "%27", "(x)", "%28x%29", "!", "%21", "a:b", "a%3Ab", "a@b", "$,b", "%24,b",
    "a%00", "a%0A", "a%0D%0A", "%25", "%2525", "a%23b", "%EF%BC%8F", "%EF%BF%BD", "%C2%A0", "|", "%7C", "[x]", "{x}", "^", "`",
)  # fmt: skip


def key_of(spelling: str) -> str:
    return unquote_to_bytes(spelling).decode()


@pytest.fixture
def stored(guarded: RunningServer, client: Any) -> str:
    return store_spelled(guarded, client)


def store_spelled(server: RunningServer, client: Any) -> str:
    """A bucket with an object, of bytes of its own, for every key that a spelling means."""
    bucket = fresh_bucket(client)
    Asking(server, bucket).all("PUT", sorted({key_of(spelling) for spelling in SPELLINGS}), escaped, body_of)
    return bucket


def check_spellings(scene: Scene, stored: str, by: Sign) -> None:
    """Each spelling, sent with the signature of each, gives the bytes of the key that both mean, or is refused."""
    pairs = list(itertools.product(SPELLINGS, repeat=2))
    requests = []
    for signed_for, sent_as in pairs:
        signed = by(Draft("GET", f"/{stored}/{signed_for}"), scene.keys)
        signed.path = f"/{stored}/{sent_as}"
        requests.append(("GET", signed.wire()))
    for (signed_for, sent_as), answer in zip(pairs, exchange(scene.port, requests), strict=True):
        if key_of(signed_for) == key_of(sent_as):
            assert answer.status == 200, f"{sent_as}: {answer.status} {answer.code}"
            assert answer.body == body_of(key_of(sent_as)), f"{sent_as} has another key's bytes"
        else:
            assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), f"{signed_for} sent as {sent_as}"


@pytest.mark.parametrize("by", [sign, presign])
def test_a_signature_is_good_for_the_other_spellings_of_its_key_and_for_no_other_key(
    scene: Scene, stored: str, by: Sign
) -> None:
    """S-07: each spelling sent with the signature of each."""
    check_spellings(scene, stored, by)


def test_a_subresource_is_one_however_it_is_spelled(scene: Scene, client: Any) -> None:
    """S-07: what signs as a sub-resource never runs the operation on the object itself."""
    client.put_object(Bucket=scene.bucket, Key="kept", Body=b"kept", Tagging="a=b")
    before = inventory(client, scene.bucket)
    spellings = [each for name in sorted(OBJECT_SUBRESOURCES - {"uploads", "tagging"}) for each in _spelled(name)]
    drafts = [
        Draft(method, f"/{scene.bucket}/kept?{spelling}", body=b"overwritten" if method == "PUT" else b"")
        for spelling in spellings
        for method in ("PUT", "DELETE", "POST")
    ]
    for draft, answer in zip(drafts, _ask(scene, drafts), strict=True):
        assert answer.status >= 400 or answer.status == 204, f"{draft.method} {draft.target}: {answer.status}"
    assert inventory(client, scene.bucket) == before
    for spelling in _spelled("tagging"):
        client.put_object_tagging(Bucket=scene.bucket, Key="kept", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        (answer,) = _ask(scene, [Draft("DELETE", f"/{scene.bucket}/kept?{spelling}")])
        assert answer.status == 204
        assert client.get_object_tagging(Bucket=scene.bucket, Key="kept")["TagSet"] == []
    assert inventory(client, scene.bucket) == before


def test_what_only_looks_like_a_subresource_changes_nothing(scene: Scene, client: Any) -> None:
    """S-07: another case, a semicolon, a second escape, a repetition with something else."""
    before = inventory(client, scene.bucket)
    queries = (
        "ACL",
        "Tagging",
        "acl;x",
        "x;acl",
        "acl%3D",
        "%2561cl",
        "acl%26x",
        "acl+",
        "acl%00",
        "tagging%20",
        "?acl",
        "acl?",
    )
    methods = ("PUT", "DELETE")
    drafts = [Draft(method, f"/{scene.bucket}/there?{query}", body=b"") for query in queries for method in methods]
    for draft, answer in zip(drafts, _ask(scene, drafts), strict=True):
        assert (answer.status, answer.code) == (400, "InvalidArgument"), f"{draft.method} {draft.target}"
    assert inventory(client, scene.bucket) == before


def test_a_plus_is_itself_in_a_path_and_a_blank_in_a_query(scene: Scene, client: Any) -> None:
    """S-07."""
    for key in ("p+q", "p q"):
        client.put_object(Bucket=scene.bucket, Key=key, Body=body_of(key))
    queries = {"p+q": "p q", "p%20q": "p q", "p%2Bq": "p+q", "p%2520q": None, "p%252Bq": None}
    drafts = [Draft("GET", f"/{scene.bucket}?list-type=2&prefix={text}") for text in queries]
    for (text, expected), answer in zip(queries.items(), _ask(scene, drafts), strict=True):
        assert answer.status == 200, text
        assert [key for key in ("p+q", "p q") if f"<Key>{key}</Key>".encode() in answer.body] == (
            [] if expected is None else [expected]
        ), text
    paths = {"p+q": "p+q", "p%2Bq": "p+q", "p%20q": "p q"}
    answers = _ask(scene, [Draft("GET", f"/{scene.bucket}/{path}") for path in paths])
    assert [answer.body for answer in answers] == [body_of(key) for key in paths.values()]


def test_of_an_absolute_target_only_path_and_query_count(scene: Scene) -> None:
    """S-07: whatever authority stands in it."""
    for authority in (
        "localhost",
        "localhost:1",
        "elsewhere.example",
        "user:word@localhost",
        "[::1]",
        "there.s3.example",
    ):
        for scheme in ("http", "HTTPS"):
            signed = sign(Draft("GET", f"/{scene.bucket}/there"), scene.keys)
            signed.path = f"{scheme}://{authority}/{scene.bucket}/there"
            (answer,) = exchange(scene.port, [("GET", signed.wire())])
            assert (answer.status, answer.body) == (200, b"as it was"), signed.path
    for target in ("ftp://localhost/x", "//", "http:/x", "x", "?x", "http://", "http:///", "http://?x", "*"):
        signed = sign(Draft("GET", "/"), scene.keys)
        signed.path = target
        (answer,) = exchange(scene.port, [("GET", signed.wire())])
        assert answer.status in (400, 403), target


def test_the_bucket_of_a_virtual_host_comes_from_the_signed_host_alone(start_server: StartServer) -> None:
    """S-07: path and an absolute target's authority cannot name another."""
    server = start_server("--server.domain", "s3.example", workers=1)
    client = server.client()
    for bucket in ("alpha", "beta"):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="k", Body=f"of {bucket}".encode())
    client.put_object(Bucket="alpha", Key="beta/k", Body=b"below alpha")
    cases = {
        ("alpha.s3.example", "/k"): b"of alpha",
        ("ALPHA.S3.Example", "/k"): b"of alpha",
        ("alpha.s3.example:80", "/k"): b"of alpha",
        ("alpha.s3.example", "/beta/k"): b"below alpha",
        ("alpha.s3.example", "http://beta.s3.example/k"): b"of alpha",
        ("s3.example", "http://beta.s3.example/alpha/k"): b"of alpha",
        ("s3.example", "/beta/k"): b"of beta",
        ("127.0.0.1", "/beta/k"): b"of beta",
        ("alpha.s3.example.", "/beta/k"): b"of beta",
        ("xs3.example", "/beta/k"): b"of beta",
    }
    keys = Keys(server.access_key, server.secret_key)
    for (host, target), expected in cases.items():
        path = "/" + target.partition("://")[2].partition("/")[2] if "://" in target else target
        signed = sign(Draft("GET", path, host=host), keys)
        signed.path = target
        (answer,) = exchange(server.port, [("GET", signed.wire())])
        assert (answer.status, answer.body) == (200, expected), (host, target)
        signed.headers[0] = ("Host", "beta.s3.example")
        (answer,) = exchange(server.port, [("GET", signed.wire())])
        assert answer.code == "SignatureDoesNotMatch", (host, target)


def test_no_spelling_reaches_into_another_bucket(scene: Scene, client: Any) -> None:
    """S-07: alice has a bucket of her own, and reads and copies nothing of root's."""
    alice = Scene(scene.port, user_keys("alice"), fresh_bucket(client).replace("names", "alice"), "", "")
    (created,) = _ask(alice, [Draft("PUT", f"/{alice.bucket}")])
    assert created.status == 200
    own, other = alice.bucket, f"{scene.bucket}/there"
    paths = [
        f"/{own}/../{other}", f"/{own}/%2e%2e/{other}", f"/{own}%2F..%2F{other}", f"/{own}/..%2f{other}", f"//{other}", f"/./{other}",
        f"/%2F{other}", f"/{own};/../{other}", f"/{other}", f"/{scene.bucket}%2Fthere", f"/{scene.bucket}%00/there",
        f"/{scene.bucket}%20/there", f"/{scene.bucket}./there", f"/{scene.bucket.upper()}/there", f"/{other}?x", f"/{other}%3Fx",
        f"/{escaped_whole(scene.bucket)}/there", f"/{own}\\..\\{other}", f"/{own}?/../../{other}", f"/{own}/x?versionId=../{other}",
    ]  # fmt: skip
    reads = _ask(alice, [Draft("GET", path) for path in paths])
    copies = _ask(alice, [Draft("PUT", f"/{own}/copy", [("x-amz-copy-source", path)]) for path in paths])
    named = _ask(alice, [Draft("PUT", f"/{own}/copy", [("x-amz-copy-source", path[1:])]) for path in paths])
    listed = Draft("GET", f"/{own}?list-type=2")
    for path, *answers in zip(paths, reads, copies, named, strict=True):
        for answer in answers:
            is_own_listing = (
                answer.status == 200 and b"<ListBucketResult" in answer.body and path.startswith(f"/{own}?")
            )
            assert is_own_listing or answer.status in (400, 403, 404), f"{path}: {answer.status}"
            assert b"as it was" not in answer.body
    assert b"<Key>" not in _ask(alice, [listed])[0].body


def _spelled(name: str) -> Iterable[str]:
    return (
        name,
        f"{name}=",
        f"%{ord(name[0]):02x}{name[1:]}",
        escaped_whole(name),
        f"{escaped_whole(name)}=",
        f"&{name}&",
    )


def _ask(scene: Scene, drafts: Iterable[Draft]) -> list[Answer]:
    return exchange(scene.port, [(draft.method, sign(draft, scene.keys).wire()) for draft in drafts])
