"""Moving a bucket's bytes: all of them and nothing else, wherever it is killed, whatever changes meanwhile."""

from __future__ import annotations

import dataclasses

import pytest

from app.core import copies
from app.core.content import open_content
from app.core.fsck import fsck
from app.core.move import PAUSES_S, Mover, MoveReport
from app.core.objects import NewObject
from app.core.placement import MAIN, Placement, Rule
from app.core.store import Limits, Store
from app.core.sweep import Sweeper
from app.domain.errors import InternalError, NoSuchBucket, ServiceUnavailable
from app.domain.types import BlobRef, Body, Content, NewBucket, NewVersion, Version, Versioning, VersionQuery
from app.metadata.base import MetadataStore
from app.storage.base import ObjectStorage, name_in
from app.storage.memory import MemoryStorage, MemoryWriter
from app.storage.places import Places
from tests.contract.storage_contract import put, read_all
from tests.faulty import Countdown, Crash, faulty
from tests.unit.core.world import ALL_PARTS, BUCKET, OWNER, World, md5

OTHER = "other"


class Town(World):
    """A world with two places: the main one and "cold". Nothing that is streamed becomes inline."""

    def __init__(self, metadata: MetadataStore) -> None:
        self.main, self.cold = MemoryStorage(now_ms=self.now_ms), MemoryStorage(now_ms=self.now_ms)
        self.pauses: list[float] = []
        super().__init__(metadata, Places(self.main, {"cold": self.cold}))
        self.use(self.storage)
        self.metadata.create_bucket(NewBucket(OTHER, OWNER, "us-east-1", self.clock_ms), self.op())

    def use(self, storage: ObjectStorage, metadata: MetadataStore | None = None) -> Store:
        """The store over these engines."""
        self.store = dataclasses.replace(
            self.store, storage=storage, metadata=metadata or self.metadata, limits=Limits(inline_max_bytes=0),
            placement=Placement(storage, [Rule("cold", location="cold")]),
        )  # fmt: skip
        return self.store

    def move(self, backend: str = "cold", store: Store | None = None, *, is_dry: bool = False) -> MoveReport:
        """As a process that has just started."""
        return Mover(store or self.store, BUCKET, backend, is_dry=is_dry, sleep=self.pauses.append).run()

    def places(self, bucket: str = BUCKET) -> set[str]:
        """Where the bytes of a bucket's versions are."""
        rows = self.metadata.list_versions(VersionQuery(bucket)).entries
        found = {name_in(row.content.blob) for row in rows if row.content.blob is not None}
        for manifest in (row.content.manifest for row in rows):
            for run in manifest.runs if manifest is not None else ():
                last = run.first_number + run.count - 1
                assert manifest is not None
                parts = self.metadata.parts(manifest.upload_id, run.first_number, last, run.count)
                found |= {name_in(part.blob) for part in parts}
        return found

    def sweep(self) -> None:
        """Far enough in the future for everything that may go."""
        self.later(4_000)
        Sweeper(self.store, "test").run_once()

    def counts(self) -> tuple[int, int]:
        return tuple(len(list(each.scan(1 << 60))) for each in (self.main, self.cold))  # type: ignore[return-value]


@pytest.fixture
def town(metadata: MetadataStore) -> Town:
    return Town(metadata)


def fill(town: Town) -> dict[str, bytes]:
    """One of each kind, all in the main place: what reading them gives."""
    town.put("blob", b"one blob")
    town.put("shared", b"many rows")
    town.copy("shared", "shared-2")
    town.put_inline("inline", b"small")
    town.complete("parts", town.upload("parts", [b"first", b"second", b"third"]), [1, 3])
    town.copy("parts", "parts-2")
    return {
        "blob": b"one blob", "shared": b"many rows", "shared-2": b"many rows", "parts": b"firstthird",
        "parts-2": b"firstthird",
    }  # fmt: skip


def whole(body: Body) -> bytes:
    return body if isinstance(body, bytes) else read_all(iter(body))  # type: ignore[arg-type]


def check(town: Town, contents: dict[str, bytes]) -> None:
    for key, data in contents.items():
        version = town.version(key)
        assert whole(open_content(town.store, version, 0, version.size_bytes)) == data, key


def test_everything_is_moved_and_reads_as_before(town: Town) -> None:
    contents = fill(town)
    open_upload = town.upload("open", [b"under way"])
    before = {key: town.version(key)._replace(content=Content()) for key in contents}
    report = town.move()
    assert (report.moved, report.shared, report.wrong, report.gone) == (5, 1, 0, 0)
    assert report.bytes_moved == sum(map(len, (b"one blob", b"many rows", b"first", b"third", b"under way")))
    assert town.places() == {"cold"}
    check(town, contents)
    assert {key: town.version(key)._replace(content=Content()) for key in contents} == before
    assert name_in(town.metadata.parts(open_upload, *ALL_PARTS)[0].blob) == "cold"
    town.sweep()
    assert town.counts() == (0, 5)
    check(town, contents)
    assert fsck(town.store).exit_code == 0


def test_new_bytes_go_there_at_once_and_older_versions_later(town: Town) -> None:
    town.metadata.set_versioning(BUCKET, Versioning.ENABLED, town.op())
    for data in (b"1", b"22", b"333"):
        town.put("k", data)
    town.delete("k")
    assert town.move().moved == 3
    assert town.store.storage_for(BUCKET) is town.storage.members()["cold"]
    assert town.store.storage_for(OTHER) is town.main
    rows = town.metadata.list_versions(VersionQuery(BUCKET)).entries
    read = [row.content.blob and read_all(town.storage.read(row.content.blob)) for row in rows]
    assert read == [None, b"333", b"22", b"1"]
    assert town.places() == {"cold"}


def test_running_it_again_passes_over_what_is_there(town: Town) -> None:
    fill(town)
    town.move()
    report = town.move()
    assert (report.moved, report.shared, report.there, report.bytes_moved) == (0, 0, 5, 0)


def test_it_goes_back_to_the_main_one(town: Town) -> None:
    contents = fill(town)
    town.move()
    town.sweep()
    town.move(MAIN)
    assert town.store.storage_for(BUCKET) is town.main
    town.sweep()
    assert town.counts() == (4, 0)
    check(town, contents)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(town: Town) -> None:
    fill(town)
    report = town.move(is_dry=True)
    assert (report.moved, report.shared) == (4, 1)
    assert report.bytes_moved == 27
    assert town.counts()[1] == 0
    assert town.store.storage_for(BUCKET) is town.main
    assert (town.move().moved, town.garbage_count() > 0) == (4, True)


def test_other_buckets_keep_what_they_share_but_for_parts(town: Town) -> None:
    """Parts belong to their upload: moved for one object they are moved for all."""
    fill(town)
    for key in ("blob", "parts"):
        version = town.version(key)
        new = NewVersion(OTHER, key, "v", OWNER, 0, version.size_bytes, version.etag, version.content)
        town.metadata.publish(new, None, town.op())
    town.move()
    town.sweep()
    assert town.places(OTHER) == {MAIN, "cold"}
    row = town.metadata.look_up(OTHER, "blob").version
    assert row is not None
    assert name_in(row.content.blob or BlobRef("")) == MAIN
    assert whole(open_content(town.store, row, 0, row.size_bytes)) == b"one blob"


@pytest.mark.parametrize("key", ["blob", "parts"])
def test_wrong_bytes_are_reported_and_left_where_they_are(town: Town, key: str) -> None:
    contents = fill(town)
    version = town.version(key)
    blob = version.content.blob
    if version.content.manifest is not None:
        blob = town.metadata.parts(version.content.manifest.upload_id, *ALL_PARTS)[0].blob
    assert blob is not None
    (first, *rest), modified_ms = town.main._blobs[blob]
    town.main._blobs[blob] = ([b"X" + first[1:], *rest], modified_ms)
    report = town.move()
    assert (report.wrong, report.moved) == (1, 3)
    assert "digest" in report.problems[0]
    assert name_in(blob) == MAIN
    town.sweep()
    assert blob in {each.ref for each in town.main.scan(1 << 60)}
    town.main._blobs[blob] = ([first, *rest], modified_ms)
    assert (town.move().wrong, town.move().there) == (0, 5)
    check(town, contents)


def test_bytes_that_are_missing_are_reported(town: Town) -> None:
    fill(town)
    town.main.delete(town.version("blob").content.blob or BlobRef(""))
    report = town.move()
    assert report.wrong == 1
    assert report.problems[0].startswith("missing bucket/blob version null")


def test_a_row_that_goes_meanwhile_is_no_loss_and_leaves_nothing(town: Town) -> None:
    fill(town)

    class Overwriting(MemoryStorage):
        """Somebody overwrites the object while its copy is being made."""

        def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
            body = super().read(ref, start, length)
            if body == b"one blob" and town.version("blob").content.blob == ref:
                town.put("blob", b"newer")
            return body

    busy = Overwriting(now_ms=town.now_ms)
    busy._blobs = town.main._blobs
    town.main = busy
    town.storage = Places(busy, {"cold": town.cold})
    report = town.move(store=town.use(town.storage))
    assert (report.gone, report.wrong) == (1, 0)
    assert town.places() == {"cold"}  # the newer one by the next pass
    assert town.read("blob") == b"newer"
    town.sweep()
    assert town.counts() == (0, 4)


def test_a_back_end_that_is_away_for_a_moment_is_waited_for(town: Town) -> None:
    contents = fill(town)
    away = faulty(town.cold, Countdown(2, error=ServiceUnavailable), ["create"])
    assert town.move(store=town.use(Places(town.main, {"cold": away}))).moved == 4
    assert town.pauses == [PAUSES_S[0]]
    town.use(town.storage)
    check(town, contents)


def test_a_back_end_that_is_away_ends_the_run_and_the_next_one_goes_on(town: Town) -> None:
    contents = fill(town)

    class Away(MemoryStorage):
        writes = 0

        def create(self, size_hint: int | None = None) -> MemoryWriter:
            self.writes += 1
            if self.writes > 2:
                raise ServiceUnavailable
            return super().create(size_hint)

    away = Away(now_ms=town.now_ms)
    away._blobs = town.cold._blobs
    with pytest.raises(ServiceUnavailable):
        town.move(store=town.use(Places(town.main, {"cold": away})))
    assert set(town.pauses) == set(PAUSES_S)
    check(town, contents)
    town.use(town.storage)
    town.move()
    town.sweep()
    assert town.counts()[0] == 0
    assert town.places() == {"cold"}
    check(town, contents)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_killed_anywhere_nothing_is_lost_and_the_next_run_ends_it(town: Town, number: int, after: bool) -> None:
    contents = fill(town)
    countdown = Countdown(number, after=after)
    broken = faulty(town.metadata, countdown, ["move_blob", "move_part", "put_document"])
    with pytest.raises(Crash):
        town.move(store=town.use(town.storage, broken))
    town.use(town.storage)
    check(town, contents)
    town.move()
    check(town, contents)
    town.sweep()
    assert town.counts()[0] == 0
    assert fsck(town.store).exit_code == 0
    check(town, contents)


def test_progress_is_told_with_every_row(town: Town) -> None:
    fill(town)
    seen: list[int] = []
    Mover(town.store, BUCKET, "cold").run(lambda report: seen.append(report.moved))
    assert seen[-1] == 4
    assert len(seen) >= 5


def test_a_bucket_that_is_not_there(town: Town) -> None:
    with pytest.raises(NoSuchBucket):
        Mover(town.store, "nowhere", "cold").run()


def test_a_reader_who_comes_late_to_a_moved_part_finds_it(town: Town) -> None:
    town.complete("k", town.upload("k", [b"first", b"second", b"third"]))
    version = town.version("k")
    body = open_content(town.store, version, 0, version.size_bytes)
    assert not isinstance(body, bytes)
    chunks = iter(body)  # type: ignore[arg-type]
    assert next(chunks) == b"first"  # the rows of all three are read by now
    town.move()
    town.sweep()
    assert town.counts() == (0, 3)
    assert b"".join(chunks) == b"secondthird"


# -- copies between places -------------------------------------------------------------------------------------------


def copy(town: Town, source: str, bucket: str = OTHER) -> Version:
    version = town.version(source)
    copies.copy_object(town.store, NewObject(bucket, "copy", OWNER), version, None, None)
    made = town.metadata.look_up(bucket, "copy").version
    assert made is not None
    return made


def test_a_copy_within_a_place_shares_and_between_places_streams(town: Town) -> None:
    fill(town)
    assert copy(town, "parts").content.manifest is not None
    assert town.counts()[1] == 0
    Mover(town.store, OTHER, "cold").run()
    made = copy(town, "blob")
    assert (name_in(made.content.blob or BlobRef("")), made.etag) == ("cold", md5(b"one blob"))
    # A part of the source is on another back end than the rest.
    upload_id = town.upload("mixed", [b"here", b"there"])
    part = town.metadata.parts(upload_id, *ALL_PARTS)[1]
    assert town.metadata.move_part(upload_id, part, put(town.storage.members()["cold"], b"there"), town.clock_ms)
    town.complete("mixed", upload_id)
    for bucket, place in ((OTHER, "cold"), (BUCKET, MAIN)):
        made = copy(town, "mixed", bucket)
        assert (name_in(made.content.blob or BlobRef("")), made.etag) == (place, md5(b"herethere"))


def test_a_copy_of_bytes_that_are_wrong_is_refused_and_leaves_nothing(town: Town) -> None:
    fill(town)
    Mover(town.store, OTHER, "cold").run()
    blob = town.version("blob").content.blob or BlobRef("")
    town.main._blobs[blob] = ([b"oops bad"], town.clock_ms)
    with pytest.raises(InternalError):
        copy(town, "blob")
    assert town.counts()[1] == 0
