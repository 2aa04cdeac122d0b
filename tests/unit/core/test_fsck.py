"""fsck finds every row without its bytes and all bytes without a row, and invents nothing on a live store."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.fsck import FsckReport, Severity, fsck
from app.core.sweep import Sweeper
from app.domain.digests import checksum_of
from app.domain.types import BlobRef, Checksum, Content, Manifest, PartRun
from app.metadata.base import MetadataStore
from app.storage.local import LocalStorage
from tests.contract.storage_contract import FAR_FUTURE_MS
from tests.faulty import Countdown, Crash, faulty
from tests.unit.core.world import BUCKET, World, md5

LARGE = os.urandom(1 << 16) * 20


@pytest.fixture
def world(metadata: MetadataStore, tmp_path: Path) -> World:
    """Files, so that a test can harm them; every kind of object once."""
    world = World(metadata, LocalStorage(str(tmp_path), reserve_bytes=0))
    world.clock_ms = max(int(tmp_path.stat().st_mtime * 1_000), 0) + 60_000
    world.put("plain", LARGE, Checksum("CRC32", checksum_of("CRC32", LARGE)))
    world.put("empty blob", b"")
    world.put_inline("inline", b"in the row")
    world.complete("multipart", world.upload("multipart", [b"one", b"two", b"three"]))
    world.complete("chosen", world.upload("chosen", [b"listed", b"not listed"]), [1])
    world.copy("plain", "copy")
    world.copy("multipart", "multipart copy")
    world.upload("open", [b"pending"])
    return world


@pytest.fixture(autouse=True)
def _close(world: World) -> Any:
    yield
    world.storage.close()


def path_of(tmp_path: Path, ref: BlobRef | None) -> Path:
    assert ref is not None
    return tmp_path / "blobs" / ref[0] / ref[1] / ref


def blob_of(world: World, key: str) -> BlobRef | None:
    return world.version(key).content.blob


def part_blob(world: World, key: str, number: int) -> BlobRef:
    manifest = world.version(key).content.manifest
    assert manifest is not None
    return world.metadata.parts(manifest.upload_id, number, number, 1)[0].blob


def found(report: FsckReport, severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    return sorted(
        (each.kind, each.where.split(" version ")[0]) for each in report.findings if each.severity >= severity
    )


def test_a_whole_store_has_no_findings_and_everything_was_looked_at(world: World) -> None:
    calls: list[int] = []
    report = fsck(world.store, lambda now: calls.append(now.versions))
    assert report.findings == []
    assert report.exit_code == 0
    assert (report.versions, report.parts, report.blobs) == (7, 6, 8)
    assert report.bytes_read >= 2 * len(LARGE)
    assert calls
    assert fsck(world.store, verify_bytes=False).findings == []


@pytest.mark.parametrize("verify_bytes", [True, False])
def test_a_missing_blob_is_an_error_for_every_object_that_has_it(
    world: World, tmp_path: Path, verify_bytes: bool
) -> None:
    path_of(tmp_path, blob_of(world, "plain")).unlink()
    report = fsck(world.store, verify_bytes=verify_bytes)
    assert found(report) == [("missing", f"{BUCKET}/copy"), ("missing", f"{BUCKET}/plain")]
    assert report.exit_code == 2


@pytest.mark.parametrize("verify_bytes", [True, False])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_length_is_an_error_with_and_without_reading(
    world: World, tmp_path: Path, change: int, verify_bytes: bool
) -> None:
    path = path_of(tmp_path, blob_of(world, "plain"))
    os.truncate(path, path.stat().st_size + change)
    report = fsck(world.store, verify_bytes=verify_bytes)
    assert report.counts == {"length": 2}


def test_every_flipped_bit_is_found(world: World, tmp_path: Path) -> None:
    """R-16."""
    size = len(LARGE)
    for position in (0, 1, size // 2, size - 1):
        path = path_of(tmp_path, blob_of(world, "plain"))
        good = path.read_bytes()
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        assert fsck(world.store).counts == {"digest": 2, "checksum": 1}  # the copy was published without a checksum
        path.write_bytes(good)
    assert fsck(world.store).findings == []


def test_a_flipped_bit_in_a_part_is_found(world: World, tmp_path: Path) -> None:
    path_of(tmp_path, part_blob(world, "multipart", 2)).write_bytes(b"twa")
    report = fsck(world.store)
    assert [each.kind for each in report.findings] == ["digest"]
    assert report.findings[0].where.endswith("part 2")


def test_a_missing_part_is_an_error_for_its_objects_and_its_row(world: World, tmp_path: Path) -> None:
    path_of(tmp_path, part_blob(world, "multipart", 2)).unlink()
    report = fsck(world.store)
    assert report.counts == {"missing": 3}
    assert found(report)[:2] == [("missing", f"{BUCKET}/multipart"), ("missing", f"{BUCKET}/multipart copy")]


def test_an_unreadable_blob_is_an_error_and_ends_nothing(world: World, tmp_path: Path) -> None:
    path = path_of(tmp_path, blob_of(world, "plain"))
    path.unlink()
    path.mkdir()
    report = fsck(world.store)
    assert report.counts == {"unreadable": 2}
    assert report.versions == 7


def test_a_row_that_contradicts_its_parts_is_an_error(world: World) -> None:
    manifest = world.version("multipart").content.manifest
    assert manifest is not None
    etag = world.version("multipart").etag
    wrong = {
        "part that is not there": ((PartRun(1, 3, 3), PartRun(7, 1, 3)), 12, etag),
        "another size": ((PartRun(1, 2, 3), PartRun(3, 1, 6)), 12, etag),
        "another total": (manifest.runs, 12, etag),
        "another etag": (manifest.runs, 11, md5(b"else") + "-3"),
    }
    for key, (runs, size_bytes, claimed) in wrong.items():
        world.publish(key, Content(manifest=Manifest(manifest.upload_id, runs)), size_bytes, claimed)
    report = fsck(world.store)
    assert {each.where.split(" version ")[0].split("/")[1]: each.kind for each in report.findings} == {
        "part that is not there": "manifest",
        "another size": "manifest",
        "another total": "manifest",
        "another etag": "digest",
    }


def test_inline_bytes_are_compared_too(world: World) -> None:
    world.publish("length", Content(is_inline=True, inline=b"short"), 6, md5(b"short"))
    world.publish("digest", Content(is_inline=True, inline=b"short"), 5, md5(b"other"))
    world.publish("sum", Content(is_inline=True, inline=b"short"), 5, md5(b"short"), Checksum("CRC32", "AAAAAA=="))
    by_fsck = [each for each in found(fsck(world.store)) if each[0] != "metadata"]  # an engine may see lengths itself
    assert by_fsck == [
        ("checksum", f"{BUCKET}/sum"),
        ("digest", f"{BUCKET}/digest"),
        ("length", f"{BUCKET}/length"),
    ]


def test_what_no_row_names_is_work_for_the_sweep_once_it_is_old(world: World) -> None:
    world.blob(b"nobody's")
    young = fsck(world.store)
    assert (young.young_orphans, young.orphans, young.errors, young.exit_code) == (1, 0, 0, 0)
    world.later(4_000)
    old = fsck(world.store)
    assert (old.young_orphans, old.orphans, old.errors, old.exit_code) == (0, 1, 0, 1)
    assert [(each.severity, each.kind) for each in old.findings] == [(Severity.WARNING, "orphan")]


def test_garbage_is_no_orphan(world: World) -> None:
    world.delete("plain")
    world.delete("copy")
    world.later(4_000)
    assert fsck(world.store).findings == []


def test_parts_that_are_deleted_and_not_yet_forgotten_are_no_errors(world: World, tmp_path: Path) -> None:
    """Some engines keep part rows until `forget`; their garbage says why the bytes are gone."""
    blob = part_blob(world, "multipart", 2)
    for key in ("multipart", "multipart copy"):
        world.delete(key)
    path_of(tmp_path, blob).unlink()
    report = fsck(world.store)
    assert [(each.severity, each.kind) for each in report.findings] == [(Severity.INFO, "condemned")]
    assert report.exit_code == 0


@pytest.mark.parametrize("after", [False, True])
def test_wherever_a_sweep_is_killed_fsck_finds_no_error(world: World, after: bool) -> None:
    for key in ("plain", "copy", "multipart", "multipart copy"):
        world.delete(key)
    world.later(100)
    for fail_at in range(1, 12):
        countdown = Countdown(fail_at, after=after)
        broken = dataclasses.replace(
            world.store,
            metadata=faulty(world.metadata, countdown, ["condemn", "forget"]),
            storage=faulty(world.storage, countdown, ["delete"]),
        )
        try:
            Sweeper(broken, "test").run_once()
        except Crash:
            pass
        report = fsck(world.store)
        assert report.errors == 0, report.findings


def test_objects_that_go_while_fsck_looks_are_no_errors(world: World) -> None:
    """The row was read, then its object was deleted and swept."""

    def going(call: Callable[..., Any], key: str) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            rows = call(*args, **options)
            if world.metadata.look_up(BUCKET, key).version is not None:
                world.delete(key)
                world.later(100)
                Sweeper(world.store, "test").run_once()
            return rows

        return run

    class Live:
        def __init__(self) -> None:
            self.scan_versions = going(world.metadata.scan_versions, "empty blob")
            self.scan_parts = going(world.metadata.scan_parts, "multipart copy")

        def __getattr__(self, name: str) -> Any:
            return getattr(world.metadata, name)

    world.delete("multipart")
    report = fsck(dataclasses.replace(world.store, metadata=Live()))  # type: ignore[arg-type]
    assert report.errors == 0, report.findings
    assert world.metadata.look_up(BUCKET, "multipart copy").version is None


def test_a_run_goes_on_where_another_ended(world: World) -> None:
    marks: list[tuple[int, tuple[str, int]]] = []
    whole = fsck(world.store, lambda report: marks.append((report.sequence, report.part)))
    assert marks[-1] == (whole.sequence, whole.part)
    rest = fsck(world.store, after_sequence=whole.sequence, after_part=whole.part)
    assert (rest.versions, rest.parts) == (0, 0)
    world.put("new", b"new")
    assert fsck(world.store, after_sequence=whole.sequence, after_part=whole.part).versions == 1


def test_what_the_engine_finds_in_its_own_data_is_an_error(world: World) -> None:
    class Damaged:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.metadata, name)

        def verify(self) -> list[str]:
            return ["page 7 is never used"]

    report = fsck(dataclasses.replace(world.store, metadata=Damaged()))  # type: ignore[arg-type]
    assert [(each.kind, each.detail) for each in report.findings] == [("metadata", "page 7 is never used")]
    assert report.exit_code == 2


def test_findings_are_bounded_and_all_are_counted(world: World) -> None:
    for blob in [each.ref for each in world.storage.scan(FAR_FUTURE_MS)]:
        world.storage.delete(blob)
    for number in range(1_000):
        world.publish(f"lost{number:04}", Content(blob=BlobRef(f"{number:032x}")), 1, md5(b"x"))
    report = fsck(world.store)
    assert len(report.findings) == 1_000
    assert report.errors == report.counts["missing"] > 1_000
