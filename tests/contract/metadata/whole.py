"""The store as a whole: scans, its own verification, the change log, leases, repeated calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest

from app.domain.errors import S3Error
from app.domain.types import Change, NewBucket, PartRun, Upload, Version, VersionChange, Versioning
from app.metadata.base import CHANGES_PAGE_MAX
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OWNER, REGION, START_MS, Scene, inline, race

TRIM_TURNS_MAX = 50


class WholeContract(Contract):
    def test_an_open_engine_is_healthy_and_says_what_it_is(self, scene: Scene) -> None:
        store = scene.store
        assert store.check().ok
        assert store.name
        assert isinstance(store.shared, bool)
        assert store.inline_max_bytes >= 0

    def test_a_store_that_was_used_verifies_clean(self, scene: Scene) -> None:
        assert list(scene.store.verify()) == []
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "k", inline(b"x"))
        scene.multipart(bucket, "k")
        scene.delete(bucket, "k")
        scene.put_parts(bucket, "k", scene.upload(bucket, "k"), [1])
        scene.delete(bucket, "k", scene.ids(bucket, "k")[1])
        assert list(scene.store.verify()) == []
        scene.sweep()
        assert list(scene.store.verify()) == []

    @pytest.mark.parametrize("limit", [1, 3, 1_000])
    def test_scan_versions_gives_every_row_of_every_bucket_by_sequence(self, scene: Scene, limit: int) -> None:
        one, two = scene.bucket(Versioning.ENABLED), scene.bucket()
        for key in ("b", "a", "b"):
            scene.put(one, key)
            scene.put(two, key, inline(key.encode()))
        scene.multipart(two, "m")
        scene.delete(one, "a")
        rows: list[Version] = []
        after = 0
        while page := scene.store.scan_versions(after, limit):
            assert len(page) <= limit
            rows += page
            after = page[-1].sequence
        assert all(one.sequence < two.sequence for one, two in pairwise(rows))
        expected = [row for bucket in (one, two) for key in ("a", "b", "m") for row in scene.versions(bucket, key)]
        assert sorted(rows, key=lambda row: row.sequence) == sorted(expected, key=lambda row: row.sequence)

    def test_scan_versions_brings_inline_bytes_when_asked(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "a", inline(b"body"))
        scene.put(bucket, "b")
        assert [row.content.inline for row in scene.store.scan_versions(0, 10)] == [None, None]
        assert [row.content.inline for row in scene.store.scan_versions(0, 10, inline=True)] == [b"body", None]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_scan_parts_gives_every_part_by_upload_and_number(self, scene: Scene, limit: int) -> None:
        one, two = scene.bucket(), scene.bucket()
        upload_ids = [scene.upload(two, "k", "u2"), scene.upload(one, "k", "u1"), scene.upload(one, "k", "u10")]
        for upload_id, bucket in zip(upload_ids, (two, one, one), strict=True):
            scene.put_parts(bucket, "k", upload_id, [2, 10, 1])
        scene.complete(one, "k", "u1", (PartRun(1, 2, 5), PartRun(10, 1, 5)))
        found: list[tuple[str, int]] = []
        after = ("", 0)
        while page := scene.store.scan_parts(after, limit):
            assert len(page) <= limit
            for upload_id, part in page:
                assert part in scene.store.parts(upload_id, part.number, part.number, 1)
                found.append((upload_id, part.number))
            after = found[-1]
        assert found == [(upload_id, number) for upload_id in ("u1", "u10", "u2") for number in (1, 2, 10)]

    # -- the change log ------------------------------------------------------------------------------------------

    def test_without_a_consumer_no_change_is_kept(self, scene: Scene) -> None:
        if self.remembers_ops:
            pytest.skip("this engine keeps changes to recognise repeated op ids")
        mutate_in_every_way(scene)
        assert list(scene.store.changes(0, CHANGES_PAGE_MAX)) == []

    def test_with_a_consumer_every_mutation_is_kept_in_order(self, scene: Scene) -> None:
        scene.bucket(name="before")
        mark = scene.store.register_consumer("feed")
        done = mutate_in_every_way(scene)
        changes = list(scene.store.changes(mark, CHANGES_PAGE_MAX))
        assert [(change.op_id, change.kind) for change in changes] == done
        assert all(one.sequence < two.sequence for one, two in pairwise(changes))
        assert changes[0].sequence > mark
        by_kind = {change.kind: change for change in changes}
        publish, remove = by_kind["publish"], by_kind["remove"]
        assert (publish.bucket, publish.key, publish.version_id) == ("fed", "k", "null")
        assert (remove.bucket, remove.key) == ("fed", "k")
        assert (changes[0].kind, changes[0].bucket) == ("create_bucket", "fed")
        assert (changes[-1].kind, changes[-1].bucket) == ("delete_bucket", "short")

    @pytest.mark.parametrize("limit", [1, 3])
    def test_changes_are_read_in_pages(self, scene: Scene, limit: int) -> None:
        mark = scene.store.register_consumer("feed")
        mutate_in_every_way(scene)
        pages: list[Change] = []
        while page := scene.store.changes(pages[-1].sequence if pages else mark, limit):
            assert len(page) <= limit
            pages += page
        assert pages == list(scene.store.changes(mark, CHANGES_PAGE_MAX))

    def test_a_change_names_the_version_that_was_published(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        mark = scene.store.register_consumer("feed")
        version_id = scene.put(bucket, "k").version_id
        marker_id = scene.delete(bucket, "k").version_id
        scene.delete(bucket, "k", version_id)
        changes = scene.store.changes(mark, 10)
        assert [(change.key, change.version_id) for change in changes] == [
            ("k", version_id),
            ("k", marker_id),
            ("k", version_id),
        ]

    def test_a_refused_mutation_is_no_change(self, scene: Scene) -> None:
        bucket = scene.bucket(name="fed")
        mark = scene.store.register_consumer("feed")
        calls: list[Callable[[], object]] = [
            lambda: scene.bucket(name="fed"),
            lambda: scene.put("unknown", "k"),
            lambda: scene.store.update_version(bucket, "k", None, VersionChange(tags=()), scene.op()),
            lambda: scene.store.abort_upload(bucket, "k", "unknown", scene.op(), scene.now_ms),
        ]
        for call in calls:
            with pytest.raises(S3Error):
                call()
        scene.delete(bucket, "k", "v" * 32)
        assert list(scene.store.changes(mark, 10)) == []

    def test_racing_writers_leave_one_change_each(self, scene: Scene) -> None:
        buckets = [scene.bucket() for _ in range(4)]
        mark = scene.store.register_consumer("feed")
        ops = [scene.op() for _ in range(32)]
        news = [scene.new(buckets[number % 4], f"k{number % 3}") for number in range(32)]
        race([partial(scene.store.publish, new, None, op) for new, op in zip(news, ops, strict=True)])
        changes = scene.store.changes(mark, 100)
        assert sorted(change.op_id for change in changes) == ops
        assert all(one.sequence < two.sequence for one, two in pairwise(changes))

    def test_a_consumer_keeps_its_mark(self, scene: Scene) -> None:
        store, bucket = scene.store, scene.bucket()
        mark = store.register_consumer("feed")
        scene.put(bucket, "k")
        assert store.register_consumer("feed") == mark
        (change,) = store.changes(mark, 10)
        store.acknowledge("feed", change.sequence)
        assert store.register_consumer("feed") == change.sequence
        assert store.register_consumer("late") >= change.sequence

    def test_rows_are_trimmed_when_every_consumer_has_passed_them(self, scene: Scene) -> None:
        store, bucket = scene.store, scene.bucket()
        mark = store.register_consumer("slow")
        store.register_consumer("fast")
        for number in range(3):
            scene.put(bucket, f"k{number}")
        first, second, third = store.changes(mark, 10)
        store.acknowledge("fast", third.sequence)
        for _ in range(TRIM_TURNS_MAX):
            scene.put(bucket, "k")
        assert list(store.changes(mark, 3)) == [first, second, third]
        store.acknowledge("slow", second.sequence)
        for _ in range(TRIM_TURNS_MAX):
            scene.put(bucket, "k")
            if store.changes(mark, 1) == store.changes(second.sequence, 1):
                break
        assert store.changes(mark, 1)[0] == third

    def test_after_the_last_consumer_is_gone_no_change_is_kept(self, scene: Scene) -> None:
        if self.remembers_ops:
            pytest.skip("this engine keeps changes to recognise repeated op ids")
        store, bucket = scene.store, scene.bucket()
        mark = store.register_consumer("feed")
        store.unregister_consumer("feed")
        store.unregister_consumer("never registered")
        scene.put(bucket, "k")
        assert list(store.changes(mark, 10)) == []

    # -- repeats -------------------------------------------------------------------------------------------------

    def test_a_repeated_publish_leaves_one_version_and_no_garbage(self, scene: Scene) -> None:
        """Whether the repeat is answered or refused, it does no harm."""
        for versioning in Versioning:
            for content in (None, inline(b"x")):
                bucket = scene.bucket(versioning)
                new, op = scene.new(bucket, "k", content), scene.op()
                scene.store.publish(new, None, op)
                try:
                    scene.store.publish(new, None, op)
                except S3Error:
                    pass
                row = scene.store.look_up(bucket, "k", inline=True).version
                assert row is not None
                assert row.content == new.content
                assert len(scene.ids(bucket, "k")) == 1
                assert scene.sweep() == []

    def test_a_repeated_op_id_is_answered_as_the_first_time_where_it_is_remembered(self, scene: Scene) -> None:
        mark = scene.store.register_consumer("feed")
        bucket = scene.bucket(Versioning.ENABLED)
        new, removal, op = scene.new(bucket, "k"), scene.removal(bucket, "k"), scene.op()
        first = scene.store.publish(new, None, op)
        try:
            assert scene.store.publish(new, None, op) == first
        except S3Error:
            assert not self.remembers_ops
        op = scene.op()
        removed = scene.store.remove(removal, None, op)
        try:
            assert scene.store.remove(removal, None, op) == removed
        except S3Error:
            assert not self.remembers_ops
        assert scene.ids(bucket, "k") == [removal.marker_id, new.version_id]
        ops = [change.op_id for change in scene.store.changes(mark, 100)]
        assert len(ops) == len(set(ops))

    # -- leases --------------------------------------------------------------------------------------------------

    def test_a_lease_has_one_holder_until_it_ends(self, scene: Scene) -> None:
        lease = scene.store.lease
        assert lease("sweep", "one", START_MS, 1_000)
        assert not lease("sweep", "two", START_MS + 999, 1_000)
        assert lease("other", "two", START_MS, 1_000)
        assert lease("sweep", "one", START_MS + 999, 1_000)
        assert not lease("sweep", "two", START_MS + 1_998, 1_000)
        assert lease("sweep", "two", START_MS + 1_999, 1_000)
        assert not lease("sweep", "one", START_MS + 2_000, 1_000)

    def test_a_lease_is_given_up_by_its_holder_only(self, scene: Scene) -> None:
        lease = scene.store.lease
        assert lease("sweep", "one", START_MS, 1_000)
        lease("sweep", "two", START_MS, 0)
        assert not lease("sweep", "two", START_MS, 1_000)
        lease("sweep", "one", START_MS, 0)
        assert lease("sweep", "two", START_MS, 1_000)

    def test_racing_for_a_lease_has_one_winner(self, scene: Scene) -> None:
        results = race([partial(scene.store.lease, "sweep", f"h{number}", START_MS, 1_000) for number in range(16)])
        assert results.count(True) == 1


def mutate_in_every_way(scene: Scene) -> list[tuple[str, str]]:
    """Do each mutation once, or more often; gives (op id, name of the method) in order."""
    store, bucket, now = scene.store, "fed", scene.now_ms
    steps: Sequence[tuple[str, Callable[[str], object]]] = [
        ("create_bucket", lambda op: store.create_bucket(NewBucket(bucket, OWNER, REGION, now), op)),
        ("put_document", lambda op: store.put_document(bucket, "acl", "x", op)),
        ("publish", lambda op: store.publish(scene.new(bucket, "k"), None, op)),
        ("update_version", lambda op: store.update_version(bucket, "k", None, VersionChange(tags=(("a", "b"),)), op)),
        ("remove", lambda op: store.remove(scene.removal(bucket, "k"), None, op)),
        ("create_upload", lambda op: store.create_upload(Upload("u1", bucket, "m", OWNER, OWNER, now), op)),
        ("put_part", lambda op: store.put_part(bucket, "m", "u1", scene.part(1), op)),
        ("abort_upload", lambda op: store.abort_upload(bucket, "m", "u1", op, now)),
        ("create_upload", lambda op: store.create_upload(Upload("u2", bucket, "k", OWNER, OWNER, now), op)),
        ("put_part", lambda op: store.put_part(bucket, "k", "u2", scene.part(1), op)),
        ("publish", lambda op: store.publish(scene.completing(bucket, "k", "u2", (PartRun(1, 1, 5),)), None, op)),
        ("remove", lambda op: store.remove(scene.removal(bucket, "k"), None, op)),
        ("set_versioning", lambda op: store.set_versioning(bucket, Versioning.SUSPENDED, op)),
        ("put_document", lambda op: store.put_document(bucket, "acl", None, op)),
        ("create_bucket", lambda op: store.create_bucket(NewBucket("short", OWNER, REGION, now), op)),
        ("delete_bucket", lambda op: store.delete_bucket("short", op, now)),
    ]
    done = []
    for kind, step in steps:
        op = scene.op()
        step(op)
        done.append((op, kind))
    return done
