"""A process of the key-value store that dies at any of its commits, and answers that get lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest

from app.domain.types import (
    BlobRef,
    BucketQuery,
    Content,
    ListQuery,
    Manifest,
    NewBucket,
    NewVersion,
    Part,
    PartRun,
    UploadQuery,
)
from app.metadata.base import BlobCondemned, OutcomeUnknown
from app.metadata.kv.keyspace import Batch
from app.metadata.kv.memory import MemoryKeyspace
from app.metadata.kv.store import KeyValueStore
from tests.contract.metadata.scene import OWNER, REGION, START_MS, Scene
from tests.unit.metadata.test_kv_interleavings import outcome

COMMITS_MAX = 2_000
Action = Callable[[], object]


class Died(BaseException):
    """The process is gone: nobody catches this."""


def story(scene: Scene) -> Iterator[Action]:
    """A history with everything in it that spans scopes. Each step may be repeated with the same arguments."""
    store = scene.store
    one, two = NewBucket("one", OWNER, REGION, START_MS), NewBucket("two", OWNER, REGION, START_MS)
    blobs = [BlobRef(f"b{number}") for number in range(9)]

    def move(bucket: str, key: str, blob: BlobRef) -> None:
        row = scene.current(bucket, key)
        assert row is not None
        store.move_blob(row, blob, scene.now_ms)

    def new(bucket: str, key: str, content: Content) -> NewVersion:
        return scene.new(bucket, key, content)._replace(version_id=f"v-{bucket}-{key}")

    published = new("one", "k", Content(blob=blobs[0]))
    replaced = new("one", "k", Content(blob=blobs[1]))
    copied = new("two", "k", Content(blob=blobs[1]))
    yield lambda: store.create_bucket(one, "1")
    yield lambda: store.create_bucket(two, "2")
    yield lambda: store.publish(published, None, "3")
    yield lambda: store.publish(replaced, None, "4")
    yield lambda: store.publish(copied, None, "5")
    yield lambda: store.remove(scene.removal("one", "k"), None, "6")
    yield partial(move, "two", "k", blobs[7])
    yield partial(move, "two", "k", blobs[1])
    yield partial(scene.upload, "one", "m", "u1")
    for number in (1, 2, 3):
        part = Part(number, 5, "e", START_MS, blobs[number + 1])
        yield partial(store.put_part, "one", "m", "u1", part, f"7{number}")
    yield lambda: scene.complete("one", "m", "u1", (PartRun(1, 2, 5),))
    yield lambda: store.publish(new("two", "m", Content(manifest=Manifest("u1", (PartRun(1, 2, 5),)))), None, "8")
    yield lambda: store.move_part("u1", store.parts("u1", 1, 1, 1)[0], blobs[8], scene.now_ms)
    yield lambda: store.remove(scene.removal("one", "m"), None, "9")
    yield partial(scene.upload, "one", "pending", "u2")
    yield lambda: store.put_part("one", "pending", "u2", Part(1, 5, "e", START_MS, blobs[6]), "10")
    yield lambda: store.delete_bucket("one", "11", scene.now_ms)
    yield scene.sweep
    yield lambda: store.remove(scene.removal("two", "m"), None, "12")
    yield scene.sweep


@pytest.mark.parametrize("is_applied", [False, True], ids=["before the commit", "after the commit"])
def test_a_death_at_any_commit_leaves_a_sound_store(is_applied: bool) -> None:
    """R-04: the step is repeated by the next process, and the story ends as if nothing had happened."""

    class Mortal(MemoryKeyspace):
        lives = COMMITS_MAX

        def commit(self, scope: bytes, batch: Batch) -> None:
            self.lives -= 1
            if self.lives == 0 and not is_applied:
                raise Died
            super().commit(scope, batch)
            if self.lives == 0:
                raise Died

    for lives in count(1):
        keyspace = Mortal()
        keyspace.lives = lives
        scene = Scene(KeyValueStore(keyspace, inline_max_bytes=1_000, sleep=lambda _: None))
        for step in story(scene):
            try:
                step()
            except Died:
                # The next process: it knows nothing of what the last one had reserved.
                scene.store.__init__(keyspace, inline_max_bytes=1_000, sleep=lambda _: None)  # type: ignore[misc]
                outcome(step)
        scene.sweep()
        assert list(scene.store.verify()) == []
        assert [bucket.name for bucket in scene.store.list_buckets(BucketQuery(OWNER)).entries] == ["two"]
        (row,) = scene.store.list_current(ListQuery("two")).entries
        assert (row.key, row.content.blob) == ("k", "b1")
        assert scene.store.list_uploads(UploadQuery("two")).entries == ()
        assert list(scene.store.garbage(scene.now_ms + 1, 10)) == []
        # Nothing refers to any of the other blobs, whether the sweep has had them or never heard of them.
        others = [BlobRef(f"b{number}") for number in (0, 2, 3, 4, 6, 7, 8)]
        assert list(scene.store.unreferenced([*others, BlobRef("b1")])) == others
        if keyspace.lives > 0:
            assert lives > 30
            return


def test_the_fences_of_a_dead_sweep_are_lifted_when_a_row_has_turned_up_since() -> None:
    class Mortal(MemoryKeyspace):
        refuses = b"?"

        def commit(self, scope: bytes, batch: Batch) -> None:
            if scope.startswith(self.refuses):
                raise Died
            super().commit(scope, batch)

    keyspace = Mortal()
    scene = Scene(KeyValueStore(keyspace, inline_max_bytes=1_000))
    bucket, other = scene.bucket(), scene.bucket()
    blob = scene.put_blob(bucket, "k")
    scene.delete(bucket, "k")
    (row,) = scene.store.garbage(scene.later(), 10)
    keyspace.refuses = b"c"  # the content's record: the last commit of a sweep, behind all fences
    with pytest.raises(Died):
        scene.store.condemn(row.id, scene.now_ms)
    keyspace.refuses = b"?"
    with pytest.raises(BlobCondemned):
        scene.put(bucket, "k", Content(blob=blob))
    scene.put(other, "k", Content(blob=blob))
    assert scene.sweep() == []
    scene.put(bucket, "k", Content(blob=blob))
    assert list(scene.store.verify()) == []


def test_an_unknown_outcome_reaches_the_caller_and_nothing_is_taken_back() -> None:
    """I9."""

    class Silent(MemoryKeyspace):
        is_silent = False

        def commit(self, scope: bytes, batch: Batch) -> None:
            super().commit(scope, batch)
            if self.is_silent:
                raise OutcomeUnknown

    keyspace = Silent()
    scene = Scene(KeyValueStore(keyspace, inline_max_bytes=1_000))
    bucket = scene.bucket()
    blob = scene.put_blob(bucket, "k")
    keyspace.is_silent = True
    with pytest.raises(OutcomeUnknown):
        scene.put(bucket, "k", Content(blob=blob))
    with pytest.raises(OutcomeUnknown):
        scene.bucket(name="unknown")
    keyspace.is_silent = False
    assert list(scene.store.unreferenced([blob])) == []
    assert list(scene.store.verify()) == []
