"""What the storm's writers do (R-02): each operation with what it promises, recorded before it is sent."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.reliability.caller import Caller, CutOff, NotSent
from tests.reliability.history import ABSENT, History, State
from tests.s3.raw import Reply

BUCKET = "storm"
VERSIONED_BUCKET = "storm-versions"
KEYS = 300
HOT_KEYS = 5  # every tenth choice is one of these, so that writers meet
INLINE_MAX_BYTES = 65_536
TINY_MAX_BYTES = 2_000
LARGE_MIN_BYTES, LARGE_MAX_BYTES = 100 << 10, 300 << 10
FULL_PART_BYTES = 5 << 20

GOOD = (200, 204)
COPY_REFUSED = ("NoSuchKey", "PreconditionFailed")  # the source is not what it was: nothing happened


class Unexpected(Exception):
    """An answer that no kill explains."""


@dataclass
class Tally:
    """What the writers got done. Used by many threads."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    cut_off: int = 0
    reads: int = 0
    versions: dict[str, State] = field(default_factory=dict)  # that were acknowledged, by the target that reads them
    complaints: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writes(self) -> int:
        return sum(self.acknowledged.values())

    def complain(self, sentence: str | None) -> None:
        if sentence is not None:
            with self.lock:
                self.complaints.append(sentence)


class Writer:
    """One thread's connection and its dice."""

    def __init__(self, caller: Caller, history: History, tally: Tally, seed: int) -> None:
        self._caller = caller
        self._history = history
        self._tally = tally
        self._dice = random.Random(seed)
        self._operations: dict[Callable[[], None], int] = {
            self.put_small: 34,
            self.put_version: 4,
            self.put_large: 20,
            self.delete: 14,
            self.copy: 14,
            self.upload: 7,
            self.look: 7,
        }

    def step(self) -> None:
        """One operation. Raises: NotSent, when nobody listens."""
        operation = self._dice.choices(list(self._operations), list(self._operations.values()))[0]
        try:
            operation()
        except CutOff:
            with self._tally.lock:
                self._tally.cut_off += 1
        except (TimeoutError, Unexpected) as error:
            self._tally.complain(f"unexpected: {operation.__name__}: {error!r}")

    # -- operations ----------------------------------------------------------------------------------------------

    def put_small(self) -> None:
        limit = TINY_MAX_BYTES if self._dice.random() < 0.7 else INLINE_MAX_BYTES
        self._put("put small", self._dice.randbytes(self._dice.randint(0, limit)))

    def put_large(self) -> None:
        self._put("put large", self._dice.randbytes(self._dice.randint(LARGE_MIN_BYTES, LARGE_MAX_BYTES)))

    def _put(self, kind: str, body: bytes) -> None:
        key, digest = self._key(), hashlib.md5(body).hexdigest()
        blobs = (digest,) if len(body) > INLINE_MAX_BYTES else ()
        state = State(digest, hashlib.sha256(body).hexdigest(), len(body), blobs)
        self._write(
            kind, key, state, lambda: self._caller.call("PUT", path(key), body),
            lambda reply: reply.headers.get("etag") == f'"{digest}"',
        )  # fmt: skip

    def put_version(self) -> None:
        """Adds a version that nothing takes away again. Inline, for nobody knows of the versions that were cut off."""
        target, body = f"/{VERSIONED_BUCKET}/{self._key()}", self._dice.randbytes(TINY_MAX_BYTES)
        reply = _good(self._caller.call("PUT", target, body))
        version_id = reply.headers.get("x-amz-version-id")
        if version_id is None:
            raise Unexpected(f"{target}: no version id in {reply}")
        state = State(hashlib.md5(body).hexdigest(), hashlib.sha256(body).hexdigest(), len(body))
        with self._tally.lock:
            self._tally.versions[f"{target}?versionId={version_id}"] = state
            self._tally.acknowledged["version"] += 1

    def delete(self) -> None:
        key = self._key()
        self._write("delete", key, ABSENT, lambda: self._caller.call("DELETE", path(key)), lambda reply: True)

    def copy(self) -> None:
        """Refused unless the source still is what we believe it is: so it is known what the copy holds."""
        source, target = self._key(), self._key()
        state = self._history.latest(source)
        if source == target or state == ABSENT:
            return
        headers = {"x-amz-copy-source": path(source), "x-amz-copy-source-if-match": f'"{state.etag}"'}
        self._write(
            "copy", target, state, lambda: self._caller.call("PUT", path(target), headers=headers),
            lambda reply: state.etag in reply.text("ETag"),
        )  # fmt: skip

    def upload(self) -> None:
        """Only Complete changes what a reader sees. A failure before it leaves an open upload behind."""
        key = self._key()
        parts = [self._dice.randbytes(FULL_PART_BYTES)] if self._dice.random() < 0.15 else []
        parts.append(self._dice.randbytes(self._dice.randint(1, LARGE_MAX_BYTES)))
        upload_id = _good(self._caller.call("POST", f"{path(key)}?uploads")).text("UploadId")
        for number, part in enumerate(parts, 1):
            _good(self._caller.call("PUT", f"{path(key)}?partNumber={number}&uploadId={upload_id}", part))
        state = _state_of_parts(parts)
        target, document = f"{path(key)}?uploadId={upload_id}", _completion(state.blobs)
        self._write(
            "upload", key, state, lambda: self._caller.call("POST", target, document),
            lambda reply: state.etag in reply.text("ETag"),
        )  # fmt: skip

    def look(self) -> None:
        """A reader among the writers sees nothing that was superseded before it began."""
        key, began_s = self._key(), time.monotonic()
        seen = read(self._caller, key)
        complaint = self._history.complaint(key, seen, began_s, time.monotonic())
        self._tally.complain(complaint and f"seen while writing: {complaint}")
        with self._tally.lock:
            self._tally.reads += 1

    # -- parts of them -------------------------------------------------------------------------------------------

    def _write(
        self, kind: str, key: str, state: State, send: Callable[[], Reply], is_right: Callable[[Reply], bool]
    ) -> None:
        attempt = self._history.begin(key, state, time.monotonic())
        try:
            reply = send()
        except NotSent:
            self._history.refuse(key, attempt)
            raise
        except CutOff:
            self._history.cut_off(attempt, time.monotonic())
            raise
        if reply.status in GOOD and is_right(reply):
            self._history.acknowledge(attempt, time.monotonic())
            with self._tally.lock:
                self._tally.acknowledged[kind] += 1
        elif kind == "copy" and reply.code in COPY_REFUSED:
            self._history.refuse(key, attempt)
            with self._tally.lock:
                self._tally.refused[reply.code] += 1
        else:
            self._history.cut_off(attempt, time.monotonic())
            raise Unexpected(f"{key}: {reply}")

    def _key(self) -> str:
        is_hot = self._dice.random() < 0.1
        return f"hot/{self._dice.randrange(HOT_KEYS)}" if is_hot else f"key/{self._dice.randrange(KEYS)}"


def path(key: str) -> str:
    return f"/{BUCKET}/{key}"


def read(caller: Caller, key: str) -> State:
    """Raises: NotSent, CutOff, TimeoutError, Unexpected."""
    return read_target(caller, path(key))


def read_target(caller: Caller, target: str) -> State:
    """As `read`; with a version in the target."""
    reply = caller.call("GET", target)
    if reply.status == 404 and reply.code in ("NoSuchKey", "NoSuchVersion"):
        return ABSENT
    _good(reply)
    return State(reply.headers["etag"].strip('"'), hashlib.sha256(reply.body).hexdigest(), len(reply.body))


def _good(reply: Reply) -> Reply:
    if reply.status not in GOOD:
        raise Unexpected(repr(reply))
    return reply


def _state_of_parts(parts: Sequence[bytes]) -> State:
    digests = [hashlib.md5(part) for part in parts]
    etag = hashlib.md5(b"".join(digest.digest() for digest in digests)).hexdigest()
    whole = b"".join(parts)
    blobs = tuple(digest.hexdigest() for digest in digests)
    return State(f"{etag}-{len(parts)}", hashlib.sha256(whole).hexdigest(), len(whole), blobs)


def _completion(etags: Sequence[str]) -> bytes:
    parts = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>' for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
