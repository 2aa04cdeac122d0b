"""R-09 as a function of a server: a body that stops early is refused in time, wherever it stops, and stores nothing."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.inventory import blob_files, inventory
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import (
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Draft,
    Keys,
    aws_chunked,
    sign,
)

ANSWER_MAX_S = 2.0
CPU_MAX_S = 1.0
PIECES = (b"first", b"the second one", b"3rd")
SIZE = sum(map(len, PIECES))
CRC32 = "T2R2Fw=="  # of the pieces together
LARGE_BYTES = 300_000
LARGE_CUTS = 12

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Whole:
    """A request that would be accepted: its head, and its body, which is to be cut."""

    name: str
    head: bytes
    body: bytes


@dataclass(frozen=True)
class Place:
    """Where the cut bodies go: an object that is there already, and an upload."""

    bucket: str
    upload_id: str

    @property
    def targets(self) -> tuple[str, str]:
        return f"/{self.bucket}/there", f"/{self.bucket}/there?partNumber=1&uploadId={self.upload_id}"


def check_cut_bodies(server: RunningServer, client: Any) -> None:
    """Each body cut at each byte: by the end of the connection, and, where the framing inside says more than the length
    outside, by a length that fits what comes.
    """
    place = _place(client)
    before, blobs = inventory(client), blob_files(server.data_dir)
    keys = Keys(server.access_key, server.secret_key)
    pids = server.worker_pids()
    for target in place.targets:
        for whole in _wholes(target, keys):
            for cut in range(len(whole.body)):
                _check_refused(server.port, pids, whole, whole.head + whole.body[:cut], f"{whole.name} cut at {cut}")
        for whole in _framed(target, keys):
            for cut in range(len(whole.body)):
                head = whole.head.replace(b"Content-Length: %d" % len(whole.body), b"Content-Length: %d" % cut)
                _check_refused(server.port, pids, whole, head + whole.body[:cut], f"{whole.name}, whole at {cut}")
        for whole in _large(target, keys):
            step = len(whole.body) // LARGE_CUTS
            for cut in (*range(0, len(whole.body), step), len(whole.body) - 1):
                _check_refused(server.port, pids, whole, whole.head + whole.body[:cut], f"{whole.name} cut at {cut}")
    assert inventory(client) == before, "a body that was cut was stored"
    assert blob_files(server.data_dir) == blobs, "a body that was cut left a file"


def check_whole_bodies(server: RunningServer, client: Any) -> None:
    """Uncut, each is accepted: so it is the cut that is refused."""
    keys = Keys(server.access_key, server.secret_key)
    for target in _place(client).targets:
        for whole in (*_wholes(target, keys), *_large(target, keys)):
            answer, _ = _ask(server.port, whole.head + whole.body)
            assert answer.status == 200, f"{whole.name}: {answer.status} {answer.code}"


def _place(client: Any) -> Place:
    bucket = f"cut-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="there", Body=b"as it was")
    return Place(bucket, client.create_multipart_upload(Bucket=bucket, Key="there")["UploadId"])


def _check_refused(port: int, pids: Sequence[int], whole: Whole, request: bytes, name: str) -> None:
    before = _cpu_s(pids)
    answer, seconds = _ask(port, request)
    assert 400 <= answer.status < 500, f"{name}: {answer.status}"
    assert seconds < ANSWER_MAX_S, f"{name}: {seconds:.1f} s"
    assert _cpu_s(pids) - before < CPU_MAX_S, f"{name}: more than {CPU_MAX_S} s of CPU"


def _ask(port: int, request: bytes) -> tuple[Answer, float]:
    """The answer to a request behind which the connection ends, and how long it took."""
    with Wire(port) as wire:
        begun = time.monotonic()
        wire.send(request)
        wire.sock.shutdown(socket.SHUT_WR)
        return wire.answer("PUT"), time.monotonic() - begun


def _wholes(target: str, keys: Keys) -> Iterator[Whole]:
    body = b"".join(PIECES)
    signed = sign(Draft("PUT", target, body=body, payload_hash=UNSIGNED), keys)
    yield Whole("a body with a length", signed.head(), body)
    signed = sign(Draft("PUT", target, payload_hash=UNSIGNED, is_chunked=True), keys)
    yield Whole("a chunked body", signed.head(), _http_chunked(body))
    yield from _framed(target, keys)
    signed = sign(_streaming(target, STREAMING_UNSIGNED_TRAILER).copy(is_chunked=True), keys)
    trailers = [("x-amz-checksum-crc32", CRC32)]
    yield Whole("aws-chunked in chunks", signed.head(), _http_chunked(aws_chunked(PIECES, None, trailers)))


def _framed(target: str, keys: Keys) -> Iterator[Whole]:
    """aws-chunked bodies of three chunks, with a length."""
    for payload_hash in (STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER):
        signed = sign(_streaming(target, payload_hash), keys)
        trailers = [] if payload_hash == STREAMING else [("x-amz-checksum-crc32", CRC32)]
        chain = None if payload_hash == STREAMING_UNSIGNED_TRAILER else signed.chain
        body = aws_chunked(PIECES, chain, trailers, signs_trailer=payload_hash == STREAMING_TRAILER)
        yield Whole(payload_hash, signed.head(length=len(body)), body)


def _large(target: str, keys: Keys) -> Iterator[Whole]:
    """Bodies that go to a file."""
    body = bytes(LARGE_BYTES)
    yield Whole("a large body", sign(Draft("PUT", target, body=body, payload_hash=UNSIGNED), keys).head(), body)
    signed = sign(Draft("PUT", target, payload_hash=UNSIGNED, is_chunked=True), keys)
    yield Whole("a large chunked body", signed.head(), _http_chunked(body))


def _streaming(target: str, payload_hash: str) -> Draft:
    headers = [("x-amz-decoded-content-length", str(SIZE))]
    if payload_hash != STREAMING:
        headers.append(("x-amz-trailer", "x-amz-checksum-crc32"))
    return Draft("PUT", target, headers, payload_hash=payload_hash)


def _http_chunked(body: bytes) -> bytes:
    third = len(body) // 3
    pieces = (body[:third], body[third : 2 * third], body[2 * third :])
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _cpu_s(pids: Sequence[int]) -> float:
    """What the processes have computed so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S
