"""Steps over several scopes, cut in two at every point: another process acts in between.

Each pair of actions is run once for every call that the first makes to its keyspace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, pairwise

import pytest

from app.domain.errors import (
    BucketAlreadyExists,
    BucketNotEmpty,
    ConditionalRequestConflict,
    NoSuchBucket,
    NoSuchUpload,
    S3Error,
)
from app.domain.types import (
    Content,
    NewBucket,
    PartRun,
    Versioning,
)
from app.metadata.base import BlobCondemned
from app.metadata.kv.keyspace import Batch, Entry
from app.metadata.kv.memory import MemoryKeyspace
from app.metadata.kv.store import KeyValueStore
from tests.contract.metadata.scene import OTHER, OWNER, REGION, START_MS, Scene

POINTS_MAX = 2_000
Action = Callable[[], object]


class Interrupted(MemoryKeyspace):
    """Calls `interrupt` once, before its call number `at`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.at = 0
        self.interrupt: Action = lambda: None

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.interrupt()

    def get(self, scope: bytes, key: bytes) -> Entry | None:
        self._count()
        return super().get(scope, key)

    def scan(self, scope: bytes, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, Entry]]:
        self._count()
        return super().scan(scope, start, end, limit)

    def commit(self, scope: bytes, batch: Batch) -> None:
        self._count()
        super().commit(scope, batch)


class Case:
    """One cut: a fresh store for the first process, and a second one over the same keyspace."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.was_cut = False  # the first action made enough calls
        self.keyspace = Interrupted()
        self.scene = Scene(KeyValueStore(self.keyspace, inline_max_bytes=1_000, sleep=lambda _: None))
        self.other = KeyValueStore(self.keyspace, inline_max_bytes=1_000, sleep=lambda _: None)

    def run(self, first: Action, second: Action) -> tuple[object, object]:
        """What the two gave, or the errors that they raised."""
        answers: list[object] = []
        self.keyspace.calls, self.keyspace.at = 0, self.at
        self.keyspace.interrupt = lambda: answers.append(outcome(second))
        answer = outcome(first)
        self.keyspace.at = 0
        self.was_cut = bool(answers)
        return answer, answers[0] if answers else None


def outcome(action: Action) -> object:
    """The answer, or the refusal."""
    try:
        return action()
    except S3Error as error:
        return error


def cuts(run: Callable[[Case], None]) -> None:
    """Run a case for every point of its first action, and see that the store is sound after each."""
    for at in count(1):
        case = Case(at)
        run(case)
        assert list(case.scene.store.verify()) == []
        if not case.was_cut:
            assert at > 1
            return
        assert at < POINTS_MAX


@pytest.mark.parametrize("place", ["same bucket", "holder", "new bucket"])
@pytest.mark.parametrize("kind", ["blob", "manifest"])
def test_a_copy_within_condemn(place: str, kind: str) -> None:
    """I3: published or condemned, never both; and if condemned, it comes to its end."""

    def run(case: Case) -> None:
        scene = case.scene
        bucket, holder, third = scene.bucket(), scene.bucket(), scene.bucket()
        if kind == "blob":
            blobs = [scene.blob()]
            content = Content(blob=blobs[0])
            scene.put(bucket, "k", content)
        else:
            manifest, blobs = scene.multipart(bucket, "k", 2)
            content = Content(manifest=manifest)
        scene.put(holder, "k", content)
        scene.delete(holder, "k")
        scene.later()
        scene.delete(bucket, "k")
        (older, newer) = scene.store.garbage(scene.later(), 10)
        assert scene.drain(older.id) == []
        target = {"same bucket": bucket, "holder": holder, "new bucket": third}[place]
        new = scene.new(target, "copy", content)
        condemned, published = case.run(
            lambda: scene.store.condemn(newer.id, scene.now_ms), lambda: case.other.publish(new, None, "copy")
        )
        assert not isinstance(condemned, S3Error)
        if published is None:
            assert sorted(scene.sweep()) == blobs
            return
        if isinstance(published, BlobCondemned):
            assert scene.sweep() == blobs
        else:
            assert not condemned
            assert scene.sweep() == []
            assert list(scene.store.unreferenced(blobs)) == []
            scene.delete(target, "copy")
            assert scene.sweep() == blobs

    cuts(run)


def test_a_publish_within_condemn_orphans() -> None:
    def run(case: Case) -> None:
        scene, blob = case.scene, case.scene.blob()
        new = scene.new(scene.bucket(), "k", Content(blob=blob))
        condemned, published = case.run(
            lambda: list(scene.store.condemn_orphans([blob], scene.now_ms)),
            lambda: case.other.publish(new, None, "op"),
        )
        refused = published is None or isinstance(published, BlobCondemned)
        assert condemned == ([blob] if refused else [])

    cuts(run)


def test_condemn_orphans_within_a_publish() -> None:
    def run(case: Case) -> None:
        scene, blob = case.scene, case.scene.blob()
        new = scene.new(scene.bucket(), "k", Content(blob=blob))
        published, condemned = case.run(
            lambda: scene.store.publish(new, None, "op"),
            lambda: list(case.other.condemn_orphans([blob], scene.now_ms)),
        )
        if case.was_cut:
            assert condemned == ([blob] if isinstance(published, BlobCondemned) else [])

    cuts(run)


def test_a_publish_within_delete_bucket() -> None:
    def run(case: Case) -> None:
        scene = case.scene
        bucket = scene.bucket()
        new = scene.new(bucket, "k")
        deleted, published = case.run(lambda: scene.delete_bucket(bucket), lambda: case.other.publish(new, None, "op"))
        if published is None or isinstance(published, NoSuchBucket):
            assert deleted is None
        else:
            assert isinstance(deleted, BucketNotEmpty)
            assert scene.current(bucket, "k") is not None

    cuts(run)


def test_delete_bucket_within_a_publish() -> None:
    def run(case: Case) -> None:
        scene = case.scene
        bucket = scene.bucket()
        new = scene.new(bucket, "k")
        published, deleted = case.run(
            lambda: scene.store.publish(new, None, "op"), lambda: case.other.delete_bucket(bucket, "d", START_MS)
        )
        if isinstance(published, NoSuchBucket):
            assert deleted is None
        else:
            assert not isinstance(published, S3Error)
            assert isinstance(deleted, BucketNotEmpty) or not case.was_cut

    cuts(run)


@pytest.mark.parametrize("was_there", [True, False])
def test_two_creators_of_one_bucket(was_there: bool) -> None:
    def run(case: Case) -> None:
        scene = case.scene
        if was_there:
            scene.bucket(name="name")
            scene.delete_bucket("name")
        ours, theirs = NewBucket("name", OWNER, REGION, 1), NewBucket("name", OTHER, REGION, 1)
        first, second = case.run(
            lambda: scene.store.create_bucket(ours, "1"), lambda: case.other.create_bucket(theirs, "2")
        )
        winner = first if isinstance(second, BucketAlreadyExists) or second is None else second
        assert winner == scene.store.bucket("name")
        assert [first, second].count(winner) == 1

    cuts(run)


def test_two_removals_in_one_history() -> None:
    def run(case: Case) -> None:
        scene = case.scene
        bucket = scene.bucket(Versioning.ENABLED)
        for _ in range(3):
            scene.put(bucket, "k")
        newest, middle, oldest = scene.ids(bucket, "k")
        case.run(
            lambda: scene.delete(bucket, "k", newest),
            lambda: case.other.remove(scene.removal(bucket, "k", middle), None, "op"),
        )
        expected = [oldest] if case.was_cut else [middle, oldest]
        assert scene.ids(bucket, "k") == expected
        current = scene.current(bucket, "k")
        assert current is not None
        assert current.version_id == expected[0]

    cuts(run)


def test_a_part_within_complete() -> None:
    def run(case: Case) -> None:
        scene = case.scene
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        (old,) = scene.put_parts(bucket, "k", upload_id, [1])
        new, part = scene.completing(bucket, "k", upload_id, (PartRun(1, 1, 5),)), scene.part(1)
        completed, put = case.run(
            lambda: scene.store.publish(new, None, "c"),
            lambda: case.other.put_part(bucket, "k", upload_id, part, "p"),
        )
        if case.was_cut and not isinstance(put, NoSuchUpload):
            assert isinstance(completed, ConditionalRequestConflict)
            assert scene.sweep() == [old]
        else:
            assert not isinstance(completed, S3Error)
            assert scene.sweep() == []

    cuts(run)


@pytest.mark.parametrize("second", ["changes", "publish", "register", "unregister"])
def test_the_feed_loses_and_repeats_nothing(second: str) -> None:
    def run(case: Case) -> None:
        scene = case.scene
        buckets = [scene.bucket(), scene.bucket()]
        mark = scene.store.register_consumer("feed")
        case.other.register_consumer("short")
        for number in range(4):
            scene.store.publish(scene.new(buckets[number % 2], "k"), None, f"{number}")
        actions: dict[str, Action] = {
            "changes": lambda: case.other.changes(mark, 10),
            "publish": lambda: case.other.publish(scene.new(buckets[0], "l"), None, "4"),
            "register": lambda: case.other.register_consumer("third"),
            "unregister": lambda: case.other.unregister_consumer("short"),
        }
        case.run(lambda: scene.store.changes(mark, 10), actions[second])
        changes = scene.store.changes(mark, 10)
        ops = [change.op_id for change in changes]
        expected = 5 if second == "publish" and case.was_cut else 4
        assert sorted(ops) == [f"{number}" for number in range(expected)]
        assert all(one.sequence < two.sequence for one, two in pairwise(changes))
        for evens_or_odds in (["0", "2", "4"], ["1", "3"]):
            assert [op for op in ops if op in evens_or_odds] == evens_or_odds[
                : len([o for o in ops if o in evens_or_odds])
            ]

    cuts(run)


def test_a_publish_within_register_consumer_is_kept_when_it_came_after() -> None:
    def run(case: Case) -> None:
        scene = case.scene
        bucket = scene.bucket()
        case.run(
            lambda: scene.store.register_consumer("feed"),
            lambda: case.other.publish(scene.new(bucket, "k"), None, "within"),
        )
        scene.store.publish(scene.new(bucket, "k"), None, "after")
        ops = [change.op_id for change in scene.store.changes(0, 10)]
        assert ops in (["after"], ["within", "after"])

    cuts(run)
