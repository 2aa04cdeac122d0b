"""Pages of a key-value store: walk keys in order, roll them up, and seek past whole common prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from app.domain.types import ListQuery, Page, Upload, UploadQuery, UploadState, Version, VersionQuery
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Keyspace
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.rows import load, load_upload, load_version

CHUNK_FIRST = 8  # entries of the first read where a delimiter may make us jump; each further one in a row doubles
CHUNK_MAX = 1_000

T = TypeVar("T")
Query = ListQuery | VersionQuery | UploadQuery


class Listings(Plumbing):
    def list_current(self, query: ListQuery, *, brief: bool = False) -> Page[Version]:
        bucket = self._read_bucket(query.bucket)[0].bucket

        def load_row(_: bytes, value: bytes) -> tuple[Version, None]:
            return load_version(value, query.bucket, is_current=True), None

        walk = Walk(self._keyspace, layout.bucket_scope(bucket.id), layout.CURRENT, query)
        return walk.page(self._start(layout.CURRENT, query.after), load_row)

    def list_versions(self, query: VersionQuery, *, brief: bool = False) -> Page[Version]:
        bucket = self._read_bucket(query.bucket)[0].bucket
        scope, start = layout.bucket_scope(bucket.id), self._start(layout.VERSION, query.after)
        previous = b""
        if query.after and query.after_version_id is not None:
            place = layout.ended(query.after)
            value = self._value(scope, layout.BY_ID + place + query.after_version_id.encode())
            if value is not None:
                previous = layout.VERSION + place
                start = previous + layout.newest_first(load(value)) + b"\x00"

        def load_row(key: bytes, value: bytes) -> tuple[Version, str]:
            # The first row of a key is its newest, unless the page began inside the key.
            nonlocal previous
            is_current, previous = key[:-8] != previous, key[:-8]
            version = load_version(value, query.bucket, is_current=is_current)
            return version, version.version_id

        return Walk(self._keyspace, scope, layout.VERSION, query).page(start, load_row)

    def list_uploads(self, query: UploadQuery) -> Page[Upload]:
        bucket = self._read_bucket(query.bucket)[0].bucket
        scope, start = layout.bucket_scope(bucket.id), self._start(layout.OPEN_BY_KEY, query.after)

        def read(upload_id: bytes) -> Upload | None:
            value = self._value(scope, layout.UPLOAD + upload_id)
            row = load_upload(value, query.bucket) if value else None
            return row.upload if row and not row.is_aborted else None

        if query.after and query.after_upload_id is not None:
            last = read(query.after_upload_id.encode())
            if last is not None and last.key == query.after:
                start = layout.open_upload(last.key, last.created_ms, last.upload_id)[0] + b"\x00"

        def load_row(_: bytes, value: bytes) -> tuple[Upload, str] | None:
            upload = read(value)
            if upload is None or upload.state is not UploadState.OPEN:
                return None  # finished since its index was read
            return upload, upload.upload_id

        return Walk(self._keyspace, scope, layout.OPEN_BY_KEY, query).page(start, load_row)

    def _start(self, tag: bytes, after: str) -> bytes:
        """Where a listing begins that takes only keys > `after`: behind all rows of this key."""
        return layout.behind(tag + layout.ended(after)) if after else tag


class Walk:
    """One listing's way through the keys under a tag."""

    def __init__(self, keyspace: Keyspace, scope: bytes, tag: bytes, query: Query) -> None:
        self._keyspace = keyspace
        self._scope = scope
        self._tag = tag
        self._query = query
        self._prefix = tag + layout.text(query.prefix)
        self._end = layout.behind(self._prefix)

    def page(self, start: bytes, load_row: Callable[[bytes, bytes], tuple[T, str | None] | None]) -> Page[T]:
        """The page that begins at `start`. `load_row` gives an entry with its id, or None for a row that does not count."""
        query = self._query
        entries: list[T] = []
        prefixes: list[str] = []
        last, last_id = "", None
        if query.limit <= 0:
            return Page(())
        for key, value, common in self._rows(max(self._first(start), self._prefix)):
            loaded = load_row(key, value) if common is None else None
            if common is None and loaded is None:
                continue
            if len(entries) + len(prefixes) == query.limit:
                return Page(tuple(entries), tuple(prefixes), True, last, last_id)
            if loaded is not None:
                entries.append(loaded[0])
                last, last_id = layout.split_text(key[len(self._tag) :])[0], loaded[1]
            elif common is not None:
                prefixes.append(common)
                last, last_id = common, None
        return Page(tuple(entries), tuple(prefixes), False, last, last_id)

    def _first(self, start: bytes) -> bytes:
        """An `after` that is itself a common prefix of this query passes over all keys under it."""
        after = self._query.after
        if after.startswith(self._query.prefix) and self._common(after) == after:
            return layout.behind(self._tag + layout.text(after))
        return start

    def _rows(self, start: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
        """Rows from `start` on, each with its common prefix, if it has one; of those under one prefix the first only."""
        size = CHUNK_FIRST if self._query.delimiter else min(self._query.limit + 1, CHUNK_MAX)
        while start < self._end:
            rows = self._keyspace.scan(self._scope, start, self._end, size)
            jump = None
            for key, entry in rows:
                common = self._common(layout.split_text(key[len(self._tag) :])[0]) if self._query.delimiter else None
                yield key, entry.value, common
                if common is not None:
                    jump = layout.behind(self._tag + layout.text(common))
                    break
            if jump is not None:
                start, size = jump, CHUNK_FIRST
            elif len(rows) < size:
                return
            else:
                start, size = rows[-1][0] + b"\x00", min(size * 2, CHUNK_MAX)

    def _common(self, key: str) -> str | None:
        delimiter, begin = self._query.delimiter, len(self._query.prefix)
        index = key.find(delimiter, begin) if delimiter else -1
        return key[: index + len(delimiter)] if index >= 0 else None
