"""The writer thread: what a group shares, what it does not, and the three ways to fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.errors import PreconditionFailed, S3Error, ServiceUnavailable, SlowDown
from app.domain.types import Removal
from app.metadata.base import OutcomeUnknown
from app.metadata.sql import writer as writer_module
from app.metadata.sql.execution import Request
from app.metadata.sql.mutation import Mutation, Outcome, Step
from app.metadata.sql.objects import REMOVE
from app.metadata.sql.params import of_removal
from app.metadata.sql.sqlite import SqliteStore
from app.metadata.sql.turnstile import Turnstile
from app.metadata.sql.writer import Writer
from tests.unit.metadata.sqlite_faults import FaultyDisk
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, put, running_writer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Reads what the writers under test have written."""
    store = made_store(tmp_path)
    store.open()
    yield store
    store.close()


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


def as_one_group(path: str, writer: Writer, requests: list[Request]) -> list[Outcome | Exception]:
    """Submit all while the turn is somebody else's, so that they share a transaction; each one's answer in order."""
    turnstile = Turnstile(path)
    turnstile.enter()
    answers: list[Outcome | Exception] = [RuntimeError("no answer")] * len(requests)

    def submit(index: int) -> None:
        try:
            answers[index] = writer.submit(requests[index])
        except Exception as error:
            answers[index] = error

    threads = []
    for index in range(len(requests)):
        threads.append(threading.Thread(target=submit, args=(index,)))
        threads[-1].start()
        _until(writer, index)
    turnstile.close()
    for thread in threads:
        thread.join()
    return answers


def _until(writer: Writer, depth: int) -> None:
    """Wait until so many are queued behind the one that the thread has taken already."""
    for _ in range(100_000):
        if writer.depth() >= depth:
            return
        threading.Event().wait(0.0001)
    raise AssertionError("it never came to that")


def keys_in(store: SqliteStore) -> list[str]:
    return [version.key for version in store.scan_versions(0, 10_000)]


def test_requests_that_wait_together_are_synced_once(
    store: SqliteStore, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A transaction ends after so long, which a machine busy with something else may reach here.
    monkeypatch.setattr("app.metadata.sql.writer.GROUP_MS_MAX", 60_000)
    with running_writer(store.path, vfs=disk.vfs_name) as writer:
        writer.submit(put("first"))
        before = disk.syncs
        answers = as_one_group(store.path, writer, [put(f"k{number}") for number in range(40)])
        assert all(isinstance(answer, Outcome) for answer in answers)
        assert disk.syncs - before == 1
    assert len(keys_in(store)) == 41


def test_a_refusal_undoes_its_own_request_and_no_neighbour(store: SqliteStore) -> None:
    requests = [put("a"), put("a", only_new=True), put("b"), put("a", only_new=True), put("c")]
    with running_writer(store.path) as writer:
        answers = as_one_group(store.path, writer, requests)
    assert [isinstance(answer, PreconditionFailed) for answer in answers] == [False, True, False, True, False]
    assert sorted(keys_in(store)) == ["a", "b", "c"]


def test_a_statement_that_breaks_in_the_middle_undoes_its_own_request_only(store: SqliteStore) -> None:
    good = put("a")
    broken = Mutation(
        "publish", good.mutation.plan, (*good.mutation.steps, Step("INSERT INTO versions (sequence) VALUES (NULL)"))
    )
    with running_writer(store.path) as writer:
        answers = as_one_group(store.path, writer, [put("b"), Request(broken, good.params), put("c")])
        assert isinstance(answers[1], S3Error)
        assert sorted(keys_in(store)) == ["b", "c"]
        writer.submit(put("d"))
    assert store.verify() == []


def test_a_value_that_cannot_be_bound_is_its_submitters_problem_alone(store: SqliteStore) -> None:
    request = put("a")
    request.params["size_bytes"] = 1 << 70
    with running_writer(store.path) as writer:
        answers = as_one_group(store.path, writer, [put("b"), request, put("c")])
    assert isinstance(answers[1], OverflowError)
    assert sorted(keys_in(store)) == ["b", "c"]


def test_a_request_that_ends_the_transaction_fails_its_whole_group_and_nothing_is_acknowledged(
    store: SqliteStore,
) -> None:
    """What SQLite does by itself on some errors: seeded here by a statement that rolls back everything."""
    good = put("x")
    ending = Mutation("publish", good.mutation.plan, (Step("ROLLBACK"), Step("SELECT * FROM no_such_table")))
    with running_writer(store.path) as writer:
        answers = as_one_group(store.path, writer, [put("a"), Request(ending, good.params), put("b")])
        assert all(isinstance(answer, ServiceUnavailable) for answer in answers)
        assert not any(isinstance(answer, OutcomeUnknown) for answer in answers)
        assert keys_in(store) == []
        writer.submit(put("c"))
    assert keys_in(store) == ["c"]


def test_a_failed_sync_at_commit_is_unknown_to_the_whole_group(store: SqliteStore, disk: FaultyDisk) -> None:
    """I9."""
    with running_writer(store.path, vfs=disk.vfs_name) as writer:
        writer.submit(put("before"))
        disk.failing["sync"] = apsw.IOError("injected")
        answers = as_one_group(store.path, writer, [put("a"), put("b")])
        assert all(isinstance(answer, OutcomeUnknown) for answer in answers)
        assert not writer.health().ok
        disk.failing.clear()
        writer.submit(put("after"))
        assert writer.health().ok
    assert {"before", "after"} <= set(keys_in(store))
    assert store.verify() == []


def test_a_full_disk_at_commit_is_refused_with_slow_down(store: SqliteStore, disk: FaultyDisk) -> None:
    """R-11: the page that makes the commit was not written."""
    with running_writer(store.path, vfs=disk.vfs_name) as writer:
        writer.submit(put("before"))
        disk.failing["write"] = apsw.FullError("injected")
        for answer in as_one_group(store.path, writer, [put("a"), put("b")]):
            assert isinstance(answer, SlowDown)
        disk.failing.clear()
        writer.submit(put("after"))
    assert sorted(keys_in(store)) == ["after", "before"]


def test_a_database_that_another_program_holds_is_refused_and_then_served(store: SqliteStore) -> None:
    """A failed BEGIN is a refusal, not unknown."""
    other = apsw.Connection(store.path)
    other.execute("BEGIN IMMEDIATE")
    with running_writer(store.path, wait_max_s=0.2) as writer:
        with pytest.raises(SlowDown):
            writer.submit(put("a"))
        assert keys_in(store) == []
        other.execute("ROLLBACK")
        writer.submit(put("a"))
    other.close()
    assert keys_in(store) == ["a"]


def test_a_group_over_its_bound_in_bytes_is_committed_in_pieces(store: SqliteStore, disk: FaultyDisk) -> None:
    body = bytes(100_000)
    count = 3 * writer_module.GROUP_BYTES_MAX // len(body)
    with running_writer(store.path, vfs=disk.vfs_name) as writer:
        writer.submit(put("first"))
        before = disk.syncs
        answers = as_one_group(store.path, writer, [put(f"k{number:03}", body) for number in range(count)])
        assert all(isinstance(answer, Outcome) for answer in answers)
        assert disk.syncs - before >= 3
    assert len(keys_in(store)) == count + 1


def test_a_delete_that_changes_nothing_writes_nothing(tmp_path: Path, disk: FaultyDisk) -> None:
    store = made_store(tmp_path)
    removal = Removal(BUCKET, "absent", None, "m" * 32, "o", 1)
    with running_writer(store.path, vfs=disk.vfs_name) as writer:
        writer.submit(put("k"))
        before = disk.syncs
        assert writer.submit(Request(REMOVE, of_removal(removal, None))).refusal == "nothing_to_do"
        assert disk.syncs == before
