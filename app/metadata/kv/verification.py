"""What must be true of a bucket's rows in a key-value store, looked at from outside any commit.

Meant for a store at rest: a row that changes under the eyes of this may be reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.metadata.kv import layout
from app.metadata.kv.history import content_of
from app.metadata.kv.keyspace import Entry, Keyspace
from app.metadata.kv.rows import load, load_content, load_hold, load_part, load_version

PAGE = 1_000
PROBLEMS_MAX = 1_000  # of one bucket


def verify_bucket(keyspace: Keyspace, bucket_id: int) -> list[str]:
    """At most PROBLEMS_MAX sentences."""
    verification = _Verification(keyspace, bucket_id)
    problems: list[str] = []
    for problem in verification.problems():
        problems.append(f"bucket {bucket_id}: {problem}")
        if len(problems) == PROBLEMS_MAX:
            break
    return problems


class _Verification:
    def __init__(self, keyspace: Keyspace, bucket_id: int) -> None:
        self._keyspace = keyspace
        self._bucket_id = bucket_id
        self._scope = layout.bucket_scope(bucket_id)
        self._counts = Counter[bytes]()

    def problems(self) -> Iterator[str]:
        yield from self._versions()
        yield from self._heads()
        yield from self._parts()
        yield from self._holds()

    def _rows(self, tag: bytes) -> Iterator[tuple[bytes, Entry]]:
        start, end = tag, layout.behind(tag)
        while rows := self._keyspace.scan(self._scope, start, end, PAGE):
            yield from rows
            start = rows[-1][0] + b"\x00"

    def _has(self, key: bytes) -> bool:
        return self._keyspace.get(self._scope, key) is not None

    def _versions(self) -> Iterator[str]:
        previous = b""
        for place, entry in self._rows(layout.VERSION):
            key, version = place[1:-8], load_version(entry.value, "", is_current=False)
            name, sequence = f"version {version.version_id} of {version.key!r}", layout.number(version.sequence)
            if key != previous:
                tag = layout.MARKER if version.is_delete_marker else layout.CURRENT
                head = self._keyspace.get(self._scope, tag + key)
                if head is None or head.value != entry.value:
                    yield f"{name} is the newest of its key but not its current one"
            previous = key
            by_id = self._keyspace.get(self._scope, layout.BY_ID + key + version.version_id.encode())
            if by_id is None or load(by_id.value) != version.sequence:
                yield f"{name} is not found by its id"
            if not self._has(layout.BY_SEQUENCE + sequence):
                yield f"{name} is not found by its sequence"
            if version.content.is_inline and not self._has(layout.INLINE + sequence):
                yield f"{name} has lost its inline bytes"
            content = content_of(version.content)
            if content is not None:
                self._counts[content] += 1

    def _heads(self) -> Iterator[str]:
        for tag in (layout.CURRENT, layout.MARKER):
            for place, entry in self._rows(tag):
                version = load_version(entry.value, "", is_current=True)
                if not self._has(layout.VERSION + place[1:] + layout.newest_first(version.sequence)):
                    yield f"{version.key!r} has a current version that is not among its versions"

    def _parts(self) -> Iterator[str]:
        for place, entry in self._rows(layout.PART):
            upload_id, _ = layout.split_text(place[1:])
            self._counts[layout.blob_content(load_part(entry.value).blob)] += 1
            if not self._has(layout.UPLOAD + upload_id.encode()):
                yield f"part {load_part(entry.value).number} of upload {upload_id} has no upload"

    def _holds(self) -> Iterator[str]:
        for place, entry in self._rows(layout.HOLD):
            content, hold = place[1:], load_hold(entry.value)
            count = self._counts.pop(content, 0)
            if hold.count != count:
                yield f"{count} rows refer to {_name(content)}, not {hold.count} as its hold says"
            if hold.count and hold.is_fenced and self._is_condemned(content):
                yield f"{_name(content)} is condemned and referred to"
            if hold.count and not self._is_registered(content):
                yield f"{_name(content)} does not know that this bucket refers to it"
        for content, count in self._counts.items():
            yield f"{count} rows refer to {_name(content)}, which has no hold"

    def _record(self, content: bytes) -> Entry | None:
        return self._keyspace.get(layout.content_scope(content), content)

    def _is_registered(self, content: bytes) -> bool:
        record = self._record(content)
        return record is not None and self._bucket_id in load_content(record.value).holders

    def _is_condemned(self, content: bytes) -> bool:
        record = self._record(content)
        return record is not None and load_content(record.value).condemned_ms is not None


def _name(content: bytes) -> str:
    return f"{'blob' if content.startswith(b'b') else 'upload'} {content[1:].decode()}"
