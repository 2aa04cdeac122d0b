"""Publishing and looking up: what a version is, what it replaces, and on which conditions."""

from __future__ import annotations

from functools import partial

import pytest

from app.domain.acl import canned
from app.domain.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion
from app.domain.types import (
    Attributes,
    BlobRef,
    Checksum,
    Condition,
    Content,
    NewVersion,
    VersionChange,
    Versioning,
)
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OTHER, OWNER, Scene, inline, null_id

BYTES = "".join(chr(code) for code in range(1, 256))
STATES = list(Versioning)
ANY = Condition(if_none_match_any=True)


def full_version(scene: Scene, bucket: str, key: str, content: Content) -> NewVersion:
    """A version with every field set."""
    return NewVersion(
        bucket, key, scene.version_id(), OTHER, scene.now_ms, 5_497_558_138_880, "0" * 32, content,
        Attributes((("Content-Type", BYTES), ("Expires", "")), (("b", BYTES), ("a_b", ""), ("a", "2")), "GLACIER", "/x"),
        (("k\u00e9\U0001f600", "v"), ("empty", "")), canned("public-read", OTHER, OWNER),
        Checksum("SHA256", "abc=-3", "COMPOSITE"),
    )  # fmt: skip


class PublishContract(Contract):
    @pytest.mark.parametrize("versioning", STATES)
    def test_a_version_reads_as_it_was_published(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        key = "\x00 käy\n\U0001f600\uffff "
        new = full_version(scene, bucket, key, Content(blob=BlobRef("a/b\u00e9")))
        published = scene.store.publish(new, None, scene.op())
        assert published.version_id == null_id(versioning, new.version_id)
        assert (published.modified_ms, published.versioning) == (new.created_ms, versioning)
        row = scene.current(bucket, key)
        assert row is not None
        assert (row.bucket, row.key, row.version_id) == (bucket, key, published.version_id)
        assert (row.sequence, row.modified_ms) == (published.sequence, published.modified_ms)
        assert row.is_current
        assert not row.is_delete_marker
        for name in ("owner_id", "size_bytes", "etag", "content", "attributes", "tags", "acl", "checksum"):
            assert getattr(row, name) == getattr(new, name), name
        assert scene.store.look_up(bucket, key, published.version_id).version == row

    def test_a_plain_version_has_no_acl_tags_or_checksum(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k")
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.acl is None
        assert row.checksum is None
        assert row.tags == ()
        assert row.attributes == Attributes()

    @pytest.mark.parametrize("body", [b"", b"\x00\xff" * 500])
    def test_inline_bytes_come_only_when_asked_for(self, scene: Scene, body: bytes) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        version_id = scene.put(bucket, "k", inline(body)).version_id
        scene.put(bucket, "k", inline(b"newer"))
        for look_up in (partial(scene.store.look_up, bucket, "k", version_id),):
            bare, full = look_up().version, look_up(inline=True).version
            assert bare is not None
            assert full is not None
            assert bare.content == Content(is_inline=True)
            assert full.content == inline(body)
        newest = scene.store.look_up(bucket, "k", inline=True).version
        assert newest is not None
        assert newest.content == inline(b"newer")

    def test_inline_asked_of_a_blob_or_a_manifest_changes_nothing(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "blob")
        scene.multipart(bucket, "manifest")
        for key in ("blob", "manifest", "absent"):
            assert scene.store.look_up(bucket, key, inline=True) == scene.store.look_up(bucket, key)

    def test_the_largest_inline_body_is_accepted(self, scene: Scene) -> None:
        bucket, body = scene.bucket(), bytes(range(256)) * (scene.store.inline_max_bytes // 256)
        scene.put(bucket, "k", inline(body))
        row = scene.store.look_up(bucket, "k", inline=True).version
        assert row is not None
        assert row.content.inline == body

    def test_unknown_keys_and_ids_look_up_as_nothing(self, scene: Scene) -> None:
        bucket, other = scene.bucket(Versioning.ENABLED), scene.bucket(Versioning.ENABLED)
        version_id = scene.put(bucket, "k").version_id
        for key, id_ in (("K", None), ("k ", None), ("", None), ("k", "null"), ("k", "v" * 32), ("k2", version_id)):
            found = scene.store.look_up(bucket, key, id_)
            assert found.version is None
            assert found.bucket.name == bucket
        assert scene.version(other, "k", version_id) is None

    def test_keys_are_told_apart_by_their_bytes_alone(self, scene: Scene) -> None:
        bucket = scene.bucket()
        keys = ["a", "A", "a\x00", "a\x00\x00", "a ", "\u00e9", "e\u0301", "/a", "a/", "a//", ".", "..", "%00", "ab"]
        etags = {key: scene.put(bucket, key) and scene.current(bucket, key) for key in keys}
        assert len({row.etag for row in etags.values() if row}) == len(keys)
        for key in keys:
            assert scene.current(bucket, key) == etags[key]

    # -- what is replaced ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("versioning", [Versioning.UNVERSIONED, Versioning.SUSPENDED])
    def test_null_is_replaced_and_its_blob_is_garbage(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        old = scene.put_blob(bucket, "k")
        new = scene.put_blob(bucket, "k")
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.content.blob == new
        assert scene.ids(bucket, "k") == ["null"]
        assert scene.sweep() == [old]

    def test_enabled_keeps_every_version(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        ids = [scene.put(bucket, "k").version_id for _ in range(4)]
        assert scene.ids(bucket, "k") == ids[::-1]
        assert [row.is_current for row in scene.versions(bucket, "k")] == [True, False, False, False]
        assert scene.sweep() == []

    def test_a_null_version_from_before_enable_stays_reachable(self, scene: Scene) -> None:
        bucket = scene.bucket()
        old = scene.put_blob(bucket, "k")
        scene.enable(bucket)
        new = scene.put(bucket, "k").version_id
        assert scene.ids(bucket, "k") == [new, "null"]
        row = scene.version(bucket, "k", "null")
        assert row is not None
        assert row.content.blob == old
        assert not row.is_current
        assert scene.sweep() == []

    def test_suspended_replaces_a_noncurrent_null_and_keeps_the_rest(self, scene: Scene) -> None:
        bucket = scene.bucket()
        old = scene.put_blob(bucket, "k")
        scene.enable(bucket)
        middle = scene.put(bucket, "k").version_id
        scene.suspend(bucket)
        published = scene.put(bucket, "k")
        assert published.version_id == "null"
        assert scene.ids(bucket, "k") == ["null", middle]
        assert [row.is_current for row in scene.versions(bucket, "k")] == [True, False]
        assert scene.sweep() == [old]

    def test_suspended_put_replaces_a_null_marker(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        kept = scene.put(bucket, "k").version_id
        scene.suspend(bucket)
        scene.delete(bucket, "k")
        scene.put(bucket, "k")
        assert scene.ids(bucket, "k") == ["null", kept]
        assert [row.is_delete_marker for row in scene.versions(bucket, "k")] == [False, False]

    def test_sequences_grow_with_every_publish_of_a_bucket(self, scene: Scene) -> None:
        bucket = scene.bucket()
        sequences = [scene.put(bucket, key).sequence for key in ("k", "a", "k", "z", "k")]
        assert sequences == sorted(set(sequences))

    def test_a_clock_that_goes_back_does_not_take_a_key_back(self, scene: Scene) -> None:
        """R-20."""
        for versioning in STATES:
            bucket = scene.bucket(versioning)
            first = scene.put(bucket, "k").modified_ms
            scene.now_ms -= 3_600_000
            assert scene.put(bucket, "k").modified_ms == first
            row = scene.current(bucket, "k")
            assert row is not None
            assert row.modified_ms == first
            assert scene.put(bucket, "other").modified_ms == scene.now_ms
            scene.later(7_200_000)
            assert scene.put(bucket, "k").modified_ms == scene.now_ms

    def test_a_marker_holds_a_keys_clock_too(self, scene: Scene) -> None:
        """R-20."""
        bucket = scene.bucket(Versioning.ENABLED)
        first = scene.put(bucket, "k").modified_ms
        scene.now_ms -= 5_000
        scene.delete(bucket, "k")
        marker = scene.current(bucket, "k")
        assert marker is not None
        assert marker.modified_ms >= first
        scene.now_ms -= 5_000
        assert scene.put(bucket, "k").modified_ms >= first

    def test_order_is_the_order_of_commits_when_the_clock_goes_back(self, scene: Scene) -> None:
        """R-20."""
        bucket, ids = scene.bucket(Versioning.ENABLED), []
        for _ in range(4):
            ids.append(scene.put(bucket, "k").version_id)
            scene.now_ms -= 1_000
        assert scene.ids(bucket, "k") == ids[::-1]

    # -- changes of a version ------------------------------------------------------------------------------------

    def test_tags_and_acl_change_apart_and_leave_the_rest_alone(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.store.publish(full_version(scene, bucket, "k", Content(blob=scene.blob())), None, scene.op())
        before = scene.current(bucket, "k")
        assert before is not None
        scene.later()
        changed = scene.store.update_version(
            bucket, "k", None, VersionChange(tags=(("z", "1"), ("a", "2"))), scene.op()
        )
        assert changed.tags == (("z", "1"), ("a", "2"))
        assert changed.acl == before.acl
        assert (changed.etag, changed.modified_ms, changed.sequence) == (
            before.etag,
            before.modified_ms,
            before.sequence,
        )
        assert scene.current(bucket, "k") == changed
        acl = canned("private", OWNER, OWNER)
        scene.store.update_version(bucket, "k", "null", VersionChange(acl=acl), scene.op())
        scene.store.update_version(bucket, "k", None, VersionChange(tags=()), scene.op())
        after = scene.current(bucket, "k")
        assert after is not None
        assert after.tags == ()
        assert after.acl == acl
        assert (after.attributes, after.content, after.checksum) == (before.attributes, before.content, before.checksum)
        assert scene.sweep() == []

    def test_a_named_version_is_changed_alone(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        old = scene.put(bucket, "k", inline(b"old")).version_id
        new = scene.put(bucket, "k").version_id
        changed = scene.store.update_version(bucket, "k", old, VersionChange(tags=(("a", "b"),)), scene.op())
        assert changed.version_id == old
        assert not changed.is_current
        assert [row.tags for row in scene.versions(bucket, "k")] == [(), (("a", "b"),)]
        assert scene.ids(bucket, "k") == [new, old]
        row = scene.store.look_up(bucket, "k", old, inline=True).version
        assert row is not None
        assert row.content == inline(b"old")

    def test_a_row_that_took_the_place_of_the_one_meant_is_not_changed(self, scene: Scene) -> None:
        bucket = scene.bucket()
        meant = scene.put(bucket, "k")
        change = VersionChange(tags=(("a", "b"),), sequence=meant.sequence)
        scene.store.update_version(bucket, "k", "null", change, scene.op())
        scene.put(bucket, "k")
        for version_id in ("null", None):
            with pytest.raises(NoSuchVersion):
                scene.store.update_version(bucket, "k", version_id, change, scene.op())
        after = scene.current(bucket, "k")
        assert after is not None
        assert after.tags == ()

    def test_update_version_refuses_what_is_not_there(self, scene: Scene) -> None:
        bucket, change = scene.bucket(Versioning.ENABLED), VersionChange(tags=(("a", "b"),))
        with pytest.raises(NoSuchKey):
            scene.store.update_version(bucket, "absent", None, change, scene.op())
        scene.put(bucket, "k")
        with pytest.raises(NoSuchVersion):
            scene.store.update_version(bucket, "k", "v" * 32, change, scene.op())
        with pytest.raises(NoSuchVersion):
            scene.store.update_version(bucket, "absent", "v" * 32, change, scene.op())
        marker = scene.delete(bucket, "k").version_id
        with pytest.raises(NoSuchKey):
            scene.store.update_version(bucket, "k", None, change, scene.op())
        with pytest.raises(MethodNotAllowed):
            scene.store.update_version(bucket, "k", marker, change, scene.op())
