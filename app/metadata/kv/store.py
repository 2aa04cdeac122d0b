"""The metadata store over any keyspace. layout.py draws the rows and says how steps over several scopes are safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.domain.types import BucketUsage, Health, Usage, Version
from app.metadata.base import MetadataStore
from app.metadata.kv import layout
from app.metadata.kv.buckets import Buckets
from app.metadata.kv.listing import Listings
from app.metadata.kv.moving import Moving
from app.metadata.kv.objects import Objects
from app.metadata.kv.rows import dump, load, load_bucket, load_version
from app.metadata.kv.sweeping import Sweeping
from app.metadata.kv.uploads import Uploads
from app.metadata.kv.verification import verify_bucket


class KeyValueStore(Buckets, Objects, Listings, Uploads, Sweeping, Moving, MetadataStore):
    """Optimistic commits, one scope at a time, retried at most ATTEMPTS_MAX times (then SlowDown)."""

    def open(self) -> None:
        self._keyspace.open()

    def close(self) -> None:
        self._keyspace.close()

    def check(self) -> Health:
        return self._keyspace.check()

    def scan_versions(self, after_sequence: int, limit: int, *, inline: bool = False) -> Sequence[Version]:
        found: list[Version] = []
        for bucket_id in self._scope_ids():
            if bucket_id < layout.bucket_of(after_sequence):
                continue
            for version in self._versions_in(bucket_id, after_sequence, inline):
                if len(found) >= limit:
                    return found
                found.append(version)
        return found

    def _versions_in(self, bucket_id: int, after_sequence: int, inline: bool) -> Iterator[Version]:
        scope = layout.bucket_scope(bucket_id)
        value = self._value(scope, layout.BUCKET)
        bucket = load_bucket(value) if value else None
        if bucket is None or bucket.is_deleted:
            return
        start = layout.BY_SEQUENCE + layout.number(after_sequence + 1)
        for place, entry in self._walk(scope, start, layout.behind(layout.BY_SEQUENCE)):
            key = layout.ended(entry.value.decode())
            row = self._value(scope, layout.VERSION + key + layout.newest_first(int.from_bytes(place[1:], "big")))
            if row is None:
                continue  # removed since
            version = load_version(row, bucket.bucket.name, is_current=False)
            head = self._value(scope, layout.CURRENT + key) or self._value(scope, layout.MARKER + key)
            is_current = bool(head) and load(head or b"")["s"] == version.sequence
            body = self._value(scope, layout.INLINE + place[1:]) if inline and version.content.is_inline else None
            yield load_version(row, bucket.bucket.name, is_current=is_current, inline=body)

    def usage(self, largest: int) -> Usage:
        """Counts rows: of a moment for each bucket, and in slices, for others compute meanwhile."""
        found = [each for bucket_id in self._scope_ids() if (each := self._usage_of(bucket_id)) is not None]
        buckets = sorted((each for each, _ in found), key=lambda each: (-each.size_bytes, each.bucket))
        return Usage(
            buckets=len(buckets),
            uploads_open=sum(uploads for _, uploads in found),
            objects=sum(each.objects for each in buckets),
            versions=sum(each.versions for each in buckets),
            size_bytes=sum(each.size_bytes for each in buckets),
            largest=tuple(buckets[:largest]),
        )

    def _usage_of(self, bucket_id: int) -> tuple[BucketUsage, int] | None:
        """A bucket's, and how many uploads are open in it; None for a deleted one."""
        scope = layout.bucket_scope(bucket_id)
        value = self._value(scope, layout.BUCKET)
        bucket = load_bucket(value) if value else None
        if bucket is None or bucket.is_deleted:
            return None
        objects = sum(1 for _ in self._under(scope, layout.CURRENT))
        uploads = sum(1 for _ in self._under(scope, layout.OPEN_BY_KEY))
        rows = (load_version(entry.value, "", is_current=False) for _, entry in self._under(scope, layout.VERSION))
        sizes = [row.size_bytes for row in rows if not row.is_delete_marker]
        return BucketUsage(bucket.bucket.name, objects, len(sizes), sum(sizes)), uploads

    def verify(self) -> Sequence[str]:
        problems: list[str] = []
        for bucket_id in self._scope_ids():
            problems += verify_bucket(self._keyspace, bucket_id)
        return problems

    def lease(self, name: str, holder: str, now_ms: int, ttl_ms: int) -> bool:
        def attempt() -> bool:
            tx = self._in(layout.CATALOGUE)
            value = tx.get(layout.LEASE + name.encode())
            other, until_ms = load(value) if value else (holder, 0)
            if other != holder and now_ms < until_ms:
                return False
            tx.put(layout.LEASE + name.encode(), dump([holder, now_ms + ttl_ms]))
            tx.commit()
            return True

        return self._retried(attempt)
