"""Conditions of a publish, decided inside the commit; and races that only the commit can decide."""

from __future__ import annotations

from functools import partial

import pytest

from app.domain.errors import NoSuchKey, PreconditionFailed
from app.domain.types import Condition, Content, Published, Versioning
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import Scene, inline, race

STATES = list(Versioning)
ANY = Condition(if_none_match_any=True)


class ConditionContract(Contract):
    @pytest.mark.parametrize("versioning", STATES)
    def test_if_none_match_star_wants_no_current_object(self, scene: Scene, versioning: Versioning) -> None:
        bucket = scene.bucket(versioning)
        scene.put(bucket, "k", etag="one", condition=ANY)
        blob = scene.blob()
        with pytest.raises(PreconditionFailed):
            scene.put(bucket, "k", Content(blob=blob), condition=ANY)
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.etag == "one"
        assert len(scene.ids(bucket, "k")) == 1
        assert scene.sweep() == []
        scene.delete(bucket, "k")
        scene.put(bucket, "k", etag="two", condition=ANY)

    @pytest.mark.parametrize("if_match", [("*",), ("one",), ("x", "one"), ("one", "x")])
    def test_if_match_lets_the_etag_through(self, scene: Scene, if_match: tuple[str, ...]) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k", etag="one")
        scene.put(bucket, "k", etag="two", condition=Condition(if_match=if_match))
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.etag == "two"

    @pytest.mark.parametrize("if_match", [("x",), ("ONE",), ("one-1", "on"), ("",), ()])
    def test_if_match_refuses_another_etag(self, scene: Scene, if_match: tuple[str, ...]) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "k", etag="old")
        scene.put(bucket, "k", etag="one")
        for tags in (if_match, (*if_match, "old")):
            with pytest.raises(PreconditionFailed):
                scene.put(bucket, "k", etag="two", condition=Condition(if_match=tags))
        assert [row.etag for row in scene.versions(bucket, "k")] == ["one", "old"]

    @pytest.mark.parametrize("if_match", [("*",), ("one",)])
    def test_if_match_without_a_current_object_is_no_such_key(self, scene: Scene, if_match: tuple[str, ...]) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        condition = Condition(if_match=if_match)
        with pytest.raises(NoSuchKey):
            scene.put(bucket, "k", condition=condition)
        scene.put(bucket, "k", etag="one")
        scene.delete(bucket, "k")
        with pytest.raises(NoSuchKey):
            scene.put(bucket, "k", condition=condition)
        assert len(scene.ids(bucket, "k")) == 2

    @pytest.mark.parametrize("content", ["blob", "inline"])
    def test_if_none_match_star_has_exactly_one_winner(self, scene: Scene, content: str) -> None:
        """R-22."""
        for _ in range(3):
            bucket = scene.bucket()
            news = [
                scene.new(bucket, "k", inline(b"%d" % number) if content == "inline" else None) for number in range(64)
            ]
            results = race([partial(scene.store.publish, new, ANY, scene.op()) for new in news])
            winners = [number for number, result in enumerate(results) if isinstance(result, Published)]
            assert len(winners) == 1
            assert all(isinstance(result, PreconditionFailed | Published) for result in results)
            row = scene.current(bucket, "k")
            assert row is not None
            assert row.etag == news[winners[0]].etag

    def test_if_match_as_compare_and_swap_loses_no_update(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k", etag="0")

        def add() -> int:
            for _ in range(10_000):
                row = scene.current(bucket, "k")
                assert row is not None
                condition = Condition(if_match=(row.etag,))
                try:
                    scene.put(bucket, "k", etag=str(int(row.etag) + 1), condition=condition)
                except PreconditionFailed:
                    continue
                return 1
            raise AssertionError("no turn came")

        assert race([add] * 8) == [1] * 8
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.etag == "8"

    def test_racing_writers_of_one_key_leave_one_version_and_no_lost_blob(self, scene: Scene) -> None:
        bucket = scene.bucket()
        news = [scene.new(bucket, "k") for _ in range(16)]
        results = race([partial(scene.store.publish, new, None, scene.op()) for new in news])
        sequences = [result.sequence for result in results if isinstance(result, Published)]
        assert len(set(sequences)) == 16
        row = scene.current(bucket, "k")
        assert row is not None
        assert row.sequence == max(sequences)
        assert scene.ids(bucket, "k") == ["null"]
        assert sorted(scene.sweep()) == sorted(str(new.content.blob) for new in news if new.etag != row.etag)
