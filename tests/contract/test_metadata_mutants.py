"""The contract can fail: each fault seeded into the memory engine is found by at least one of its tests."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.types import BlobRef, Condition, ListQuery, NewVersion, Page, Published, Version, VersionQuery
from app.metadata.kv import layout
from app.metadata.kv.buckets import Buckets
from app.metadata.kv.history import History, check_condition
from app.metadata.kv.keyspace import Batch, Transaction
from app.metadata.kv.listing import Listings, Walk
from app.metadata.kv.memory import MemoryKeyspace, MemoryStore
from app.metadata.kv.moving import Moving
from app.metadata.kv.objects import Objects
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.store import KeyValueStore
from app.metadata.kv.sweeping import Sweeping
from app.metadata.kv.uploads import Uploads
from tests.contract.metadata_contract import MetadataContract
from tests.contract.runner import cases, first_failure

Seed = Callable[[pytest.MonkeyPatch], None]
FAR_MS = 1 << 50


def forgets_conditions(patch: pytest.MonkeyPatch) -> None:
    publish = Objects.publish
    patch.setattr(Objects, "publish", lambda self, new, condition, op_id: publish(self, new, None, op_id))


def checks_conditions_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    publish = Objects.publish

    def racy(self: Objects, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
        check_condition(condition, self.look_up(new.bucket, new.key).version)
        time.sleep(0.001)
        return publish(self, new, None, op_id)

    patch.setattr(Objects, "publish", racy)


def commits_without_its_checks(patch: pytest.MonkeyPatch) -> None:
    commit = MemoryKeyspace.commit

    def blind(self: MemoryKeyspace, scope: bytes, batch: Batch) -> None:
        time.sleep(0.0005)
        commit(self, scope, Batch({}, batch.writes))

    patch.setattr(MemoryKeyspace, "commit", blind)


def loses_garbage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sweeping, "garbage", lambda self, before_ms, limit: [])


def gives_up_what_is_referred_to(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("app.metadata.kv.contents._is_used", lambda hold, age: False)


def counts_grace_from_the_first_reference(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("app.metadata.kv.contents._is_used", lambda hold, age: bool(hold.count) or age is None)


def forgets_what_it_condemned(patch: pytest.MonkeyPatch) -> None:
    forget = Sweeping.forget

    def amnesia(self: Sweeping, garbage_id: int, blobs: Any) -> None:
        forget(self, garbage_id, blobs)
        self.expire_condemned(FAR_MS, 1_000)

    patch.setattr(Sweeping, "forget", amnesia)


def publishes_condemned_blobs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plumbing, "_register", lambda self, content, bucket_id, home=None: None)


def sweeps_before_the_time(patch: pytest.MonkeyPatch) -> None:
    garbage = Sweeping.garbage
    patch.setattr(Sweeping, "garbage", lambda self, before_ms, limit: garbage(self, FAR_MS, limit))


def never_sweeps_unlisted_parts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Objects, "_has_unlisted", lambda self, tx, new: False)


def completes_without_a_fence(patch: pytest.MonkeyPatch) -> None:
    fenced = Objects._fenced_upload

    def open_gate(self: Objects, tx: Transaction, new: NewVersion, completion: Any) -> Any:
        value = tx.get(layout.UPLOAD + completion.upload_id.encode())
        assert value is not None
        revision = self.upload(new.bucket, new.key, completion.upload_id).revision  # type: ignore[attr-defined]
        return fenced(self, tx, new, dataclasses.replace(completion, revision=revision))

    patch.setattr(Objects, "_fenced_upload", open_gate)


def keeps_a_completed_upload_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Uploads, "_is_held", lambda self, content: True)


def follows_the_clock_back(patch: pytest.MonkeyPatch) -> None:
    version = Objects._version

    def clocked(self: Objects, new: NewVersion, history: History, version_id: str) -> Version:
        return version(self, new, history, version_id)._replace(modified_ms=new.created_ms)

    patch.setattr(Objects, "_version", clocked)


def makes_no_older_version_current(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(History, "_next", lambda self, sequence: None)


def updates_the_head_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(History, "put", lambda self, version: self._set_head(version))


def deletes_full_buckets(patch: pytest.MonkeyPatch) -> None:
    scan = Transaction.scan

    def blind(self: Transaction, start: bytes, end: bytes, limit: int) -> Any:
        return [] if start == layout.VERSION else scan(self, start, end, limit)

    patch.setattr(Transaction, "scan", blind)


def reuses_bucket_ids(patch: pytest.MonkeyPatch) -> None:
    delete = Buckets.delete_bucket

    def rewinding(self: Buckets, name: str, op_id: str, now_ms: int) -> None:
        delete(self, name, op_id, now_ms)
        tx = self._in(layout.CATALOGUE)
        tx.delete(layout.NEXT_ID)
        tx.commit()

    patch.setattr(Buckets, "delete_bucket", rewinding)


def orders_keys_by_utf16(patch: pytest.MonkeyPatch) -> None:
    list_current = Listings.list_current

    def reordered(self: Listings, query: ListQuery) -> Page[Version]:
        page = list_current(self, query)
        return dataclasses.replace(
            page, entries=tuple(sorted(page.entries, key=lambda row: row.key.encode("utf-16-be")))
        )

    patch.setattr(Listings, "list_current", reordered)


def guesses_that_a_full_page_is_truncated(patch: pytest.MonkeyPatch) -> None:
    list_current = Listings.list_current

    def guessing(self: Listings, query: ListQuery) -> Page[Version]:
        page = list_current(self, query)
        count = len(page.entries) + len(page.common_prefixes)
        return dataclasses.replace(page, is_truncated=0 < count == query.limit)

    patch.setattr(Listings, "list_current", guessing)


def lists_a_common_prefix_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Walk, "_first", lambda self, start: start)


def ends_a_prefix_at_the_last_letter_of_two_bytes(patch: pytest.MonkeyPatch) -> None:
    """The classic `prefix + "\\uffff"`, behind which all astral letters lie."""
    init = Walk.__init__

    def short(self: Walk, *args: Any) -> None:
        init(self, *args)
        self._end = self._prefix + "\uffff".encode()

    patch.setattr(Walk, "__init__", short)


def starts_a_key_again_when_a_version_is_gone(patch: pytest.MonkeyPatch) -> None:
    list_versions = Listings.list_versions

    def restarting(self: Listings, query: VersionQuery) -> Page[Version]:
        if query.after_version_id and self.look_up(query.bucket, query.after, query.after_version_id).version is None:  # type: ignore[attr-defined]
            query = dataclasses.replace(query, after=query.after[:-1] + chr(ord(query.after[-1]) - 1))
        return list_versions(self, query)

    patch.setattr(Listings, "list_versions", restarting)


def logs_no_removal(patch: pytest.MonkeyPatch) -> None:
    log = Plumbing._log
    patch.setattr(
        Plumbing, "_log", lambda self, tx, row, op, kind, *rest: kind == "remove" or log(self, tx, row, op, kind, *rest)
    )


def leases_to_everybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KeyValueStore, "lease", lambda self, name, holder, now_ms, ttl_ms: True)


def moves_without_a_look_at_the_row(patch: pytest.MonkeyPatch) -> None:
    move = Moving._move_blob

    def blind(self: Moving, version: Version, new: BlobRef, now_ms: int) -> bool:
        now = self.look_up(version.bucket, version.key).version  # type: ignore[attr-defined]
        return move(self, now or version, new, now_ms)

    patch.setattr(Moving, "_move_blob", blind)


def leaves_what_was_moved(patch: pytest.MonkeyPatch) -> None:
    exchange = Moving._exchange

    def hoarding(self: Moving, old: BlobRef, new: BlobRef, bucket_id: int) -> Counter[bytes]:
        return +exchange(self, old, new, bucket_id)

    patch.setattr(Moving, "_exchange", hoarding)


def moves_parts_that_nobody_has(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Moving, "_has_parts", lambda self, tx, upload_id, *, is_deleted: True)


MUTANTS: list[Seed] = [
    forgets_conditions, checks_conditions_before_the_commit, commits_without_its_checks, loses_garbage,
    gives_up_what_is_referred_to, counts_grace_from_the_first_reference, forgets_what_it_condemned,
    publishes_condemned_blobs, sweeps_before_the_time, never_sweeps_unlisted_parts, completes_without_a_fence,
    keeps_a_completed_upload_for_ever, follows_the_clock_back, makes_no_older_version_current, updates_the_head_only,
    deletes_full_buckets, reuses_bucket_ids, orders_keys_by_utf16, guesses_that_a_full_page_is_truncated,
    lists_a_common_prefix_twice, ends_a_prefix_at_the_last_letter_of_two_bytes, starts_a_key_again_when_a_version_is_gone, logs_no_removal,
    leases_to_everybody, moves_without_a_look_at_the_row, leaves_what_was_moved, moves_parts_that_nobody_has,
]  # fmt: skip


@pytest.mark.parametrize("seed", MUTANTS, ids=lambda seed: seed.__name__)
def test_a_seeded_fault_is_found(seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(monkeypatch)
    assert first_failure(MetadataContract, MemoryStore) is not None


def test_without_a_fault_nothing_is_found() -> None:
    """So that a mutant is not found by a runner that fails on everything."""
    assert len(list(cases(MetadataContract))) > 100
    assert first_failure(MetadataContract, MemoryStore) is None
