"""Buckets in a key-value store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from app.domain.errors import BucketAlreadyExists, BucketAlreadyOwnedByYou, BucketNotEmpty
from app.domain.types import Bucket, BucketQuery, NewBucket, Page, Versioning
from app.metadata.kv import layout
from app.metadata.kv.feed import Feed
from app.metadata.kv.keyspace import Conflict, Transaction
from app.metadata.kv.rows import BucketRow, dump, dump_bucket, load, load_bucket, load_feed


class Buckets(Feed):
    def create_bucket(self, new: NewBucket, op_id: str) -> Bucket:
        return self._retried(lambda: self._create_bucket(new, op_id))

    def _create_bucket(self, new: NewBucket, op_id: str) -> Bucket:
        self._collect()  # changes to a deleted bucket of this name come before this one in the log
        tx = self._in(layout.CATALOGUE)
        self._check_name_is_free(tx, new)
        # The id is reserved first and the scope written second; only the name makes the bucket visible.
        value = tx.get(layout.NEXT_ID)
        id_: int = load(value) if value else 1
        feeds = bool(load_feed(tx.get(layout.FEED)).consumers)
        tx.put(layout.NEXT_ID, dump(id_ + 1))
        tx.put(layout.SCOPE + layout.number(id_), b"")
        tx.commit()
        bucket = Bucket(
            id_, new.name, new.owner_id, new.region, new.created_ms, generation=1, documents=dict(new.documents)
        )
        return self._name_bucket(new, bucket, feeds, op_id)

    def _name_bucket(self, new: NewBucket, bucket: Bucket, feeds: bool, op_id: str) -> Bucket:
        scope = self._in(layout.bucket_scope(bucket.id))
        scope.get(layout.BUCKET)
        scope.put(layout.BUCKET, dump_bucket(BucketRow(bucket, feeds=feeds)))
        scope.commit()
        try:
            tx = self._in(layout.CATALOGUE)
            self._check_name_is_free(tx, new)
            feed = load_feed(tx.get(layout.FEED))
            if bool(feed.consumers) != feeds:
                raise Conflict
            tx.put(layout.NAME + new.name.encode(), dump([bucket.id, new.owner_id, new.region, new.created_ms]))
            if feeds:
                self._append(tx, feed, [[op_id, "create_bucket", new.name, "", "", self._clock_ms()]])
            tx.commit()
        except (Conflict, BucketAlreadyExists, BucketAlreadyOwnedByYou):  # certain refusals, unlike OutcomeUnknown
            self._abandon(bucket.id)
            raise
        return bucket

    def _check_name_is_free(self, tx: Transaction, new: NewBucket) -> None:
        value = tx.get(layout.NAME + new.name.encode())
        if value is None:
            return
        id_, owner_id, *_ = load(value)
        bucket = self._value(layout.bucket_scope(id_), layout.BUCKET)
        if bucket is None or load_bucket(bucket).is_deleted:
            return  # its deletion has been committed; only the name was left
        if owner_id == new.owner_id:
            raise BucketAlreadyOwnedByYou(BucketName=new.name)
        raise BucketAlreadyExists(BucketName=new.name)

    def _abandon(self, bucket_id: int) -> None:
        """Take a scope back that never got its name."""
        scope = self._in(layout.bucket_scope(bucket_id))
        scope.delete(layout.BUCKET)
        scope.commit()
        self._forget_scope(bucket_id)

    def delete_bucket(self, name: str, op_id: str, now_ms: int) -> None:
        bucket_id = self._retried(lambda: self._delete_bucket(name, op_id, now_ms))
        catalogue = self._in(layout.CATALOGUE)
        value = catalogue.get(layout.NAME + name.encode())
        if value is not None and load(value)[0] == bucket_id:
            catalogue.delete(layout.NAME + name.encode())
            try:
                catalogue.commit()
            except Conflict:
                pass  # somebody took the name over already
        self._retire(bucket_id)

    def _delete_bucket(self, name: str, op_id: str, now_ms: int) -> int:
        fence, row = self._change_in(name)
        fence.put(layout.BUCKET, dump_bucket(dataclasses.replace(row, is_fenced=True)))
        fence.commit()
        # Whoever commits from here on lifts the fence, and the commit below meets a conflict.
        tx = self._in(fence.scope)
        value = tx.get(layout.BUCKET)
        if value is None or not (row := load_bucket(value)).is_fenced:
            raise Conflict
        if tx.scan(layout.VERSION, layout.behind(layout.VERSION), 1):
            raise BucketNotEmpty(BucketName=name)
        if tx.scan(layout.OPEN_BY_KEY, layout.behind(layout.OPEN_BY_KEY), 1):
            self._add_garbage(tx, row.bucket, "bucket", str(row.bucket.id), now_ms)
        tx.put(layout.BUCKET, dump_bucket(dataclasses.replace(row, is_deleted=True)))
        self._log(tx, row, op_id, "delete_bucket")
        tx.commit()
        return row.bucket.id

    def bucket(self, name: str) -> Bucket:
        return self._read_bucket(name)[0].bucket

    def list_buckets(self, query: BucketQuery) -> Page[Bucket]:
        found: list[Bucket] = []
        if query.limit <= 0:
            return Page(())
        for bucket in self._buckets(query):
            if len(found) == query.limit:
                return Page(tuple(found), is_truncated=True, last=found[-1].name)
            found.append(bucket)
        return Page(tuple(found), last=found[-1].name if found else "")

    def _buckets(self, query: BucketQuery) -> Iterator[Bucket]:
        prefix = layout.NAME + query.prefix.encode()
        start = max(prefix, layout.NAME + query.after.encode() + b"\x00") if query.after else prefix
        for _, entry in self._walk(layout.CATALOGUE, start, layout.behind(prefix)):
            id_, owner_id, region, _ = load(entry.value)
            if owner_id != query.owner_id or query.region not in (None, region):
                continue
            value = self._value(layout.bucket_scope(id_), layout.BUCKET)
            row = load_bucket(value) if value else None
            if row is not None and not row.is_deleted:
                yield dataclasses.replace(row.bucket, documents={})

    def set_versioning(self, name: str, versioning: Versioning, op_id: str) -> None:
        def attempt() -> None:
            tx, row = self._change_in(name)
            self._put_bucket(tx, row, dataclasses.replace(row.bucket, versioning=versioning))
            self._log(tx, row, op_id, "set_versioning")
            tx.commit()

        self._retried(attempt)

    def put_document(self, name: str, kind: str, body: str | None, op_id: str) -> None:
        def attempt() -> None:
            tx, row = self._change_in(name)
            documents = {key: text for key, text in row.bucket.documents.items() if key != kind}
            if body is not None:
                documents[kind] = body
            self._put_bucket(tx, row, dataclasses.replace(row.bucket, documents=documents))
            self._log(tx, row, op_id, "put_document")
            tx.commit()

        self._retried(attempt)

    def _put_bucket(self, tx: Transaction, row: BucketRow, bucket: Bucket) -> None:
        bucket = dataclasses.replace(bucket, generation=row.bucket.generation + 1)
        tx.put(layout.BUCKET, dump_bucket(dataclasses.replace(row, bucket=bucket)))
