"""S-04: what is too long, too many, or not as long as it says is refused without being taken in.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.footprint import MIB, growth
from tests.inventory import blob_files, inventory
from tests.security.auth_matrix import RULES, Scene, draft_of
from tests.security.document_check import HASHED
from tests.security.xml_attacks import ROOTS
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import (
    STREAMING,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Draft,
    aws_chunked,
    sign,
)

GROWTH_MAX_BYTES = 20 * MIB
GIB = 1 << 30


@dataclass(frozen=True)
class Oversized:
    """A request as bytes, and the codes it may be refused with."""

    name: str
    method: str
    wire: bytes
    codes: tuple[str, ...]


Make = Callable[[Scene], Iterator[Oversized]]


def long_documents(scene: Scene) -> Iterator[Oversized]:
    """10 MiB of well-formed XML, with a length and in chunks without one."""
    for rule in RULES:
        if rule.operation not in ROOTS:
            continue
        root = ROOTS[rule.operation]
        document = f"<{root}>{' ' * (10 * MIB)}</{root}>".encode()
        draft = draft_of(rule, scene, HASHED).copy(body=document)
        if rule.operation == "DeleteObjects":
            draft.headers.append(_sha256_header(document))
        codes = ("MaxMessageLengthExceeded",)
        yield Oversized(f"{rule.operation}, 10 MiB", rule.method, sign(draft, scene.keys).wire(), codes)
        chunked = sign(draft.copy(is_chunked=True), scene.keys)
        yield Oversized(f"{rule.operation}, 10 MiB in chunks", rule.method, chunked.wire(_in_chunks(document)), codes)


def long_lists(scene: Scene) -> Iterator[Oversized]:
    keys = "".join(f"<Object><Key>{'there' if number == 7 else number}</Key></Object>" for number in range(1_001))
    document = f"<Delete>{keys}</Delete>".encode()
    draft = Draft("POST", f"/{scene.bucket}?delete", [_sha256_header(document)], document)
    yield Oversized("1,001 keys", "POST", sign(draft, scene.keys).wire(), ("MalformedXML",))
    parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>" for number in range(1, 10_002))
    complete = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    upload = f"/{scene.bucket}/there?uploadId={scene.upload_id}"
    draft = Draft("POST", upload, body=complete)
    yield Oversized("10,001 parts", "POST", sign(draft, scene.keys).wire(), ("MalformedXML", "InvalidArgument"))
    for number in ("0", "10001", "-1", "1e3", "99999999999999999999", ""):
        draft = Draft("PUT", f"/{scene.bucket}/there?partNumber={number}&uploadId={scene.upload_id}", body=b"part")
        yield Oversized(f"part number {number}", "PUT", sign(draft, scene.keys).wire(), ("InvalidArgument",))


def chunk_sizes(scene: Scene) -> Iterator[Oversized]:
    """Sizes in the framing that lie, overflow or are no sizes: of aws-chunked and of HTTP's own chunks."""
    declared = [("x-amz-decoded-content-length", "4")]
    for size in ("FFFFFFFFFFFFFFFF", "10000000000000000", "-1", "0x4", "4 ", " 4", "+4", "4g", "", "5"):
        for payload_hash in (STREAMING, STREAMING_UNSIGNED_TRAILER):
            signed = sign(_put(scene, declared, payload_hash), scene.keys)
            body = aws_chunked([b"body"], signed.chain if payload_hash == STREAMING else None)
            spoiled = size.encode() + body[1:]
            yield Oversized(f"aws-chunk of {size!r}", "PUT", signed.wire(spoiled), ("InvalidRequest", "IncompleteBody"))
        signed = sign(_put(scene, [], UNSIGNED).copy(is_chunked=True), scene.keys)
        wire = signed.wire(size.encode() + b"\r\nbody\r\n0\r\n\r\n")
        if size != "4 ":
            yield Oversized(f"chunk of {size!r}", "PUT", wire, ("BadRequest", "IncompleteBody"))


def decoded_lengths(scene: Scene) -> Iterator[Oversized]:
    codes = ("InvalidArgument", "IncompleteBody", "MissingContentLength", "EntityTooLarge")
    for value in ("3", "5", "0", "-4", "4.0", "four", "", "4,4", "0x4", "９", str(6 * GIB), "9" * 18, "9" * 40, None):
        for payload_hash in (STREAMING, STREAMING_UNSIGNED_TRAILER):
            headers = [] if value is None else [("x-amz-decoded-content-length", value.encode().decode("latin-1"))]
            signed = sign(_put(scene, headers, payload_hash), scene.keys)
            body = aws_chunked([b"body"], signed.chain if payload_hash == STREAMING else None)
            yield Oversized(f"decoded length {value!r}", "PUT", signed.wire(body), codes)


def declared_lengths(scene: Scene) -> Iterator[Oversized]:
    """Bodies that are only announced: the answer must come without one byte of them."""
    for target in (f"/{scene.bucket}/there", f"/{scene.bucket}/there?partNumber=1&uploadId={scene.upload_id}"):
        for length in (5 * GIB + 1, 50 << 40, 10**18 - 1):
            signed = sign(Draft("PUT", target, payload_hash=UNSIGNED), scene.keys)
            yield Oversized(f"{length} bytes", "PUT", signed.head(length=length), ("EntityTooLarge",))
    for text in ("-1", "+4", "4 4", "0x4", "4.0", "1e3", "", "9" * 19, "4, 4"):
        signed = sign(_put(scene, [], UNSIGNED), scene.keys)
        signed.headers.append(("Content-Length", text))
        yield Oversized(f"length {text!r}", "PUT", signed.wire(), ("BadRequest",))


def long_descriptions(scene: Scene) -> Iterator[Oversized]:
    cases: list[tuple[str, list[tuple[str, str]], tuple[str, ...]]] = [
        ("2 KiB of metadata", [("x-amz-meta-a", "v" * 2_048)], ("MetadataTooLarge",)),
        ("100 small ones", [(f"x-amz-meta-{number:02}", "v" * 30) for number in range(100)], ("MetadataTooLarge",)),
        ("11 tags", [("x-amz-tagging", "&".join(f"{number}=v" for number in range(11)))], ("InvalidTag", "BadRequest")),
        ("a tag's key", [("x-amz-tagging", "k" * 129 + "=v")], ("InvalidTag",)),
        ("a tag's value", [("x-amz-tagging", "k=" + "v" * 257)], ("InvalidTag",)),
        ("a redirect", [("x-amz-website-redirect-location", "/" * 2_049)], ("InvalidArgument",)),
        ("a header", [("x-amz-meta-a", "v" * 9_000)], ("RequestHeaderSectionTooLarge",)),
        ("headers", [(f"x-{number}", "v") for number in range(250)], ("RequestHeaderSectionTooLarge",)),
        ("grants", [("x-amz-grant-read", ",".join(['id="' + "0" * 64 + '"'] * 101))], ("InvalidArgument", "InvalidRequest")),
    ]  # fmt: skip
    for name, headers, codes in cases:
        yield Oversized(name, "PUT", sign(_put(scene, headers, UNSIGNED), scene.keys).wire(), codes)
    for name, target, codes in (
        ("a key of 1,025 bytes", "k" * 1_025, ("KeyTooLongError",)),
        ("a key of 1,026 bytes in 342 characters", "%E2%82%AC" * 342, ("KeyTooLongError",)),
        ("a target", "k" * 9_000, ("InvalidURI",)),
        ("a query", "there?" + "&".join(f"x-{number}=v" for number in range(1_200)), ("InvalidURI",)),
    ):
        draft = Draft("PUT", f"/{scene.bucket}/{target}", body=b"body")
        yield Oversized(name, "PUT", sign(draft, scene.keys).wire(), codes)


@pytest.mark.parametrize(
    "make", [long_documents, long_lists, chunk_sizes, decoded_lengths, declared_lengths, long_descriptions]
)
def test_what_passes_a_bound_is_refused_and_nothing_is_done(
    guarded: RunningServer, client: Any, scene: Scene, make: Make
) -> None:
    """S-04: 400 or 413, under 20 MiB of memory, nothing executed."""
    before, blobs = inventory(client, scene.bucket), blob_files(guarded.data_dir)
    check_bounds(guarded, list(make(scene)), scene)
    assert inventory(client, scene.bucket) == before
    assert blob_files(guarded.data_dir) == blobs


def check_bounds(server: RunningServer, cases: Sequence[Oversized], scene: Scene) -> None:
    """Each is refused by its own name, and little memory is taken."""
    assert cases
    with growth(server.worker_pids()) as grown:
        for case in cases:
            answer = _ask(scene, case)
            assert answer.status in (400, 411, 413), f"{case.name}: {answer.status} {answer.code}"
            assert answer.code in case.codes, f"{case.name}: {answer.code}"
    assert grown.peak_bytes < GROWTH_MAX_BYTES


def _ask(scene: Scene, case: Oversized) -> Answer:
    with Wire(scene.port) as wire:
        try:
            wire.send(case.wire)
        except ConnectionError:
            pass  # refused before all of it was sent; the answer is there
        return wire.answer(case.method)


def _put(scene: Scene, headers: list[tuple[str, str]], payload_hash: str) -> Draft:
    return Draft("PUT", f"/{scene.bucket}/there", list(headers), b"body", payload_hash=payload_hash)


def _in_chunks(document: bytes) -> bytes:
    pieces = (document[at : at + MIB] for at in range(0, len(document), MIB))
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def _sha256_header(document: bytes) -> tuple[str, str]:
    return "x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(document).digest()).decode()
