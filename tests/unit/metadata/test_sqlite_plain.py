"""The short way of plain.py: it leaves the same rows and gives the same answers as the statements that say what is right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.errors import S3Error
from app.domain.types import (
    Attributes,
    BlobRef,
    Checksum,
    Condition,
    Content,
    NewBucket,
    NewVersion,
    Published,
    Removal,
    Removed,
    Versioning,
)
from app.metadata.sql.execution import PublishRequest, RemoveRequest, Request
from app.metadata.sql.mutation import Outcome
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, OWNER, made_store, new_version, running_writer
from tests.unit.metadata.test_sqlite_group_commit import as_one_group, keys_in

TABLES = ("versions", "inline_data", "garbage", "changes", "plan", "bucket_usage")


class LongPublish(PublishRequest):
    def on(self, lane: object) -> None:
        return None


class LongRemove(RemoveRequest):
    def on(self, lane: object) -> None:
        return None


class LongStore(SqliteStore):
    """Takes every request the long way."""

    def submit(self, request: Request) -> object:
        if isinstance(request, PublishRequest):
            request = LongPublish(request._new, request._condition, request.op_id)
        elif isinstance(request, RemoveRequest):
            request = LongRemove(request._removal, request._condition, request.op_id)
        return super().submit(request)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = made_store(tmp_path)
    store.open()
    yield store
    store.close()


def rows_of(path: str) -> dict[str, list[object]]:
    """All rows; of `plan` the counter, for the rest of that row is the last decision, which nobody reads again."""
    connection = apsw.Connection(path)
    found = {table: list(connection.execute(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES}
    connection.close()
    found["plan"] = [row[1] for row in found["plan"]]
    return found


def do_anything(store: SqliteStore, seed: int) -> list[object]:
    """Some hundred changes of few keys in buckets in all states; their answers."""
    chance = random.Random(seed)
    answers: list[object] = []
    now = iter(range(1, 10_000))
    if seed % 2:
        store.register_consumer("somebody")
    store.condemn_orphans([BlobRef("condemned")], 1)
    for name in ("one", "two"):
        store.create_bucket(NewBucket(name, OWNER, "r", 1), "op")
    for step in range(300):
        bucket, key = chance.choice(["one", "two", "none" if step % 20 == 0 else "one"]), chance.choice("abcdé\0")
        op_id, at_ms = f"op{step}", next(now) + chance.choice([0, 0, -1_000, 5_000])
        condition = chance.choice([None, None, None, Condition(if_none_match_any=True), Condition(if_match=("e",))])
        try:
            match chance.randrange(12):
                case 0 if step > 100:
                    state = chance.choice([Versioning.ENABLED, Versioning.SUSPENDED, Versioning.UNVERSIONED])
                    store.set_versioning(bucket, state, op_id)
                case 1 | 2 | 3 | 4:
                    version_id = chance.choice([None, None, "null", "v" + str(chance.randrange(step + 1))])
                    removal = Removal(bucket, key, version_id, f"m{step}", OWNER, at_ms)
                    answers.append(store.remove(removal, condition, op_id))
                case 5 | 6 | 7:
                    blob = BlobRef(chance.choice(["condemned", "shared", f"blob{step}", f"blob{step}"]))
                    new = NewVersion(bucket, key, f"v{step}", OWNER, at_ms, 7, "e", Content(blob=blob))
                    answers.append(store.publish(new, condition, op_id))
                case _:
                    body = chance.choice([b"", b"bytes"])
                    content = Content(is_inline=True, inline=body)
                    new = NewVersion(
                        bucket, key, f"v{step}", OWNER, at_ms, len(body), "f", content,
                        chance.choice([Attributes(), Attributes(user_metadata=(("a", "b"),))]),
                        chance.choice([(), (("tag", "value"),)]),
                        checksum=chance.choice([None, Checksum("CRC32", "AAAA")]),
                    )  # fmt: skip
                    answers.append(store.publish(new, condition, op_id))
        except S3Error as error:
            answers.append(error.code)
    return answers


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_leave_the_same_rows_and_give_the_same_answers(tmp_path: Path, seed: int) -> None:
    found = []
    for way in (SqliteStore, LongStore):
        store = way(str(tmp_path / way.__name__ / "metadata.db"), now_ms=lambda: 1)
        store.migrate()
        store.open()
        answers = do_anything(store, seed)
        assert store.verify() == []
        store.close()
        found.append((answers, rows_of(store.path)))
    assert found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]
    assert sum(isinstance(answer, Published | Removed) for answer in found[0][0]) > 50


def plain(key: str, body: bytes = b"body") -> PublishRequest:
    return PublishRequest(new_version(key, body), None, "op")


def removal(key: str) -> RemoveRequest:
    return RemoveRequest(Removal(BUCKET, key, None, "m", OWNER, 1), None, "op")


def test_what_goes_the_short_way(store: SqliteStore) -> None:
    with running_writer(store.path) as writer:
        assert isinstance(writer.submit(plain("k")), Published)
        assert isinstance(writer.submit(plain("k")), Published)
        assert isinstance(writer.submit(removal("k")), Removed)
        assert isinstance(writer.submit(removal("k")), Removed)
        conditional = PublishRequest(new_version("k", b""), Condition(if_none_match_any=True), "op")
        assert isinstance(writer.submit(conditional), Outcome)


def test_a_request_that_breaks_on_the_short_way_undoes_itself_and_no_neighbour(store: SqliteStore) -> None:
    """It has dropped the row that it replaces when its own turns out not to be one."""
    broken = PublishRequest(new_version("a", b"new")._replace(size_bytes=1 << 70), None, "op")
    with running_writer(store.path) as writer:
        writer.submit(plain("a", b"old"))
        answers = as_one_group(store.path, writer, [plain("b"), broken, removal("b"), plain("c")])
        assert isinstance(answers[1], OverflowError)
        assert [isinstance(answer, Exception) for answer in answers] == [False, True, False, False]
        assert sorted(keys_in(store)) == ["a", "c"]
        writer.submit(plain("d"))
    version = store.look_up(BUCKET, "a", inline=True).version
    assert version is not None
    assert version.content.inline == b"old"
    assert store.verify() == []


def test_both_ways_share_a_group_and_its_order(store: SqliteStore) -> None:
    """Sequences are given out in the order of the queue; each request sees what its neighbours before it have done."""
    only_new = [PublishRequest(new_version(key, b"x"), Condition(if_none_match_any=True), "op") for key in "abc"]
    group = [plain("a"), only_new[0], only_new[1], plain("b"), removal("b"), only_new[1], removal("c"), only_new[2]]
    with running_writer(store.path) as writer:
        answers = as_one_group(store.path, writer, group)
    refused = [isinstance(answer, S3Error) for answer in answers]
    assert refused == [False, True, False, False, False, False, False, False]
    assert sorted(keys_in(store)) == ["a", "b", "c"]
    assert [version.key for version in store.scan_versions(0, 10)] == ["a", "b", "c"]
    assert store.verify() == []
