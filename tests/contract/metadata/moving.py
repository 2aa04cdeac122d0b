"""A row's blob replaced by a copy that lies elsewhere: nobody sees it, nothing is lost, and nothing stays for ever."""

from __future__ import annotations

import dataclasses

import pytest

from app.domain.errors import ConditionalRequestConflict
from app.domain.types import BlobRef, Content, ListQuery, PartRun, Version, Versioning
from app.metadata.base import BlobCondemned
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import Scene, inline, race, task

ALL = (1, 10_000, 10_000)


def there(version: Version | None) -> Version:
    assert version is not None
    return version


class MoveContract(Contract):
    def move(self, scene: Scene, version: Version, new: BlobRef | None = None) -> BlobRef:
        new = new or scene.blob()
        assert scene.store.move_blob(version, new, scene.now_ms)
        return new

    def parts_of(self, scene: Scene, upload_id: str) -> list[BlobRef]:
        return [part.blob for part in scene.store.parts(upload_id, *ALL)]

    def test_names_of_back_ends_are_remembered(self, scene: Scene) -> None:
        assert list(scene.store.backends()) == []
        for name in ("warm", "cold", "warm"):
            scene.store.remember_backend(name)
        assert list(scene.store.backends()) == ["cold", "warm"]
        race([task(scene.store.remember_backend, f"n{number}") for number in range(8)])
        assert list(scene.store.backends()) == ["cold", *(f"n{number}" for number in range(8)), "warm"]

    # -- versions ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("versioning", list(Versioning))
    def test_a_moved_row_is_what_it_was_but_for_its_blob(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        old = scene.put_blob(bucket, "k")
        before = there(scene.current(bucket, "k"))
        new = self.move(scene, before)
        after = there(scene.store.look_up(bucket, "k").version)
        assert after == before._replace(content=Content(blob=new))
        assert list(scene.store.list_current(ListQuery(bucket)).entries) == [after]
        assert scene.versions(bucket, "k") == [after]
        assert [row for row in scene.store.scan_versions(0, 100) if row.bucket == bucket] == [after]
        assert scene.sweep() == [old]
        assert list(scene.store.unreferenced([old, new])) == [old]
        assert list(scene.store.verify()) == []

    def test_moving_it_back_and_forth_is_fine(self, scene: Scene) -> None:
        bucket = scene.bucket()
        first = scene.put_blob(bucket, "k")
        second = self.move(scene, there(scene.current(bucket, "k")))
        self.move(scene, there(scene.current(bucket, "k")), first)
        assert there(scene.current(bucket, "k")).content.blob == first
        assert scene.sweep() == [second]
        assert list(scene.store.verify()) == []

    def test_repeating_a_move_changes_nothing(self, scene: Scene) -> None:
        bucket = scene.bucket()
        old = scene.put_blob(bucket, "k")
        before = there(scene.current(bucket, "k"))
        new = self.move(scene, before)
        for _ in range(2):
            self.move(scene, before, new)
        assert len(scene.store.garbage(scene.now_ms + 1, 10)) == 1
        assert not scene.store.move_blob(before, scene.blob(), scene.now_ms)
        assert there(scene.current(bucket, "k")).content.blob == new
        assert scene.sweep() == [old]

    def test_a_row_that_went_is_not_moved(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put_blob(bucket, "k")
        gone = there(scene.current(bucket, "k"))
        replacing = scene.put_blob(bucket, "k")
        copy = scene.blob()
        assert not scene.store.move_blob(gone, copy, scene.now_ms)
        assert there(scene.current(bucket, "k")).content.blob == replacing
        now = there(scene.current(bucket, "k"))
        scene.delete(bucket, "k")
        assert not scene.store.move_blob(now, copy, scene.now_ms)
        scene.delete_bucket(bucket)
        assert not scene.store.move_blob(now, copy, scene.now_ms)
        scene.bucket(name=bucket)
        assert not scene.store.move_blob(now, copy, scene.now_ms)
        assert copy not in scene.sweep()
        assert list(scene.store.unreferenced([copy])) == [copy]

    def test_what_is_in_the_row_itself_is_not_moved(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "k", inline(b"here"))
        scene.multipart(bucket, "parts")
        scene.delete(bucket, "gone")
        for key in ("k", "parts", "gone"):
            row = there(scene.current(bucket, key))
            assert not scene.store.move_blob(row, scene.blob(), scene.now_ms)
            assert scene.current(bucket, key) == row
        assert list(scene.store.verify()) == []

    def test_older_versions_are_moved_each_by_itself(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        blobs = [scene.put_blob(bucket, "k") for _ in range(3)]
        rows = scene.versions(bucket, "k")
        moved = [self.move(scene, row) for row in rows]
        assert [row.content.blob for row in scene.versions(bucket, "k")] == moved
        assert [row._replace(content=Content()) for row in scene.versions(bucket, "k")] == [
            row._replace(content=Content()) for row in rows
        ]
        scene.delete(bucket, "k", rows[0].version_id)
        assert there(scene.current(bucket, "k")).content.blob == moved[1]
        assert scene.sweep() == sorted([*blobs, moved[0]])

    def test_copies_share_the_copy_too_and_the_old_blob_stays_for_those_that_have_it(self, scene: Scene) -> None:
        bucket, other = scene.bucket(), scene.bucket()
        old = scene.put_blob(bucket, "k")
        for name, key in ((bucket, "copy"), (other, "copy")):
            scene.put(name, key, Content(blob=old))
        new = self.move(scene, there(scene.current(bucket, "k")))
        self.move(scene, there(scene.current(bucket, "copy")), new)
        assert scene.sweep() == []
        self.move(scene, there(scene.current(other, "copy")))
        assert scene.sweep() == [old]
        scene.delete(bucket, "k")
        assert scene.sweep() == []
        scene.delete(bucket, "copy")
        assert scene.sweep() == [new]
        assert list(scene.store.verify()) == []

    def test_a_condemned_copy_is_refused(self, scene: Scene) -> None:
        bucket = scene.bucket()
        old, copy = scene.put_blob(bucket, "k"), scene.blob()
        assert list(scene.store.condemn_orphans([copy], scene.now_ms)) == [copy]
        with pytest.raises(BlobCondemned):
            scene.store.move_blob(there(scene.current(bucket, "k")), copy, scene.now_ms)
        assert there(scene.current(bucket, "k")).content.blob == old
        assert scene.sweep() == []

    def test_the_change_feed_does_not_hear_of_moves(self, scene: Scene) -> None:
        bucket = scene.bucket()
        mark = scene.store.register_consumer("feed")
        scene.put_blob(bucket, "k")
        self.move(scene, there(scene.current(bucket, "k")))
        upload_id = scene.upload(bucket, "u")
        scene.put_parts(bucket, "u", upload_id, [1])
        (part,) = scene.store.parts(upload_id, *ALL)
        assert scene.store.move_part(upload_id, part, scene.blob(), scene.now_ms)
        scene.put_blob(bucket, "later")
        kinds = [change.kind for change in scene.store.changes(mark, 10)]
        assert kinds == ["publish", "create_upload", "put_part", "publish"]

    def test_a_move_against_an_overwrite_leaves_one_of_them_and_no_garbage_for_ever(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for turn in range(20):
            key = f"k{turn}"
            old = scene.put_blob(bucket, key)
            row, copy, written = there(scene.current(bucket, key)), scene.blob(), scene.blob()
            answers = race(
                [
                    task(scene.store.move_blob, row, copy, scene.now_ms),
                    task(scene.put, bucket, key, Content(blob=written)),
                ]
            )
            assert there(scene.current(bucket, key)).content.blob == written
            assert scene.sweep() == sorted([old, copy] if answers[0] is True else [old])
        assert list(scene.store.verify()) == []

    def test_a_move_against_a_delete_and_a_copy_loses_nothing(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for turn in range(20):
            key = f"k{turn}"
            old = scene.put_blob(bucket, key)
            row, copy = there(scene.current(bucket, key)), scene.blob()
            race(
                [
                    task(scene.store.move_blob, row, copy, scene.now_ms),
                    task(scene.put, bucket, f"{key}-copy", Content(blob=old)),
                    task(scene.delete, bucket, key),
                ]
            )
            assert scene.current(bucket, key) is None
            assert there(scene.current(bucket, f"{key}-copy")).content.blob == old
            assert old not in scene.sweep()
        assert list(scene.store.verify()) == []

    def test_moves_of_one_row_to_several_copies_have_one_winner(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for turn in range(10):
            old = scene.put_blob(bucket, f"k{turn}")
            row = there(scene.current(bucket, f"k{turn}"))
            copies = [scene.blob() for _ in range(4)]
            answers = race([task(scene.store.move_blob, row, copy, scene.now_ms) for copy in copies])
            assert sorted(map(bool, answers)) == [False, False, False, True]
            winner = copies[answers.index(True)]
            assert there(scene.current(bucket, f"k{turn}")).content.blob == winner
            assert scene.sweep() == [old]

    def test_a_move_against_the_sweep_of_its_copy_is_refused_or_saves_it(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for turn in range(20):
            old = scene.put_blob(bucket, f"k{turn}")
            row, copy = there(scene.current(bucket, f"k{turn}")), scene.blob()
            moved, condemned = race(
                [
                    task(scene.store.move_blob, row, copy, scene.now_ms),
                    task(scene.store.condemn_orphans, [copy], scene.now_ms),
                ]
            )
            blob = there(scene.current(bucket, f"k{turn}")).content.blob
            if moved is True:
                assert (blob, condemned) == (copy, [])
            else:
                assert isinstance(moved, BlobCondemned)
                assert (blob, condemned) == (old, [copy])
        assert list(scene.store.verify()) == []

    # -- parts ---------------------------------------------------------------------------------------------------

    def test_a_moved_part_is_what_it_was_but_for_its_blob(self, scene: Scene) -> None:
        bucket, other = scene.bucket(), scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k")
        scene.put(other, "copy", Content(manifest=manifest))
        before = scene.store.parts(manifest.upload_id, *ALL)
        row = scene.current(bucket, "k")
        new = scene.blob()
        for _ in range(2):
            assert scene.store.move_part(manifest.upload_id, before[1], new, scene.now_ms)
        after = scene.store.parts(manifest.upload_id, *ALL)
        assert list(after) == [before[0], dataclasses.replace(before[1], blob=new), before[2]]
        assert scene.current(bucket, "k") == row
        assert scene.sweep() == [blobs[1]]
        assert not scene.store.move_part(manifest.upload_id, before[1], scene.blob(), scene.now_ms)
        assert list(scene.store.verify()) == []
        scene.delete(bucket, "k")
        assert scene.sweep() == []
        scene.delete(other, "copy")
        assert scene.sweep() == sorted([blobs[0], blobs[2], new])

    def test_the_parts_of_a_deleted_bucket_are_moved_where_others_have_them(self, scene: Scene) -> None:
        bucket, other = scene.bucket(), scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k", 1)
        scene.put(other, "copy", Content(manifest=manifest))
        scene.delete(bucket, "k")
        scene.delete_bucket(bucket)
        (part,) = scene.store.parts(manifest.upload_id, *ALL)
        new = scene.blob()
        assert scene.store.move_part(manifest.upload_id, part, new, scene.now_ms)
        assert scene.sweep() == blobs
        assert self.parts_of(scene, manifest.upload_id) == [new]
        scene.delete(other, "copy")
        assert scene.sweep() == [new]

    def test_parts_that_nobody_has_are_not_moved(self, scene: Scene) -> None:
        bucket, deleted = scene.bucket(), scene.bucket()
        aborted, pending = scene.upload(bucket, "a"), scene.upload(deleted, "p")
        scene.put_parts(bucket, "a", aborted, [1])
        scene.put_parts(deleted, "p", pending, [1])
        rows = {upload_id: scene.store.parts(upload_id, *ALL)[0] for upload_id in (aborted, pending)}
        scene.store.abort_upload(bucket, "a", aborted, scene.op(), scene.now_ms)
        scene.delete_bucket(deleted)
        copy = scene.blob()
        for upload_id, part in rows.items():
            assert not scene.store.move_part(upload_id, part, copy, scene.now_ms)
        part = next(iter(rows.values()))
        assert not scene.store.move_part("no such upload", part, copy, scene.now_ms)
        assert not scene.store.move_part(aborted, dataclasses.replace(part, number=2), copy, scene.now_ms)
        assert scene.sweep() == sorted(part.blob for part in rows.values())

    def test_a_condemned_copy_of_a_part_is_refused(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        (old,) = scene.put_parts(bucket, "k", upload_id, [1])
        copy = scene.blob()
        scene.store.condemn_orphans([copy], scene.now_ms)
        (part,) = scene.store.parts(upload_id, *ALL)
        with pytest.raises(BlobCondemned):
            scene.store.move_part(upload_id, part, copy, scene.now_ms)
        assert self.parts_of(scene, upload_id) == [old]

    def test_a_part_moved_under_a_complete_does_not_disturb_it(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        blobs = scene.put_parts(bucket, "k", upload_id, [1, 2])
        completing = scene.completing(bucket, "k", upload_id, [PartRun(1, 2, 5)])
        first, _ = scene.store.parts(upload_id, *ALL)
        new = scene.blob()
        assert scene.store.move_part(upload_id, first, new, scene.now_ms)
        scene.store.publish(completing, None, scene.op())
        assert self.parts_of(scene, upload_id) == [new, blobs[1]]
        assert scene.sweep() == [blobs[0]]

    def test_a_part_uploaded_anew_is_not_moved(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        for number in range(1, 21):
            (old,) = scene.put_parts(bucket, "k", upload_id, [number])
            (part,) = scene.store.parts(upload_id, number, number, 1)
            copy, again = scene.blob(), scene.part(number)
            moved, _ = race(
                [
                    task(scene.store.move_part, upload_id, part, copy, scene.now_ms),
                    task(scene.store.put_part, bucket, "k", upload_id, again, scene.op()),
                ]
            )
            assert self.parts_of(scene, upload_id)[-1] == again.blob
            assert scene.sweep() == sorted([old, copy] if moved is True else [old])

    def test_moves_against_complete_and_abort_leave_nothing_behind(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for turn in range(20):
            upload_id = scene.upload(bucket, "k")
            (old,) = scene.put_parts(bucket, "k", upload_id, [1])
            (part,) = scene.store.parts(upload_id, *ALL)
            copy = scene.blob()
            ends = task(scene.store.abort_upload, bucket, "k", upload_id, scene.op(), scene.now_ms)
            if turn % 2:
                ends = task(scene.complete, bucket, "k", upload_id, [PartRun(1, 1, 5)])
            moved, ended = race([task(scene.store.move_part, upload_id, part, copy, scene.now_ms), ends])
            assert not isinstance(ended, ConditionalRequestConflict)
            if turn % 2:
                assert self.parts_of(scene, upload_id) == [copy]
                assert scene.sweep() == [old]
                scene.delete(bucket, "k")
                assert scene.sweep() == [copy]
            else:
                assert scene.sweep() == sorted([old, copy] if moved is True else [old])
        assert list(scene.store.verify()) == []

    def test_a_part_moved_while_it_is_swept_goes_all_the_same(self, scene: Scene) -> None:
        bucket = scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k", 2)
        rows = scene.store.parts(manifest.upload_id, *ALL)
        scene.delete(bucket, "k")
        (row,) = scene.store.garbage(scene.later() + 1, 10)
        copies = [scene.blob(), scene.blob()]
        moved = [scene.store.move_part(manifest.upload_id, rows[0], copies[0], scene.now_ms)]
        deleted = list(scene.store.condemn(row.id, scene.now_ms))
        moved.append(scene.store.move_part(manifest.upload_id, rows[1], copies[1], scene.now_ms))
        scene.store.forget(row.id, deleted)
        deleted += scene.sweep()
        taken = [copy for copy, is_moved in zip(copies, moved, strict=True) if is_moved]
        assert sorted(set(deleted)) == sorted([*blobs, *taken])
        assert list(scene.store.parts(manifest.upload_id, *ALL)) == []
        assert list(scene.store.verify()) == []
