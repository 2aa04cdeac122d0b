"""Buckets: their life, their documents, their listing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from app.domain.errors import BucketAlreadyExists, BucketAlreadyOwnedByYou, BucketNotEmpty, NoSuchBucket, NoSuchUpload
from app.domain.types import BucketQuery, ListQuery, NewBucket, UploadQuery, Versioning, VersionQuery
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OTHER, OWNER, REGION, START_MS, Scene, race, task

DOCUMENT = '{"grants": ["ünï\U0001f600", "\\u0000"]}\n'


class BucketContract(Contract):
    def test_a_created_bucket_reads_as_it_was_given(self, scene: Scene) -> None:
        new = NewBucket("photos", OWNER, "eu-west-3", START_MS, {"acl": DOCUMENT, "tagging": ""})
        created = scene.store.create_bucket(new, scene.op())
        assert created == scene.store.bucket("photos")
        assert (created.name, created.owner_id, created.region, created.created_ms) == (
            "photos",
            OWNER,
            "eu-west-3",
            START_MS,
        )
        assert created.versioning is Versioning.UNVERSIONED
        assert dict(created.documents) == {"acl": DOCUMENT, "tagging": ""}

    def test_creating_ones_own_bucket_again_is_refused_and_changes_nothing(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED, name="mine")
        scene.put(bucket, "k")
        before = scene.store.bucket(bucket)
        with pytest.raises(BucketAlreadyOwnedByYou):
            scene.store.create_bucket(NewBucket("mine", OWNER, "eu-west-3", scene.later()), scene.op())
        assert scene.store.bucket(bucket) == before
        assert scene.current(bucket, "k") is not None

    def test_creating_another_owners_bucket_is_refused(self, scene: Scene) -> None:
        scene.bucket(name="theirs", owner=OTHER)
        with pytest.raises(BucketAlreadyExists):
            scene.bucket(name="theirs", owner=OWNER)
        assert scene.store.bucket("theirs").owner_id == OTHER

    def test_racing_creators_have_exactly_one_winner(self, scene: Scene) -> None:
        news = [NewBucket("raced", f"{number:064x}", REGION, START_MS) for number in range(16)]
        scene.owners |= {new.owner_id for new in news}
        ops = [scene.op() for _ in news]
        results = race([partial(scene.store.create_bucket, new, op) for new, op in zip(news, ops, strict=True)])
        winners = [result for result in results if not isinstance(result, Exception)]
        assert len(winners) == 1
        assert all(isinstance(result, BucketAlreadyExists) for result in results if isinstance(result, Exception))
        assert scene.store.bucket("raced") == winners[0]

    def test_an_unknown_bucket_is_no_such_bucket_for_every_method(self, scene: Scene) -> None:
        store, name = scene.store, "no-such-bucket"
        calls: list[Callable[[], object]] = [
            lambda: store.bucket(name),
            lambda: store.delete_bucket(name, scene.op(), scene.now_ms),
            lambda: store.set_versioning(name, Versioning.ENABLED, scene.op()),
            lambda: store.put_document(name, "acl", "x", scene.op()),
            lambda: store.put_document(name, "acl", None, scene.op()),
            lambda: store.look_up(name, "k"),
            lambda: store.look_up(name, "k", "null", inline=True),
            lambda: scene.put(name, "k"),
            lambda: scene.delete(name, "k"),
            lambda: scene.delete(name, "k", "null"),
            lambda: store.list_current(ListQuery(name)),
            lambda: store.list_current(ListQuery(name, limit=0)),
            lambda: store.list_versions(VersionQuery(name)),
            lambda: store.list_uploads(UploadQuery(name)),
            lambda: scene.upload(name, "k"),
            lambda: store.upload(name, "k", "u"),
            lambda: store.put_part(name, "k", "u", scene.part(1), scene.op()),
            lambda: store.abort_upload(name, "k", "u", scene.op(), scene.now_ms),
        ]
        for call in calls:
            with pytest.raises(NoSuchBucket):
                call()

    def test_a_deleted_bucket_is_gone_and_its_name_is_free(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.delete_bucket(bucket)
        with pytest.raises(NoSuchBucket):
            scene.store.bucket(bucket)
        assert scene.store.list_buckets(BucketQuery(OWNER)).entries == ()
        scene.bucket(name=bucket, owner=OTHER)
        assert scene.store.bucket(bucket).owner_id == OTHER

    def test_a_bucket_id_is_never_used_again(self, scene: Scene) -> None:
        ids = []
        for _ in range(5):
            bucket = scene.bucket(name="again")
            scene.store.put_document(bucket, "acl", DOCUMENT, scene.op())
            scene.upload(bucket, "pending", "u" + scene.op())
            ids.append(scene.store.bucket(bucket).id)
            scene.delete_bucket(bucket)
        assert len(set(ids)) == 5

    def test_a_new_bucket_of_an_old_name_starts_empty(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED, name="again")
        scene.store.put_document(bucket, "acl", DOCUMENT, scene.op())
        upload_id = scene.upload(bucket, "k")
        scene.put_parts(bucket, "k", upload_id, [1])
        scene.delete_bucket(bucket)
        scene.bucket(name="again")
        assert dict(scene.store.bucket(bucket).documents) == {}
        assert scene.store.bucket(bucket).versioning is Versioning.UNVERSIONED
        assert scene.store.list_uploads(UploadQuery(bucket)).entries == ()
        with pytest.raises(NoSuchUpload):
            scene.store.upload(bucket, "k", upload_id)
        with pytest.raises(NoSuchUpload):
            scene.put_parts(bucket, "k", upload_id, [2])

    def test_a_bucket_with_an_object_is_not_deleted(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k")
        with pytest.raises(BucketNotEmpty):
            scene.delete_bucket(bucket)
        scene.delete(bucket, "k")
        scene.delete_bucket(bucket)

    def test_a_bucket_with_only_a_noncurrent_version_or_a_marker_is_not_deleted(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        version_id = scene.put(bucket, "k").version_id
        marker_id = scene.delete(bucket, "k").version_id
        with pytest.raises(BucketNotEmpty):
            scene.delete_bucket(bucket)
        scene.delete(bucket, "k", version_id)
        with pytest.raises(BucketNotEmpty):
            scene.delete_bucket(bucket)
        scene.delete(bucket, "k", marker_id)
        scene.delete_bucket(bucket)

    def test_publish_and_delete_bucket_never_both_succeed(self, scene: Scene) -> None:
        for _ in range(20):
            bucket = scene.bucket()
            new, ops = scene.new(bucket, "k"), (scene.op(), scene.op())
            published, deleted = race(
                [
                    task(scene.store.publish, new, None, ops[0]),
                    task(scene.store.delete_bucket, bucket, ops[1], scene.now_ms),
                ]
            )
            if isinstance(published, Exception):
                assert isinstance(published, NoSuchBucket)
                assert deleted is None
            else:
                assert isinstance(deleted, BucketNotEmpty)
                assert scene.current(bucket, "k") is not None

    def test_documents_are_replaced_and_deleted_one_by_one(self, scene: Scene) -> None:
        bucket, store = scene.bucket(), scene.store
        store.put_document(bucket, "acl", DOCUMENT, scene.op())
        store.put_document(bucket, "cors", "<x/>", scene.op())
        assert dict(store.bucket(bucket).documents) == {"acl": DOCUMENT, "cors": "<x/>"}
        store.put_document(bucket, "acl", "two", scene.op())
        store.put_document(bucket, "cors", None, scene.op())
        store.put_document(bucket, "never-there", None, scene.op())
        assert dict(store.bucket(bucket).documents) == {"acl": "two"}

    def test_documents_come_with_a_look_up(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.store.put_document(bucket, "policy", DOCUMENT, scene.op())
        assert scene.store.look_up(bucket, "absent").bucket == scene.store.bucket(bucket)

    def test_the_generation_grows_with_every_change(self, scene: Scene) -> None:
        bucket, store = scene.bucket(), scene.store
        generations = [store.bucket(bucket).generation]
        changes: list[Callable[[], object]] = [
            lambda: store.put_document(bucket, "acl", "1", scene.op()),
            lambda: store.put_document(bucket, "acl", "2", scene.op()),
            lambda: store.put_document(bucket, "acl", None, scene.op()),
            lambda: scene.enable(bucket),
            lambda: scene.suspend(bucket),
        ]
        for change in changes:
            change()
            generations.append(store.bucket(bucket).generation)
        assert generations == sorted(set(generations))

    def test_versioning_is_kept(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for versioning in (Versioning.ENABLED, Versioning.SUSPENDED, Versioning.ENABLED):
            scene.store.set_versioning(bucket, versioning, scene.op())
            assert scene.store.bucket(bucket).versioning is versioning

    def test_list_buckets_is_one_owners_by_name_without_documents(self, scene: Scene) -> None:
        for name in ("b.c", "b-c", "bc", "a", "c1"):
            scene.bucket(name=name)
            scene.store.put_document(name, "acl", "x", scene.op())
        scene.bucket(name="b1", owner=OTHER)
        page = scene.store.list_buckets(BucketQuery(OWNER))
        assert [bucket.name for bucket in page.entries] == ["a", "b-c", "b.c", "bc", "c1"]
        assert all(dict(bucket.documents) == {} for bucket in page.entries)
        assert not page.is_truncated

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_list_buckets_pages_exactly(self, scene: Scene, limit: int) -> None:
        names = [f"n{number}" for number in range(6)]
        for name in names:
            scene.bucket(name=name)
        for name in ("m", "n", "na"):
            scene.bucket(name=name, owner=OTHER)
        expected, after, seen = names[1:], "n0", list[str]()
        while True:
            page = scene.store.list_buckets(BucketQuery(OWNER, prefix="n", after=after, limit=limit))
            seen += [bucket.name for bucket in page.entries]
            assert page.is_truncated == (len(seen) < len(expected))
            if not page.is_truncated:
                break
            assert page.last == seen[-1]
            after = page.last
        assert seen == expected

    def test_list_buckets_by_prefix_and_region(self, scene: Scene) -> None:
        for name, region in (("aa", REGION), ("ab", "eu-west-3"), ("b", "eu-west-3")):
            scene.store.create_bucket(NewBucket(name, OWNER, region, START_MS), scene.op())
        query = BucketQuery(OWNER, prefix="a", region="eu-west-3", limit=1)
        page = scene.store.list_buckets(query)
        assert [bucket.name for bucket in page.entries] == ["ab"]
        assert not page.is_truncated
        assert scene.store.list_buckets(BucketQuery(OWNER, prefix="c")).entries == ()
        assert scene.store.list_buckets(BucketQuery(OWNER, limit=0)).is_truncated is False
