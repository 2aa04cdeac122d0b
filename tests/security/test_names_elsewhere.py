"""S-06: odd names outside the path mean the same key there, or nothing: copy sources, documents, parameters, forms.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import pytest

from tests.exchange import exchange
from tests.inventory import inventory
from tests.security.auth_matrix import Scene
from tests.security.name_check import Asking, body_of, fresh_bucket, listed
from tests.security.odd_names import KEYS, NO_NAMES, escaped, escaped_whole
from tests.server.wire import Answer
from tests.servers import RunningServer
from tests.signing import Draft, sign

# Characters that no XML 1.0 document holds, however they are written.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@pytest.fixture
def stored(guarded: RunningServer, client: Any) -> str:
    return store_odd_keys(guarded, client)


def store_odd_keys(server: RunningServer, client: Any) -> str:
    """A bucket that holds every odd key, each with bytes of its own."""
    bucket = fresh_bucket(client)
    answers = Asking(server, bucket).all("PUT", KEYS, escaped, body_of)
    assert all(answer.status == 200 for _, answer in answers)
    return bucket


def check_copy_sources(client: Any, scene: Scene, stored: str, spelling: Callable[[str], str]) -> None:
    """A copy of each key has that key's bytes."""
    slash = "/" if spelling is escaped else "%2f"
    headers = [[("x-amz-copy-source", f"/{stored}{slash}{spelling(key)}")] for key in KEYS]
    drafts = [Draft("PUT", f"/{scene.bucket}/{at}", header) for at, header in enumerate(headers)]
    for key, answer in zip(KEYS, _ask(scene, drafts), strict=True):
        assert answer.status == 200, f"{key!r}: {answer.status} {answer.code}"
    for at, key in enumerate(KEYS):
        assert client.get_object(Bucket=scene.bucket, Key=str(at))["Body"].read() == body_of(key), repr(key)


@pytest.mark.parametrize("spelling", [escaped, escaped_whole])
def test_a_copy_source_names_exactly_one_key(
    client: Any, scene: Scene, stored: str, spelling: Callable[[str], str]
) -> None:
    """S-06, S-07: the slash behind the bucket escaped too."""
    check_copy_sources(client, scene, stored, spelling)


def test_a_copy_source_that_names_nothing_copies_nothing(client: Any, scene: Scene) -> None:
    before = inventory(client, scene.bucket)
    broken = [f"/{scene.bucket}/{name}" for name in NO_NAMES]
    absent = [
        "",
        "/",
        "there",
        f"/{scene.bucket}",
        f"{scene.bucket}/",
        "//there",
        f"//{scene.bucket}/there",
        "/../x/there",
    ]
    absent += [f"http://{scene.host}/{scene.bucket}/there", f"/{scene.bucket}/../{scene.bucket}/there"]
    drafts = [Draft("PUT", f"/{scene.bucket}/copy", [("x-amz-copy-source", source)]) for source in broken + absent]
    for draft, answer in zip(drafts, _ask(scene, drafts), strict=True):
        assert answer.status in (400, 404), f"{draft.headers}: {answer.status} {answer.code}"
    assert inventory(client, scene.bucket) == before


def test_a_document_deletes_exactly_the_key_it_holds(
    guarded: RunningServer, client: Any, scene: Scene, stored: str
) -> None:
    """S-06: each key by a request of its own; what XML cannot say deletes nothing."""
    left = set(KEYS)
    for key, answer in zip(KEYS, _ask(scene, [_deletion(stored, [key]) for key in KEYS]), strict=True):
        if NOT_XML.search(key):
            assert (answer.status, answer.code) == (400, "MalformedXML"), repr(key)
            continue
        assert answer.status == 200, repr(key)
        assert b"<Deleted>" in answer.body, repr(key)
        left.remove(key)
    assert listed(client, stored) == sorted(left, key=str.encode)
    assert left


def test_a_prefix_is_compared_byte_by_byte(client: Any, stored: str) -> None:
    """S-06."""
    for prefix in KEYS:
        expected = sorted((key for key in KEYS if key.startswith(prefix)), key=str.encode)
        assert listed(client, stored, Prefix=prefix) == expected, repr(prefix)
        later = sorted((key for key in KEYS if key.encode() > prefix.encode()), key=str.encode)
        assert listed(client, stored, StartAfter=prefix) == later, repr(prefix)


def test_odd_upload_ids_part_numbers_and_version_ids_name_nothing(client: Any, scene: Scene) -> None:
    """S-06."""
    before = inventory(client, scene.bucket)
    place = f"/{scene.bucket}/there"
    complete = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    )
    for name in (*KEYS, ""):
        value = quote(name, safe="")
        by_upload = [
            Draft("GET", f"{place}?uploadId={value}"),
            Draft("DELETE", f"{place}?uploadId={value}"),
            Draft("PUT", f"{place}?partNumber=1&uploadId={value}", body=b"part"),
            Draft("POST", f"{place}?uploadId={value}", body=complete),
        ]
        assert {(answer.status, answer.code) for answer in _ask(scene, by_upload)} == {(404, "NoSuchUpload")}, repr(
            name
        )
        by_number = [
            Draft("PUT", f"{place}?partNumber={value}&uploadId={scene.upload_id}", body=b"part"),
            Draft("GET", f"{place}?partNumber={value}"),
        ]
        assert {answer.code for answer in _ask(scene, by_number)} == {"InvalidArgument"}, repr(name)
        if name == "null":
            continue  # the version of a bucket without versions
        by_version = [Draft(method, f"{place}?versionId={value}") for method in ("GET", "DELETE")]
        assert {answer.code for answer in _ask(scene, by_version)} == {"InvalidArgument"}, repr(name)
    assert inventory(client, scene.bucket) == before


@pytest.mark.parametrize(
    "parameter",
    ["?list-type=2&continuation-token=", "?marker=", "?versions&key-marker=", "?uploads&key-marker=",
     "?uploads&upload-id-marker=", "?list-type=2&delimiter=", "?list-type=2&encoding-type=", "?list-type=2&max-keys="],
)  # fmt: skip
def test_odd_parameters_are_an_answer_or_a_refusal(scene: Scene, parameter: str) -> None:
    """S-06: bounded, well-formed, and never a failure of the server."""
    drafts = [Draft("GET", f"/{scene.bucket}{parameter}{quote(name, safe='')}") for name in KEYS]
    for name, answer in zip(KEYS, _ask(scene, drafts), strict=True):
        assert answer.status in (200, 400), f"{name!r}: {answer.status} {answer.code}"


def test_a_forms_key_is_a_name_like_any_other(client: Any, scene: Scene) -> None:
    """S-06: kept as it is, or refused; never a path."""
    before = inventory(client, scene.bucket)
    for key, code in (("../x", ""), ("${filename}", ""), ("", "InvalidArgument"), ("k" * 1_025, "KeyTooLongError")):
        body = (
            f'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n{key}\r\n'
            '--x\r\nContent-Disposition: form-data; name="file"; filename="../../etc/y"\r\n\r\n\r\n--x--\r\n'
        ).encode()
        draft = Draft("POST", f"/{scene.bucket}", [("Content-Type", "multipart/form-data; boundary=x")], body)
        (answer,) = _ask(scene, [draft])
        assert answer.code == code
    made = {"../x", "y"}
    assert made <= {each["Key"] for each in client.list_objects_v2(Bucket=scene.bucket)["Contents"]}
    for key in made:
        client.delete_object(Bucket=scene.bucket, Key=key)
    assert inventory(client, scene.bucket) == before


def _ask(scene: Scene, drafts: Iterable[Draft]) -> list[Answer]:
    return exchange(scene.port, [(draft.method, sign(draft, scene.keys).wire()) for draft in drafts])


def _deletion(bucket: str, keys: Iterable[str]) -> Draft:
    objects = "".join(f"<Object><Key>{_in_xml(key)}</Key></Object>" for key in keys)
    document = f"<Delete>{objects}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(document).digest()).decode()
    return Draft("POST", f"/{bucket}?delete", [("Content-MD5", digest)], document)


def _in_xml(key: str) -> str:
    """By reference whatever a parser would change, or take for its own."""
    return "".join(f"&#{ord(char)};" if char in "<>&\"'\r\n\t" or NOT_XML.match(char) else char for char in key)
