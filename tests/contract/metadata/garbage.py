"""The life of a blob after its last reference: garbage, condemned, forgotten. And what must never get there (I3, I4)."""

from __future__ import annotations

import pytest

from app.domain.types import BlobRef, Content, GarbageKind, PartRun, Versioning
from app.metadata.base import GARBAGE_SLICE_MAX, BlobCondemned
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import Scene, inline

ALL = (1, 10_000, 10_000)


class GarbageContract(Contract):
    def test_garbage_says_what_was_given_up_and_when_oldest_first(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blobs = [scene.put_blob(bucket, key) for key in ("a", "b", "c")]
        times = []
        for key in ("b", "c", "a"):
            times.append(scene.later())
            scene.delete(bucket, key)
        rows = list(scene.store.garbage(scene.now_ms + 1, 10))
        assert [(row.kind, row.ref, row.created_ms) for row in rows] == [
            (GarbageKind.BLOB, blobs[1], times[0]),
            (GarbageKind.BLOB, blobs[2], times[1]),
            (GarbageKind.BLOB, blobs[0], times[2]),
        ]
        assert len({row.id for row in rows}) == 3
        assert list(scene.store.garbage(scene.now_ms + 1, 2)) == rows[:2]
        assert list(scene.store.garbage(times[1], 10)) == rows[:1]
        assert list(scene.store.garbage(times[0], 10)) == []

    def test_a_condemned_blob_stays_until_it_is_forgotten(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.delete(bucket, "k")
        (row,) = scene.store.garbage(scene.later(), 10)
        for _ in range(3):
            assert list(scene.store.condemn(row.id, scene.later())) == [blob]
        scene.store.forget(row.id, [blob])
        assert list(scene.store.condemn(row.id, scene.now_ms)) == []
        assert list(scene.store.garbage(scene.now_ms + 1, 10)) == []
        scene.store.forget(row.id, [blob])

    def test_an_unknown_piece_of_garbage_is_done_with(self, scene: Scene) -> None:
        assert list(scene.store.condemn(987_654_321, scene.now_ms)) == []
        scene.store.forget(987_654_321, [scene.blob()])

    def test_no_publish_accepts_a_condemned_blob(self, scene: Scene) -> None:
        """I3: refused while it waits to be deleted and after that, until `expire_condemned`."""
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.delete(bucket, "k")
        (row,) = scene.store.garbage(scene.later(), 10)
        upload_id = scene.upload(bucket, "k")
        condemned_ms = scene.later()
        scene.store.condemn(row.id, condemned_ms)
        for _ in range(2):
            with pytest.raises(BlobCondemned):
                scene.put(bucket, "k2", Content(blob=blob))
            with pytest.raises(BlobCondemned):
                scene.store.put_part(bucket, "k", upload_id, scene.part(1, blob=blob), scene.op())
            scene.store.forget(row.id, [blob])
        assert scene.current(bucket, "k2") is None
        assert list(scene.store.parts(upload_id, *ALL)) == []
        assert scene.store.expire_condemned(condemned_ms, 10) == 0
        assert scene.store.expire_condemned(condemned_ms + 1, 10) == 1
        assert scene.store.expire_condemned(condemned_ms + 1, 10) == 0
        scene.put(bucket, "k2", Content(blob=blob))

    def test_expire_condemned_keeps_to_its_limit(self, scene: Scene) -> None:
        blobs = [scene.blob() for _ in range(5)]
        scene.store.condemn_orphans(blobs, scene.now_ms)
        assert scene.store.expire_condemned(scene.now_ms + 1, 3) == 3
        assert scene.store.expire_condemned(scene.now_ms + 1, 3) == 2

    def test_a_blob_published_again_before_it_is_condemned_is_kept(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.delete(bucket, "k")
        scene.put(bucket, "copy", Content(blob=blob))
        assert scene.sweep() == []
        scene.delete(bucket, "copy")
        assert scene.sweep() == [blob]

    def test_publishing_the_same_blob_again_gives_nothing_up(self, scene: Scene) -> None:
        """What a repeat after a lost answer, or a copy onto itself, does."""
        for versioning in (Versioning.UNVERSIONED, Versioning.SUSPENDED):
            bucket = scene.bucket(versioning)
            blob = scene.put_blob(bucket, "k")
            scene.put(bucket, "k", Content(blob=blob))
            assert scene.sweep() == []
            scene.delete(bucket, "k")
            assert scene.sweep() == [blob]

    # -- sharing -------------------------------------------------------------------------------------------------

    def test_a_shared_blob_goes_with_its_last_version(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket(Versioning.ENABLED)
        blob = scene.put_blob(one, "k")
        scene.put(one, "copy", Content(blob=blob))
        version_id = scene.put(two, "k", Content(blob=blob)).version_id
        scene.delete(one, "k")
        assert scene.sweep() == []
        scene.delete(one, "copy")
        assert scene.sweep() == []
        assert list(scene.store.unreferenced([blob])) == []
        scene.delete(two, "k", version_id)
        assert scene.sweep() == [blob]

    def test_a_shared_manifest_goes_with_its_last_version(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket()
        manifest, blobs = scene.multipart(one, "k")
        for bucket, key in ((one, "copy"), (two, "k")):
            scene.put(bucket, key, Content(manifest=manifest))
        for bucket, key in ((one, "k"), (two, "k")):
            scene.delete(bucket, key)
            assert scene.sweep() == []
        assert scene.store.upload(one, "k", manifest.upload_id).completed is not None
        assert [part.blob for part in scene.store.parts(manifest.upload_id, *ALL)] == blobs
        scene.delete(one, "copy")
        assert scene.sweep() == blobs

    def test_a_copy_outlives_the_bucket_it_was_uploaded_to(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket()
        manifest, blobs = scene.multipart(one, "k")
        pending = scene.put_parts(one, "k", scene.upload(one, "k"), [1])
        scene.put(two, "copy", Content(manifest=manifest))
        scene.delete(one, "k")
        scene.delete_bucket(one)
        assert scene.sweep() == pending
        assert [part.blob for part in scene.store.parts(manifest.upload_id, *ALL)] == blobs
        scene.delete(two, "copy")
        assert scene.sweep() == blobs

    def test_grace_counts_from_the_last_reference(self, scene: Scene) -> None:
        """I4: a reader that found the second version just before it went still has its grace."""
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "one")
        manifest, parts = scene.multipart(bucket, "three")
        scene.put(bucket, "two", Content(blob=blob))
        scene.put(bucket, "four", Content(manifest=manifest))
        scene.delete(bucket, "one")
        scene.delete(bucket, "three")
        between = scene.later()
        scene.later()
        scene.delete(bucket, "two")
        scene.delete(bucket, "four")
        assert scene.sweep(between) == []
        assert scene.sweep(scene.now_ms) == []
        assert scene.sweep() == sorted([blob, *parts])

    def test_a_part_copied_by_reference_is_a_reference(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        upload_id = scene.upload(bucket, "new")
        scene.store.put_part(bucket, "new", upload_id, scene.part(1, blob=blob), scene.op())
        scene.delete(bucket, "k")
        assert scene.sweep() == []
        scene.store.abort_upload(bucket, "new", upload_id, scene.op(), scene.now_ms)
        assert scene.sweep() == [blob]

    # -- slices --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("how", ["delete", "abort", "unlisted", "bucket", "overwrite"])
    def test_many_parts_go_in_slices_and_all_of_them(self, scene: Scene, how: str) -> None:
        """I5, R-29."""
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        blobs = scene.put_parts(bucket, "k", upload_id, range(1, 251))
        runs, kept = (PartRun(1, 250, 5),), list[BlobRef]()
        if how == "abort":
            scene.store.abort_upload(bucket, "k", upload_id, scene.op(), scene.now_ms)
        elif how == "bucket":
            scene.delete_bucket(bucket)
        elif how == "unlisted":
            scene.complete(bucket, "k", upload_id, (PartRun(10, 5, 5), PartRun(120, 1, 5)))
            kept = [*blobs[9:14], blobs[119]]
        else:
            scene.complete(bucket, "k", upload_id, runs)
            scene.put(bucket, "k", inline(b"")) if how == "overwrite" else scene.delete(bucket, "k")
        (row,) = scene.store.garbage(scene.later(), 10)
        deleted, sizes = list[BlobRef](), list[int]()
        while blobs_of_slice := scene.store.condemn(row.id, scene.now_ms):
            assert set(scene.store.condemn(row.id, scene.now_ms)) == set(blobs_of_slice)
            scene.store.forget(row.id, blobs_of_slice)
            deleted += blobs_of_slice
            sizes.append(len(blobs_of_slice))
            assert len(sizes) <= 250
        assert max(sizes) <= GARBAGE_SLICE_MAX
        assert sorted(deleted) == sorted(set(blobs) - set(kept))
        assert list(scene.store.garbage(scene.now_ms + 1, 10)) == []
        assert [part.blob for part in scene.store.parts(upload_id, *ALL)] == kept
        assert list(scene.store.unreferenced(kept + blobs[:50])) == [blob for blob in blobs[:50] if blob not in kept]

    def test_no_publish_accepts_a_manifest_of_which_any_part_is_condemned(self, scene: Scene) -> None:
        """I3: from the first slice on, between slices, and after the last."""
        bucket = scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k", 150)
        scene.delete(bucket, "k")
        (row,) = scene.store.garbage(scene.later(), 10)
        deleted = 0
        while blobs_of_slice := scene.store.condemn(row.id, scene.now_ms):
            with pytest.raises(BlobCondemned):
                scene.put(bucket, "copy", Content(manifest=manifest))
            scene.store.forget(row.id, blobs_of_slice)
            deleted += len(blobs_of_slice)
            with pytest.raises(BlobCondemned):
                scene.put(bucket, "copy", Content(manifest=manifest))
        assert deleted == len(blobs)
        with pytest.raises(BlobCondemned):
            scene.put(bucket, "copy", Content(manifest=manifest))
        assert scene.current(bucket, "copy") is None

    def test_a_manifest_published_again_before_it_is_condemned_is_kept(self, scene: Scene) -> None:
        bucket = scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k")
        scene.delete(bucket, "k")
        scene.put(bucket, "copy", Content(manifest=manifest))
        assert scene.sweep() == []
        assert [part.blob for part in scene.store.parts(manifest.upload_id, *ALL)] == blobs
        scene.delete(bucket, "copy")
        assert scene.sweep() == blobs

    def test_a_manifest_copied_onto_itself_gives_nothing_up(self, scene: Scene) -> None:
        bucket = scene.bucket()
        manifest, blobs = scene.multipart(bucket, "k")
        scene.put(bucket, "k", Content(manifest=manifest))
        assert scene.sweep() == []
        assert [part.blob for part in scene.store.parts(manifest.upload_id, *ALL)] == blobs

    def test_pending_uploads_of_a_deleted_bucket_are_garbage_and_a_new_buckets_are_not(self, scene: Scene) -> None:
        bucket = scene.bucket(name="again")
        old: list[BlobRef] = []
        for key in ("a", "b", "c"):
            old += scene.put_parts(bucket, key, scene.upload(bucket, key), [1, 2])
        scene.upload(bucket, "without parts")
        scene.delete_bucket(bucket)
        scene.bucket(name="again")
        upload_id = scene.upload(bucket, "a")
        new = scene.put_parts(bucket, "a", upload_id, [1])
        assert list(scene.store.stale_uploads(scene.now_ms + 1, 10)) == [scene.store.upload(bucket, "a", upload_id)]
        assert scene.sweep() == old
        assert [part.blob for part in scene.store.parts(upload_id, *ALL)] == new
