"""R-15: flipped bits in the database file. An error, always; a wrong answer, never."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

from app.domain.errors import S3Error, ServiceUnavailable
from app.domain.types import ListQuery
from app.metadata.sql import checksums
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, new_version

PLACES = 200
KEYS = 60


def filled(directory: Path) -> tuple[SqliteStore, dict[str, bytes]]:
    """A closed store of small, middling and many-page bodies, and what they are."""
    choose = random.Random(1)
    bodies = {f"k{number:03}": choose.randbytes(choose.choice([10, 1_000, 20_000])) for number in range(KEYS)}
    store = made_store(directory)
    store.open()
    for key, body in bodies.items():
        store.publish(new_version(key, body), None, "op")
    store.close()
    return store, bodies


def is_noticed(store: SqliteStore, bodies: dict[str, bytes]) -> bool:
    """Whether opening, reading or checking the store fails. Every read that succeeds is compared."""
    failures = 0
    try:
        store.open()
    except (apsw.Error, S3Error):
        return True
    for key, body in bodies.items():
        try:
            version = store.look_up(BUCKET, key, inline=True).version
        except S3Error:
            failures += 1
            continue
        assert version is not None
        assert (version.content.inline, version.etag, version.size_bytes) == (body, "e" * 32, len(body))
    try:
        assert [row.key for row in store.list_current(ListQuery(BUCKET)).entries] == sorted(bodies)
    except S3Error:
        failures += 1
    failures += bool(store.verify())
    store.close()
    return failures > 0


def test_a_flipped_bit_anywhere_in_the_file_is_noticed_and_never_served(tmp_path: Path) -> None:
    """R-15."""
    assert checksums.load(), "apsw's wheel brings the extension"
    store, bodies = filled(tmp_path)
    file = Path(store.path)
    image = file.read_bytes()
    choose = random.Random(2)
    unnoticed = []
    for _ in range(PLACES):
        place = choose.randrange(len(image))
        damaged = bytearray(image)
        damaged[place] ^= 1 << choose.randrange(8)
        file.write_bytes(damaged)
        for tail in ("-wal", "-shm"):
            Path(store.path + tail).unlink(missing_ok=True)
        if not is_noticed(store, bodies):
            unnoticed.append(place)
    assert unnoticed == []


def test_an_undamaged_file_has_nothing_to_notice(tmp_path: Path) -> None:
    store, bodies = filled(tmp_path)
    assert not is_noticed(store, bodies)


def test_a_file_with_checksums_is_not_opened_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages written without would look damaged ever after."""
    store, _ = filled(tmp_path)
    monkeypatch.setattr(apsw, "vfs_names", lambda: ["unix"])
    monkeypatch.setattr(checksums, "load", lambda: False)
    for attempt in (store.open, store.migrate):
        with pytest.raises(ServiceUnavailable, match="checksum on every page"):
            attempt()


def test_a_file_made_without_checksums_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(checksums, "load", lambda: False)
        store = made_store(tmp_path)
    connection = apsw.Connection(store.path)
    assert not checksums.has_checksums(connection)
    connection.close()
    store.open()
    store.publish(new_version("k", b"body"), None, "op")
    assert store.verify() == []
    store.close()
