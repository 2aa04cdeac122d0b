"""Multipart uploads: parts, the fence of Complete, and what remains of a completed upload."""

from __future__ import annotations

import dataclasses

import pytest

from app.domain.acl import canned
from app.domain.errors import ConditionalRequestConflict, NoSuchKey, NoSuchUpload, PreconditionFailed
from app.domain.types import (
    Attributes,
    Checksum,
    CompletedUpload,
    Completion,
    Condition,
    Content,
    Manifest,
    Part,
    PartRun,
    Published,
    Upload,
    UploadQuery,
    UploadState,
    Versioning,
)
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OTHER, OWNER, Scene, race, task

BYTES = "".join(chr(code) for code in range(1, 256))
ALL = (1, 10_000, 10_000)


def full_upload(scene: Scene, bucket: str, key: str, upload_id: str) -> Upload:
    return Upload(
        upload_id, bucket, key, OWNER, OTHER, scene.now_ms,
        Attributes((("Content-Type", BYTES),), (("k", BYTES),), "GLACIER", "/x"), (("t", "\u00e9"),),
        canned("public-read", OWNER, OWNER), "SHA256", "COMPOSITE",
    )  # fmt: skip


class UploadContract(Contract):
    def test_an_upload_reads_as_it_was_created(self, scene: Scene) -> None:
        bucket = scene.bucket()
        given = full_upload(scene, bucket, "k\x00\U0001f600", "u1")
        scene.store.create_upload(given, scene.op())
        read = scene.store.upload(bucket, given.key, "u1")
        assert dataclasses.replace(read, revision=0) == given
        assert read.state is UploadState.OPEN
        assert read.completed is None
        (listed,) = scene.store.list_uploads(UploadQuery(bucket)).entries
        assert listed == read

    def test_an_upload_is_found_by_its_own_bucket_key_and_id_only(self, scene: Scene) -> None:
        bucket, other = scene.bucket(), scene.bucket()
        upload_id = scene.upload(bucket, "k")
        scene.upload(other, "k")
        for place in ((bucket, "K", upload_id), (other, "k", upload_id), (bucket, "k", "u"), (bucket, "k", "")):
            with pytest.raises(NoSuchUpload):
                scene.store.upload(*place)
            with pytest.raises(NoSuchUpload):
                scene.put_parts(*place, [1])
            with pytest.raises(NoSuchUpload):
                scene.store.abort_upload(*place, scene.op(), scene.now_ms)
            new = scene.new(*place[:2], Content(manifest=Manifest(place[2], (PartRun(1, 1, 5),))))
            with pytest.raises(NoSuchUpload):
                scene.store.publish(new._replace(completes=Completion(place[2], 0)), None, scene.op())
        assert scene.store.upload(bucket, "k", upload_id).state is UploadState.OPEN

    def test_an_upload_does_not_show_as_an_object(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        scene.put_parts(bucket, "k", upload_id, [1])
        assert scene.current(bucket, "k") is None
        assert scene.versions(bucket, "k") == []

    def test_parts_are_read_in_order_and_by_range(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        numbers = [3, 10_000, 1, 2, 9, 10]
        given = {
            number: Part(number, number << 32, "e" * 32, scene.now_ms + number, scene.blob()) for number in numbers
        }
        given[9] = dataclasses.replace(given[9], checksum=Checksum("CRC32", "AAAA"))
        for part in given.values():
            scene.store.put_part(bucket, "k", upload_id, part, scene.op())
        ordered = [given[number] for number in sorted(numbers)]
        assert list(scene.store.parts(upload_id, *ALL)) == ordered
        assert list(scene.store.parts(upload_id, 2, 9, 100)) == ordered[1:4]
        assert list(scene.store.parts(upload_id, 2, 10_000, 2)) == ordered[1:3]
        assert list(scene.store.parts(upload_id, 4, 8, 100)) == []
        assert list(scene.store.parts("unknown", *ALL)) == []

    def test_a_part_put_again_replaces_and_the_old_bytes_are_garbage(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        old, kept = scene.put_parts(bucket, "k", upload_id, [1, 2])
        (new,) = scene.put_parts(bucket, "k", upload_id, [1])
        assert [part.blob for part in scene.store.parts(upload_id, *ALL)] == [new, kept]
        assert scene.sweep() == [old]

    def test_the_same_part_put_again_gives_nothing_up(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id, part, op = scene.upload(bucket, "k"), scene.part(1), scene.op()
        for _ in range(2):
            scene.store.put_part(bucket, "k", upload_id, part, op)
        assert list(scene.store.parts(upload_id, *ALL)) == [part]
        assert scene.sweep() == []

    def test_the_revision_grows_with_every_change_of_the_part_list(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        revisions = [scene.store.upload(bucket, "k", upload_id).revision]
        for number in (1, 2, 1, 1):
            scene.put_parts(bucket, "k", upload_id, [number])
            revisions.append(scene.store.upload(bucket, "k", upload_id).revision)
        assert revisions == sorted(set(revisions))

    @pytest.mark.parametrize("versioning", list(Versioning))
    def test_complete_makes_the_parts_an_object(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        upload_id = scene.upload(bucket, "k")
        blobs = scene.put_parts(bucket, "k", upload_id, [1, 2, 7])
        runs = (PartRun(1, 2, 5), PartRun(7, 1, 5))
        new = scene.completing(bucket, "k", upload_id, runs)._replace(
            checksum=Checksum("CRC64NVME", "AAAA", "FULL_OBJECT")
        )
        published = scene.store.publish(new, None, scene.op())
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.content == Content(manifest=Manifest(upload_id, runs))
        assert row.version_id == published.version_id
        assert row.size_bytes == 15
        assert [part.blob for part in scene.store.parts(upload_id, *ALL)] == blobs
        assert scene.store.list_uploads(UploadQuery(bucket)).entries == ()
        assert scene.sweep() == []
        upload = scene.store.upload(bucket, "k", upload_id)
        assert upload.state is UploadState.COMPLETED
        assert upload.completed == CompletedUpload(new.etag, published.version_id, versioning, runs, new.checksum)

    def test_parts_that_complete_leaves_out_are_garbage(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        blobs = scene.put_parts(bucket, "k", upload_id, range(1, 7))
        scene.complete(bucket, "k", upload_id, (PartRun(2, 1, 5), PartRun(4, 2, 5)))
        assert scene.sweep() == [blobs[0], blobs[2], blobs[5]]
        assert [part.number for part in scene.store.parts(upload_id, *ALL)] == [2, 4, 5]
        scene.delete(bucket, "k")
        assert scene.sweep() == [blobs[1], blobs[3], blobs[4]]

    def test_complete_replaces_the_current_object_as_any_publish_does(self, scene: Scene) -> None:
        bucket = scene.bucket()
        old = scene.put_blob(bucket, "k")
        scene.multipart(bucket, "k")
        assert scene.ids(bucket, "k") == ["null"]
        assert scene.sweep() == [old]

    def test_a_stale_revision_is_refused_and_leaves_the_upload_open(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        scene.put_parts(bucket, "k", upload_id, [1])
        new = scene.completing(bucket, "k", upload_id, (PartRun(1, 1, 5),))
        scene.put_parts(bucket, "k", upload_id, [1])
        with pytest.raises(ConditionalRequestConflict):
            scene.store.publish(new, None, scene.op())
        assert scene.store.upload(bucket, "k", upload_id).state is UploadState.OPEN
        assert scene.current(bucket, "k") is None
        scene.complete(bucket, "k", upload_id, (PartRun(1, 1, 5),))

    def test_a_failed_condition_leaves_the_upload_open(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        scene.put_parts(bucket, "k", upload_id, [1])
        new = scene.completing(bucket, "k", upload_id, (PartRun(1, 1, 5),))
        with pytest.raises(NoSuchKey):
            scene.store.publish(new, Condition(if_match=("*",)), scene.op())
        scene.put(bucket, "k")
        with pytest.raises(PreconditionFailed):
            scene.store.publish(new, Condition(if_none_match_any=True), scene.op())
        assert scene.store.upload(bucket, "k", upload_id).state is UploadState.OPEN
        assert scene.sweep() == []
        scene.store.publish(new, Condition(if_match=("*",)), scene.op())

    @pytest.mark.parametrize("condition", [None, Condition(if_none_match_any=True), Condition(if_match=("x",))])
    def test_a_completed_upload_is_no_such_upload_to_every_change(
        self, scene: Scene, condition: Condition | None
    ) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        scene.put_parts(bucket, "k", upload_id, [1])
        new = scene.completing(bucket, "k", upload_id, (PartRun(1, 1, 5),))
        scene.store.publish(new, None, scene.op())
        with pytest.raises(NoSuchUpload):
            scene.store.publish(new, condition, scene.op())
        with pytest.raises(NoSuchUpload):
            scene.put_parts(bucket, "k", upload_id, [2])
        with pytest.raises(NoSuchUpload):
            scene.store.abort_upload(bucket, "k", upload_id, scene.op(), scene.now_ms)
        assert scene.sweep() == []
        assert len(scene.ids(bucket, "k")) == 1

    def test_an_aborted_upload_is_gone_at_once_and_its_parts_are_garbage(self, scene: Scene) -> None:
        bucket = scene.bucket()
        upload_id = scene.upload(bucket, "k")
        blobs = scene.put_parts(bucket, "k", upload_id, [1, 2])
        new = scene.completing(bucket, "k", upload_id, (PartRun(1, 2, 5),))
        scene.store.abort_upload(bucket, "k", upload_id, scene.op(), scene.now_ms)
        with pytest.raises(NoSuchUpload):
            scene.store.upload(bucket, "k", upload_id)
        with pytest.raises(NoSuchUpload):
            scene.put_parts(bucket, "k", upload_id, [3])
        with pytest.raises(NoSuchUpload):
            scene.store.publish(new, None, scene.op())
        with pytest.raises(NoSuchUpload):
            scene.store.abort_upload(bucket, "k", upload_id, scene.op(), scene.now_ms)
        assert scene.store.list_uploads(UploadQuery(bucket)).entries == ()
        assert list(scene.store.stale_uploads(scene.now_ms + 1, 10)) == []
        assert scene.sweep() == blobs
        assert list(scene.store.parts(upload_id, *ALL)) == []

    def test_a_completed_upload_is_known_until_its_object_is_gone(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        manifest, blobs = scene.multipart(bucket, "k")
        version_id = scene.ids(bucket, "k")[0]
        scene.put(bucket, "k")
        scene.delete(bucket, "k")
        scene.later()
        scene.sweep()
        assert scene.store.upload(bucket, "k", manifest.upload_id).state is UploadState.COMPLETED
        scene.delete(bucket, "k", version_id)
        with pytest.raises(NoSuchUpload):
            scene.store.upload(bucket, "k", manifest.upload_id)
        assert scene.sweep() == blobs
        with pytest.raises(NoSuchUpload):
            scene.store.upload(bucket, "k", manifest.upload_id)

    def test_uploads_of_one_key_are_listed_by_creation(self, scene: Scene) -> None:
        bucket = scene.bucket()
        second = scene.upload(bucket, "k", "a")
        scene.now_ms -= 1
        first = scene.upload(bucket, "k", "b")
        third = scene.upload(bucket, "k2")
        page = scene.store.list_uploads(UploadQuery(bucket))
        assert [upload.upload_id for upload in page.entries] == [first, second, third]

    def test_stale_uploads_are_the_open_ones_of_every_bucket_oldest_first(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket()
        ids = [scene.upload(bucket, key, f"u{scene.later():x}") for bucket, key in ((one, "z"), (two, "a"), (one, "b"))]
        completed_ms = scene.later()
        scene.multipart(one, "done")
        newest = scene.upload(two, "new", f"u{scene.later():x}")
        assert [upload.upload_id for upload in scene.store.stale_uploads(completed_ms + 1, 10)] == ids
        assert [upload.upload_id for upload in scene.store.stale_uploads(completed_ms + 1, 2)] == ids[:2]
        assert [upload.upload_id for upload in scene.store.stale_uploads(scene.now_ms, 10)] == ids
        assert [upload.upload_id for upload in scene.store.stale_uploads(scene.now_ms + 1, 10)] == [*ids, newest]

    def test_racing_completes_and_aborts_have_exactly_one_outcome(self, scene: Scene) -> None:
        """R-23."""
        for _ in range(20):
            bucket = scene.bucket()
            upload_id = scene.upload(bucket, "k")
            blobs = scene.put_parts(bucket, "k", upload_id, [1, 2])
            news = [scene.completing(bucket, "k", upload_id, (PartRun(1, 2, 5),)) for _ in range(4)]
            completes = [task(scene.store.publish, new, None, scene.op()) for new in news]
            aborts = [
                task(scene.store.abort_upload, bucket, "k", upload_id, scene.op(), scene.now_ms) for _ in range(4)
            ]
            results = race([call for pair in zip(completes, aborts, strict=True) for call in pair])
            done = [result for result in results if not isinstance(result, NoSuchUpload)]
            assert len(done) == 1
            if isinstance(done[0], Published):
                assert scene.ids(bucket, "k") == [done[0].version_id]
                assert scene.sweep() == []
            else:
                assert done[0] is None
                assert scene.ids(bucket, "k") == []
                assert scene.sweep() == blobs

    def test_a_part_that_races_complete_is_fenced_off_or_conflicts(self, scene: Scene) -> None:
        for _ in range(20):
            bucket = scene.bucket()
            upload_id = scene.upload(bucket, "k")
            (old,) = scene.put_parts(bucket, "k", upload_id, [1])
            new, part = scene.completing(bucket, "k", upload_id, (PartRun(1, 1, 5),)), scene.part(1)
            completed, put = race(
                [
                    task(scene.store.publish, new, None, scene.op()),
                    task(scene.store.put_part, bucket, "k", upload_id, part, scene.op()),
                ]
            )
            if isinstance(completed, Published):
                assert isinstance(put, NoSuchUpload)
                assert [part.blob for part in scene.store.parts(upload_id, *ALL)] == [old]
            else:
                assert isinstance(completed, ConditionalRequestConflict)
                assert put is None
                assert scene.sweep() == [old]
