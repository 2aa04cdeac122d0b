"""Blobs to which nothing refers, and races between publishing and giving up (I3)."""

from __future__ import annotations

import pytest

from app.domain.errors import NoSuchUpload
from app.domain.types import Content, PartRun, Versioning
from app.metadata.base import GARBAGE_SLICE_MAX, BlobCondemned
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import Scene, race, task

ALL = (1, 10_000, 10_000)


class OrphanContract(Contract):
    def test_orphans_are_the_blobs_to_which_nothing_refers_not_even_garbage(self, scene: Scene) -> None:
        """R-27."""
        bucket = scene.bucket(Versioning.ENABLED)
        version = scene.put_blob(bucket, "k")
        noncurrent = scene.put_blob(bucket, "k2")
        scene.delete(bucket, "k2")
        given_up = scene.put_blob(bucket, "k3")
        scene.delete(bucket, "k3", scene.ids(bucket, "k3")[0])
        _, manifest = scene.multipart(bucket, "m")
        aborted_id = scene.upload(bucket, "k")
        aborted = scene.put_parts(bucket, "k", aborted_id, [1])
        scene.store.abort_upload(bucket, "k", aborted_id, scene.op(), scene.now_ms)
        upload_id = scene.upload(bucket, "k")
        replaced = scene.put_parts(bucket, "k", upload_id, [1])
        pending = scene.put_parts(bucket, "k", upload_id, [1, 2])
        unlisted_id = scene.upload(bucket, "u")
        unlisted = scene.put_parts(bucket, "u", unlisted_id, [1, 2])
        scene.complete(bucket, "u", unlisted_id, (PartRun(2, 1, 5),))
        referred = [version, noncurrent, given_up, *manifest, *aborted, *replaced, *pending, *unlisted]
        orphans = [scene.blob() for _ in range(5)]
        assert sorted(scene.store.unreferenced(orphans + referred)) == orphans
        scene.put(bucket, "free", Content(blob=orphans[0]))
        assert sorted(scene.store.condemn_orphans(orphans + referred, scene.now_ms)) == orphans[1:]
        with pytest.raises(BlobCondemned):
            scene.put(bucket, "k4", Content(blob=orphans[1]))
        assert sorted(scene.store.condemn_orphans(orphans + referred, scene.now_ms)) == orphans[1:]
        assert scene.sweep() == sorted([given_up, *aborted, *replaced, unlisted[0]])

    def test_pending_parts_of_a_deleted_bucket_are_no_orphans(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blobs = scene.put_parts(bucket, "k", scene.upload(bucket, "k"), [1])
        scene.delete_bucket(bucket)
        assert list(scene.store.condemn_orphans(blobs, scene.now_ms)) == []
        assert scene.sweep() == blobs

    def test_nobody_asks_about_more_than_a_slice_of_orphans_and_none_is_fine(self, scene: Scene) -> None:
        assert list(scene.store.condemn_orphans([], scene.now_ms)) == []
        blobs = [scene.blob() for _ in range(GARBAGE_SLICE_MAX)]
        assert sorted(scene.store.condemn_orphans(blobs, scene.now_ms)) == blobs

    def test_publish_and_condemn_of_one_blob_never_both_succeed(self, scene: Scene) -> None:
        """I3: the blob of a slow writer that the orphan sweep finds is either published or given up."""
        bucket = scene.bucket()
        for number in range(30):
            blob = scene.blob()
            new = scene.new(bucket, f"k{number}", Content(blob=blob))
            published, condemned = race(
                [
                    task(scene.store.publish, new, None, scene.op()),
                    task(scene.store.condemn_orphans, [blob], scene.now_ms),
                ]
            )
            assert not isinstance(condemned, Exception)
            if isinstance(published, BlobCondemned):
                assert condemned == [blob] or condemned == (blob,)
            else:
                assert not isinstance(published, Exception)
                assert not condemned

    def test_a_copy_and_the_sweep_of_its_source_never_both_succeed(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket()
        for number in range(20):
            manifest, blobs = scene.multipart(one, "k", 2)
            scene.delete(one, "k")
            (row,) = scene.store.garbage(scene.later(), 10)
            new = scene.new(two, f"copy{number}", Content(manifest=manifest))
            published, condemned = race(
                [
                    task(scene.store.publish, new, None, scene.op()),
                    task(scene.store.condemn, row.id, scene.now_ms),
                ]
            )
            if isinstance(published, BlobCondemned):
                assert scene.sweep() == blobs
                with pytest.raises(NoSuchUpload):
                    scene.store.upload(one, "k", manifest.upload_id)
            else:
                assert not condemned
                assert scene.sweep() == []
                assert [part.blob for part in scene.store.parts(manifest.upload_id, *ALL)] == blobs
