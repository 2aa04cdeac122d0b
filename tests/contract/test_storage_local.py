"""Local storage against the contract, and what only a file system can do wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import Config
from app.domain.errors import InternalError, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef, FileSpan
from app.storage.base import BlobMissing, ObjectStorage
from app.storage.buffers import BUFFER_BYTES, PLENTY_MAX, Buffers
from app.storage.local import LocalStorage
from app.storage.local_files import GIB, MIB, default_reserve_bytes
from app.storage.local_open import open_cached
from tests.components import require, require_root
from tests.contract.storage_contract import FAR_FUTURE_MS, SHORT, LastingStorageContract, put, read_all

# A writer that never ends by itself: it says where it is, and waits to be killed.
WRITER = """
import sys, time
from app.storage.local import LocalStorage
storage = LocalStorage(sys.argv[1])
storage.open()
kept = storage.create()
kept.write(b"committed before the kill")
print(kept.commit(), flush=True)
storage.create(8 << 20).write(b"x" * 1_000_000)
storage.create().write(b"y")
print("ready", flush=True)
time.sleep(600)
"""


class TestLocalStorage(LastingStorageContract):
    @pytest.fixture(autouse=True)
    def _mounts(self) -> Iterator[None]:
        self.mounts: list[Path] = []
        yield
        for mount in self.mounts:
            unmount(mount)

    def make(self, place: Path) -> ObjectStorage:
        return LocalStorage(str(place / "objects"))

    def make_full(self, place: Path) -> ObjectStorage:
        mount_tmpfs(place, "4m")
        self.mounts.append(place)
        storage = LocalStorage(str(place / "objects"), reserve_bytes=0)
        storage.open()
        return storage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def local(root: Path) -> Iterator[LocalStorage]:
    storage = LocalStorage(str(root), reserve_bytes=0)
    storage.open()
    yield storage
    storage.close()


@pytest.fixture
def small_mount(tmp_path: Path) -> Iterator[Path]:
    mount_tmpfs(tmp_path, "8m")
    yield tmp_path
    unmount(tmp_path)


@pytest.fixture
def writer(root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_blob_lies_under_two_levels_of_its_reference(local: LocalStorage, root: Path) -> None:
    ref = put(local, SHORT)
    assert len(ref) == 32
    assert (root / "blobs" / ref[0] / ref[1] / ref).read_bytes() == SHORT


def test_a_span_has_a_descriptor_of_its_own_that_no_child_inherits(local: LocalStorage) -> None:
    ref = put(local, SHORT)
    spans = [local.read(ref, 3, 4) for _ in range(2)]
    assert [span for span in spans if isinstance(span, FileSpan)] == spans
    descriptors = {span.fd for span in spans if isinstance(span, FileSpan)}
    assert len(descriptors) == 2
    assert not any(os.get_inheritable(fd) for fd in descriptors)
    assert [read_all(span) for span in spans] == [SHORT[3:7]] * 2


def test_nothing_is_left_open_whatever_happens(local: LocalStorage) -> None:
    ref = put(local, SHORT)
    before = os.listdir("/proc/self/fd")
    for start, length in ((0, 0), (0, 99), (99, None)):
        try:
            local.read(ref, start, length)
        except InternalError:
            pass
    with local.create() as writer:
        writer.write(SHORT)
    scan = local.scan(FAR_FUTURE_MS)
    next(scan)
    del scan
    local.check()
    local.clean_up()
    assert os.listdir("/proc/self/fd") == before


SIZES = (1, 4_095, 4_096, 4_097, MIB - 1, MIB, MIB + 1, MIB + 4_096, 5 * MIB + 4_097)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_need_not_end_with_a_page(local: LocalStorage, root: Path, size: int) -> None:
    content = os.urandom(size)
    for hint in (None, size):
        ref = put(local, content, size_hint=hint)
        path = root / "blobs" / ref[0] / ref[1] / ref
        assert path.read_bytes() == content
        assert path.stat().st_blocks * 512 < size + 2 * 4_096 + MIB // 8, "what was set aside is given back"


def test_bytes_go_past_the_page_cache_where_the_file_system_can_do_that(local: LocalStorage, root: Path) -> None:
    with local.create() as writer:
        writer.write(bytes(2 * MIB + 1))
        (path,) = (root / "tmp").glob("*/" + "?" * 32)
        flags = [
            int(line.split()[1], 8)
            for each in Path("/proc/self/fd").iterdir()
            if os.path.realpath(each) == str(path)
            for line in (Path("/proc/self/fdinfo") / each.name).read_text().splitlines()
            if line.startswith("flags:")
        ]
        assert [bool(each & os.O_DIRECT) for each in flags] == [local.writes_directly]
        ref = writer.commit()
    assert read_all(local.read(ref)) == bytes(2 * MIB + 1)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_system_that_only_writes_through_its_cache_will_do(tmp_path: Path, size: int) -> None:
    require_root()
    if subprocess.run([require("mount"), "-t", "ramfs", "ramfs", str(tmp_path)], check=False).returncode:
        pytest.skip("component missing: ramfs mounts. Get it by: run where mount(2) is allowed")
    try:
        storage = LocalStorage(str(tmp_path / "objects"), reserve_bytes=0)
        storage.open()
        content = os.urandom(size)
        assert read_all(storage.read(put(storage, content))) == content
        assert not storage.writes_directly
        storage.close()
    finally:
        unmount(tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_an_operator_may_want_the_cache(root: Path, size: int) -> None:
    storage = LocalStorage(str(root), reserve_bytes=0, writes_directly=False)
    storage.open()
    content = os.urandom(size)
    assert read_all(storage.read(put(storage, content))) == content
    storage.close()


class OddBuffers(Buffers):
    """Memory that begins at no page, which direct I/O refuses."""

    def take(self) -> memoryview:
        return memoryview(bytearray(BUFFER_BYTES + 1))[1:]


@pytest.mark.parametrize("size", SIZES)
def test_a_direct_write_that_is_refused_goes_through_the_cache(local: LocalStorage, size: int) -> None:
    local.buffers = OddBuffers()
    content = os.urandom(size)
    assert read_all(local.read(put(local, content))) == content


def test_writers_that_wait_give_their_memory_back_where_many_do(local: LocalStorage) -> None:
    writers = [local.create() for _ in range(3 * PLENTY_MAX)]
    contents = [os.urandom(9_000) for _ in writers]
    for writer, content in zip(writers, contents, strict=True):
        writer.write(content[:5_000])
        writer.pause()
    assert local.buffers.lent <= PLENTY_MAX + 1
    for writer, content in zip(writers, contents, strict=True):
        writer.write(content[5_000:])
        writer.pause()
    assert [read_all(local.read(writer.commit())) for writer in writers] == contents
    assert local.buffers.lent == 0


def test_a_writer_that_is_dropped_keeps_its_memory_from_others(local: LocalStorage) -> None:
    """Whoever was filling it may not know yet."""
    with local.create() as writer:
        room = writer.room()
        writer.wrote(10)
    room[:10] = b"0123456789"
    with local.create() as other:
        other.write(b"x")
        room[:10] = b"9876543210"
        ref = other.commit()
    assert read_all(local.read(ref)) == b"x"
    assert local.buffers.lent == 0


def test_a_name_that_the_kernel_remembers_is_opened_at_once(root: Path, local: LocalStorage) -> None:
    ref = put(local, SHORT)
    path = str(root / "blobs" / ref[0] / ref[1] / ref)
    fd = open_cached(path)
    if fd is None:
        pytest.skip("component missing: openat2 with RESOLVE_CACHED. Get it by: run on Linux 5.12 or later")
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert open_cached(path + "x") is None


def test_a_file_that_lost_its_end_is_never_sent(local: LocalStorage, root: Path) -> None:
    ref = put(local, SHORT)
    os.truncate(root / "blobs" / ref[0] / ref[1] / ref, 5)
    with pytest.raises(InternalError):
        local.read(ref, 0, len(SHORT))


@pytest.mark.parametrize(
    "ref", ["", "../../../secret", "/etc/passwd", "a" * 31, "A" * 32, "a" * 33, "a" * 31 + "\n", "٣" * 32, ".." * 16]
)
def test_nothing_but_a_reference_becomes_a_path(local: LocalStorage, root: Path, ref: str) -> None:
    (root.parent / "secret").write_text("not a blob")
    for call in (local.read, local.delete):
        with pytest.raises(BlobMissing):
            call(BlobRef(ref))
    assert (root.parent / "secret").exists()


def test_scan_passes_over_what_is_no_blob(local: LocalStorage, root: Path) -> None:
    ref = put(local, SHORT)
    other = secrets.token_hex(16)
    places = [
        root / "blobs" / "stray",
        root / "blobs" / "lost+found" / "x" / other,
        root / "blobs" / ref[0] / ref[1] / "report.tmp.csv",
        root
        / "blobs"
        / ref[0]
        / ref[1]
        / (f"{(int(ref[0], 16) + 1) % 16:x}" + ref[1:]),  # a blob, but not its directory
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    (root / "blobs" / ref[0] / ref[1] / other).mkdir()
    assert [each.ref for each in local.scan(FAR_FUTURE_MS)] == [ref]


def test_a_killed_writer_leaves_nothing_once_cleaned_up(root: Path, writer: subprocess.Popen[str]) -> None:
    assert writer.stdout is not None
    ref = BlobRef(writer.stdout.readline().strip())
    assert writer.stdout.readline() == "ready\n"
    storage = LocalStorage(str(root), reserve_bytes=0)
    storage.open()
    assert storage.clean_up() == 0  # it lives: both its files stay
    assert len(temporary_files(root)) == 2
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert storage.clean_up() == 2
    assert temporary_files(root) == []
    assert len(os.listdir(root / "tmp")) == 1  # our own
    assert read_all(storage.read(ref)) == b"committed before the kill"
    assert [each.ref for each in storage.scan(FAR_FUTURE_MS)] == [ref]
    storage.close()


def test_two_that_clean_up_at_once_do_not_stumble(root: Path, local: LocalStorage) -> None:
    (root / "tmp" / "1-dead").mkdir()
    (root / "tmp" / "1-dead" / "left").write_text("x")
    (root / "tmp" / "stray file").write_text("nobody's")
    other = LocalStorage(str(root))
    other.open()
    assert local.clean_up() + other.clean_up() == 1
    other.close()
    assert len(os.listdir(root / "tmp")) == 2  # ours and the stray file


def test_a_start_that_meets_somebody_cleaning_up_takes_another_directory(
    root: Path, local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the directory and locking it, its lock is free."""
    flock = fcntl.flock
    met: list[str] = []

    def late(fd: int, operation: int) -> None:
        if not met:
            met.append(os.readlink(f"/proc/self/fd/{fd}"))
            local.clean_up()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    storage = LocalStorage(str(root), reserve_bytes=0)
    storage.open()
    monkeypatch.undo()
    assert not Path(met[0]).exists()
    with storage.create() as writer:
        writer.write(SHORT)
        assert local.clean_up() == 0
        ref = writer.commit()
    assert read_all(storage.read(ref)) == SHORT
    storage.close()


def test_a_lock_is_not_inherited_by_a_child_process(root: Path) -> None:
    storage = LocalStorage(str(root))
    storage.open()
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        own = os.listdir(root / "tmp")
        assert len(own) == 1
        links = [os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{child.pid}/fd")]
        assert not [link for link in links if str(root) in link]
    finally:
        child.kill()
        child.wait()
        storage.close()


def test_writes_stop_at_the_reserve_and_deletes_go_on(small_mount: Path) -> None:
    clock = [0.0]
    storage = LocalStorage(str(small_mount / "objects"), reserve_bytes=4 * MIB, monotonic=lambda: clock[0])
    storage.open()
    with pytest.raises(SlowDown, match="reserve"):
        storage.create(5 * MIB)  # more than there is above the reserve
    first = put(storage, bytes(3 * MIB), size_hint=3 * MIB)
    second = put(storage, bytes(2 * MIB))  # within the second in which free space is not asked for again
    clock[0] += 10
    with pytest.raises(SlowDown, match="nearly full"):
        storage.create()
    assert not storage.check().ok
    assert len(read_all(storage.read(second))) == 2 * MIB
    storage.delete(first)
    clock[0] += 10
    assert storage.check().ok
    put(storage, SHORT)
    storage.close()


def test_a_full_disk_at_the_start_can_still_be_read_and_freed(small_mount: Path) -> None:
    clock = [0.0]
    storage = LocalStorage(str(small_mount / "objects"), reserve_bytes=0, monotonic=lambda: clock[0])
    storage.open()
    ref = put(storage, bytes(4 * MIB))
    storage.close()
    fill_up(small_mount)
    storage.open()
    assert not storage.check().ok
    assert len(read_all(storage.read(ref))) == 4 * MIB
    storage.delete(ref)
    clock[0] += 10
    assert storage.check().ok
    put(storage, SHORT)
    storage.close()


def test_a_read_only_file_system_serves_reads_and_says_that_it_takes_no_writes(small_mount: Path) -> None:
    """R-14, after a restart: no exit loop."""
    clock = [0.0]
    storage = LocalStorage(str(small_mount / "objects"), reserve_bytes=0, monotonic=lambda: clock[0])
    storage.open()
    ref = put(storage, SHORT)
    storage.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_mount)], check=True)
    storage.open()
    assert read_all(storage.read(ref)) == SHORT
    health = storage.check()
    assert not health.ok
    assert "Read-only" in health.detail
    for write in (storage.create, lambda: storage.delete(ref)):
        with pytest.raises(ServiceUnavailable, match="Read-only"):
            write()
    subprocess.run(["mount", "-o", "remount,rw", str(small_mount)], check=True)
    clock[0] += 5
    assert storage.check().ok
    put(storage, SHORT)
    storage.close()


@pytest.mark.parametrize(
    ("number", "answer"),
    [(errno.EIO, ServiceUnavailable), (errno.ENOSPC, SlowDown), (errno.EDQUOT, SlowDown), (errno.EMFILE, SlowDown)],
    ids=["EIO", "ENOSPC", "EDQUOT", "EMFILE"],
)
@pytest.mark.parametrize("failing", [1, 2], ids=["of the file", "of its directory"])
def test_a_sync_that_fails_gives_no_reference_and_is_not_tried_again(
    local: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, answer: type[Exception], failing: int
) -> None:
    """After a failed fsync the kernel forgets what was dirty: a second one that succeeds proves nothing."""
    put(local, b"")  # settles the directory that the next one goes to: a commit syncs the file, then its directory
    calls: list[int] = []
    fsync = os.fsync

    def fail(fd: int) -> None:
        calls.append(fd)
        if len(calls) == failing:
            raise OSError(number, os.strerror(number), "/a/path/of/ours")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail)
    settled = next(iter(local.scan(FAR_FUTURE_MS))).ref
    monkeypatch.setattr(secrets, "token_hex", lambda _: settled[:2] + "0" * 30)
    with pytest.raises(answer) as refusal:
        put(local, SHORT)
    assert len(calls) == failing
    assert "/a/path" not in str(refusal.value)
    assert temporary_files(root) == []


def test_a_place_where_nothing_can_be_made_refuses_to_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match=r"file/objects: .* File exists"):
        LocalStorage(str(tmp_path / "file" / "objects")).open()


def test_a_write_that_hangs_makes_everybody_else_unhealthy_at_once(root: Path) -> None:
    """The one who tries is stuck in the kernel; a probe of readiness must not be."""
    clock = [0.0]
    storage = LocalStorage(str(root), monotonic=lambda: clock[0])
    storage.open()
    answers: list[tuple[bool, str]] = []

    class Hanging(LocalStorage):
        def _probe(self) -> object:  # type: ignore[override]  # stands for a system call that does not return
            for seconds in (0.5, 3.0):
                clock[0] += seconds
                health = self.check()
                answers.append((health.ok, health.detail))
            return storage.check()

    hanging = Hanging(str(root), monotonic=lambda: clock[0])
    hanging.open()
    hanging.check()
    assert answers == [(True, ""), (False, "no answer for 4 s")]
    hanging.close()
    storage.close()


def test_the_reserve_fits_the_disk() -> None:
    sizes = {64 * MIB: 16 * MIB, GIB: 128 * MIB, 10 * GIB: 512 * MIB, 20 * GIB: GIB, 1000 * GIB: GIB}
    assert {size: default_reserve_bytes(size) for size in sizes} == sizes


def test_configuration_reaches_the_back_end() -> None:
    storage = LocalStorage.from_config(Config())
    assert storage.garbage_grace_s == 60
    assert storage.shared


def temporary_files(root: Path) -> list[Path]:
    return [path for path in (root / "tmp").glob("*/*") if path.name != "lock"]


def fill_up(directory: Path) -> None:
    """Write until the file system is full to the last block."""
    with (directory / "fill").open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def mount_tmpfs(place: Path, size: str) -> None:
    require_root()
    made = subprocess.run([require("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False)
    if made.returncode:
        pytest.skip("component missing: tmpfs mounts. Get it by: run where mount(2) is allowed")


def unmount(place: Path) -> None:
    """Lazily: a failed test may still hold a file open."""
    subprocess.run(["umount", "-l", str(place)], check=True)
