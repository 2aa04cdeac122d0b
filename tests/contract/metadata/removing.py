"""DeleteObject: of the current object in each versioning state, and of one version."""

from __future__ import annotations

import pytest

from app.domain.errors import NoSuchBucket, NoSuchKey, PreconditionFailed
from app.domain.types import Condition, Content, ListQuery, Removal, Removed, Version, Versioning
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OWNER, START_MS, Scene, inline


class RemoveContract(Contract):
    def test_unversioned_the_null_row_goes(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.put(bucket, "k2")
        removed = scene.delete(bucket, "k")
        assert removed.versioning is Versioning.UNVERSIONED
        assert not removed.is_delete_marker
        assert removed.version_id in (None, "null")
        assert scene.current(bucket, "k") is None
        assert scene.ids(bucket, "k") == []
        assert scene.current(bucket, "k2") is not None
        assert scene.sweep() == [blob]

    def test_unversioned_an_absent_key_is_no_error(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for version_id in (None, "null", "v" * 32):
            assert scene.delete(bucket, "absent", version_id) == Removed(Versioning.UNVERSIONED)
        scene.delete_bucket(bucket)

    def test_unversioned_null_can_be_named(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        assert scene.delete(bucket, "k", "null") == Removed(Versioning.UNVERSIONED, "null")
        assert scene.current(bucket, "k") is None
        assert scene.sweep() == [blob]

    @pytest.mark.parametrize("is_there", [True, False])
    def test_enabled_a_marker_is_added(self, scene: Scene, is_there: bool) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        ids = [scene.put(bucket, "k").version_id] if is_there else []
        removal = scene.removal(bucket, "k")
        assert scene.store.remove(removal, None, scene.op()) == Removed(Versioning.ENABLED, removal.marker_id, True)
        marker = scene.current(bucket, "k")
        assert marker is not None
        assert marker.is_delete_marker
        assert marker.is_current
        assert (marker.version_id, marker.owner_id, marker.modified_ms) == (removal.marker_id, OWNER, START_MS)
        assert marker.content == Content()
        assert marker.size_bytes == 0
        assert scene.version(bucket, "k", removal.marker_id) == marker
        assert scene.ids(bucket, "k") == [removal.marker_id, *ids]
        assert scene.store.list_current(ListQuery(bucket)).entries == ()
        assert scene.sweep() == []

    def test_enabled_a_second_delete_adds_a_second_marker(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        first, second = scene.delete(bucket, "k").version_id, scene.delete(bucket, "k").version_id
        assert scene.ids(bucket, "k") == [second, first]

    def test_suspended_a_null_marker_replaces_the_null_row(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.suspend(bucket)
        for _ in range(2):
            assert scene.delete(bucket, "k") == Removed(Versioning.SUSPENDED, "null", True)
            assert scene.ids(bucket, "k") == ["null"]
            marker = scene.current(bucket, "k")
            assert marker is not None
            assert marker.is_delete_marker
        assert scene.sweep() == [blob]

    def test_suspended_a_noncurrent_null_row_is_replaced_and_other_versions_stay(self, scene: Scene) -> None:
        bucket = scene.bucket()
        blob = scene.put_blob(bucket, "k")
        scene.enable(bucket)
        kept = scene.put(bucket, "k").version_id
        scene.suspend(bucket)
        scene.delete(bucket, "k")
        assert scene.ids(bucket, "k") == ["null", kept]
        assert [row.is_delete_marker for row in scene.versions(bucket, "k")] == [True, False]
        assert scene.sweep() == [blob]

    def test_suspended_an_absent_key_gets_a_null_marker(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.SUSPENDED)
        assert scene.delete(bucket, "k") == Removed(Versioning.SUSPENDED, "null", True)
        assert scene.ids(bucket, "k") == ["null"]

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_the_newest_remaining_version_is_current(self, scene: Scene, index: int) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        blobs = [scene.put_blob(bucket, "k") for _ in range(3)][::-1]
        ids = scene.ids(bucket, "k")
        assert scene.delete(bucket, "k", ids[index]) == Removed(Versioning.ENABLED, ids[index])
        rest = ids[:index] + ids[index + 1 :]
        assert scene.ids(bucket, "k") == rest
        assert [row.is_current for row in scene.versions(bucket, "k")] == [True, False]
        assert scene.current(bucket, "k") == scene.version(bucket, "k", rest[0])
        assert scene.version(bucket, "k", ids[index]) is None
        assert scene.sweep() == [blobs[index]]

    def test_order_is_by_sequence_when_the_null_row_is_the_older_one(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k", etag="null")
        scene.enable(bucket)
        one, two = scene.put(bucket, "k").version_id, scene.put(bucket, "k").version_id
        scene.delete(bucket, "k", two)
        assert scene.ids(bucket, "k") == [one, "null"]
        scene.delete(bucket, "k", one)
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.etag == "null"
        assert row.is_current
        scene.delete(bucket, "k", "null")
        assert scene.current(bucket, "k") is None
        scene.delete_bucket(bucket)

    def test_removing_the_marker_brings_the_object_back(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "k", inline(b"body"))
        marker = scene.delete(bucket, "k").version_id
        assert scene.delete(bucket, "k", marker) == Removed(Versioning.ENABLED, marker, True)
        row = scene.store.look_up(bucket, "k", inline=True).version
        assert row is not None
        assert row.is_current
        assert row.content == inline(b"body")
        assert [entry.key for entry in scene.store.list_current(ListQuery(bucket)).entries] == ["k"]

    def test_when_the_version_under_a_marker_goes_the_marker_stays(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        version = scene.put(bucket, "k").version_id
        marker = scene.delete(bucket, "k").version_id
        scene.delete(bucket, "k", version)
        assert scene.ids(bucket, "k") == [marker]

    @pytest.mark.parametrize("versioning", list(Versioning))
    def test_an_absent_version_is_no_error_and_writes_nothing(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        scene.put(bucket, "k")
        rows: list[Version] = scene.versions(bucket, "k")
        assert scene.delete(bucket, "k", "v" * 32) == Removed(versioning)
        assert scene.delete(bucket, "absent", "null") == Removed(versioning)
        assert scene.versions(bucket, "k") == rows
        assert scene.ids(bucket, "absent") == []
        assert scene.sweep() == []

    def test_an_inline_version_leaves_no_garbage_and_no_bytes(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k", inline(b"one"))
        scene.put(bucket, "k", inline(b"two"))
        scene.delete(bucket, "k")
        assert scene.sweep() == []
        scene.put(bucket, "k")
        row = scene.store.look_up(bucket, "k", inline=True).version
        assert row is not None
        assert not row.content.is_inline
        assert row.content.inline is None

    @pytest.mark.parametrize(
        "condition",
        [
            Condition(if_match=("one",)),
            Condition(if_match=("*",)),
            Condition(if_match=("x", "one")),
            Condition(if_match_size_bytes=7),
            Condition(if_match_modified_s=START_MS // 1000),
            Condition(if_match=("one",), if_match_size_bytes=7, if_match_modified_s=START_MS // 1000),
        ],
    )
    @pytest.mark.parametrize("versioning", list(Versioning))
    def test_a_condition_that_holds_lets_the_removal_through(
        self, scene: Scene, condition: Condition, versioning: Versioning
    ) -> None:
        bucket = scene.bucket(versioning)
        scene.now_ms = START_MS + 999  # the date of a condition has whole seconds
        scene.put(bucket, "k", inline(b"7 bytes"), etag="one")
        scene.delete(bucket, "k", condition=condition)
        assert scene.store.list_current(ListQuery(bucket)).entries == ()

    @pytest.mark.parametrize(
        "condition",
        [
            Condition(if_match=("two",)),
            Condition(if_match_size_bytes=8),
            Condition(if_match_size_bytes=0),
            Condition(if_match_modified_s=START_MS // 1000 + 1),
            Condition(if_match_modified_s=START_MS // 1000 - 1),
            Condition(if_match=("one",), if_match_size_bytes=8),
            Condition(if_match=("two",), if_match_size_bytes=7),
        ],
    )
    def test_a_condition_that_fails_changes_nothing(self, scene: Scene, condition: Condition) -> None:
        for versioning in Versioning:
            bucket = scene.bucket(versioning)
            scene.put(bucket, "k", inline(b"7 bytes"), etag="one")
            rows = scene.versions(bucket, "k")
            with pytest.raises(PreconditionFailed):
                scene.delete(bucket, "k", condition=condition)
            assert scene.versions(bucket, "k") == rows

    @pytest.mark.parametrize(
        "condition", [Condition(if_match=("*",)), Condition(if_match=("one",)), Condition(if_match_size_bytes=0)]
    )
    def test_a_condition_without_a_current_object_is_no_such_key(self, scene: Scene, condition: Condition) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "hidden", etag="one")
        scene.delete(bucket, "hidden")
        for key in ("absent", "hidden"):
            rows = scene.versions(bucket, key)
            with pytest.raises(NoSuchKey):
                scene.delete(bucket, key, condition=condition)
            assert scene.versions(bucket, key) == rows

    def test_many_are_removed_in_order_and_one_that_is_refused_keeps_no_other_from_going(self, scene: Scene) -> None:
        plain, versioned = scene.bucket(), scene.bucket(Versioning.ENABLED)
        keys = [f"k{number:03}" for number in range(150)]
        for key in keys:
            scene.put(plain, key)
        scene.put(versioned, "k")
        never = Condition(if_match=("another",))
        doomed: list[tuple[Removal, Condition | None, str]] = [
            (scene.removal(plain, key), None, scene.op()) for key in keys
        ]
        doomed[70:70] = [
            (scene.removal(plain, keys[-1]), never, scene.op()),
            (scene.removal(plain, "absent"), never, scene.op()),
            (scene.removal(plain, keys[0]), None, scene.op()),  # gone by then
            (scene.removal(versioned, "k"), None, scene.op()),
            (scene.removal("no-such-bucket", "k"), None, scene.op()),
        ]
        outcomes = scene.store.remove_all(doomed)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds[70:75] == [PreconditionFailed, NoSuchKey, Removed, Removed, NoSuchBucket]
        assert kinds[:70] + kinds[75:] == [Removed] * 150
        assert outcomes[72] == Removed(Versioning.UNVERSIONED)
        assert outcomes[73] == Removed(Versioning.ENABLED, doomed[73][0].marker_id, True)
        assert scene.store.list_current(ListQuery(plain)).entries == ()
        assert scene.store.remove_all([]) == []
