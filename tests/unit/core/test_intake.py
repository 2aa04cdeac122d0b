"""Bodies on their way into storage: whole, verified, or gone without a trace."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app import runtime
from app.core.helpers import HELPERS_MAX, Helper, Helpers
from app.core.intake import TURN_BYTES, Intake, take_in
from app.domain.digests import checksum_of
from app.domain.errors import BadDigest, EntityTooLarge, IncompleteBody, SlowDown
from app.domain.payload import BytesPayload, Expected
from app.domain.types import Checksum
from app.storage.base import BlobWriter
from app.storage.local import LocalStorage
from app.storage.memory import MemoryStorage
from tests.contract.storage_contract import FAR_FUTURE_MS, read_all
from tests.faulty import Countdown, faulty
from tests.unit.core.world import World
from tests.unit.test_runtime import in_gevent

MIB = 1 << 20
DATA = random.Random(8).randbytes(TURN_BYTES + 3 * MIB + 7)


class Arriving:
    """A payload of which pieces of these sizes arrive, one at each wait; the connection may end early."""

    def __init__(self, data: bytes, pieces: list[int], expected: Expected, *, declares: bool = True) -> None:
        self.size_bytes = len(data) if declares else None
        self.expected = expected
        self.is_held_back = self.is_whole = False
        self.waits = 0
        self._data = memoryview(data)
        self._pieces = pieces
        self._at = self._arrived = 0

    def receive(self, max_bytes: int) -> bytes:
        if self._at == self._arrived:
            self.wait()
        count = min(max_bytes, self._arrived - self._at)
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def decode(self, received: bytes) -> bytes:
        return received

    def wait(self) -> bool:
        self.waits += 1
        if self._pieces and self._at == self._arrived:
            self._arrived = min(len(self._data), self._arrived + self._pieces.pop(0))
        return self._at < self._arrived

    def read_into(self, room: memoryview) -> int | None:
        piece = self._data[self._at : self._arrived][: len(room)]
        room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece) or None

    @property
    def is_ended(self) -> bool:
        return self._at == len(self._data)

    def finish(self) -> Mapping[str, str]:
        if not self.is_ended:
            raise IncompleteBody
        return {}


@pytest.fixture(params=["memory", "local"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "memory":
        return World()
    return World(storage=LocalStorage(str(tmp_path / "objects"), reserve_bytes=0))


def take(world: World, payload: Arriving | BytesPayload, **limits: int) -> Intake:
    limits = {"max_bytes": 1 << 40, "inline_max_bytes": 1_000} | limits
    return take_in(world.store, world.store.storage, payload, algorithm=None, **limits)


def arriving(data: bytes, pieces: list[int], *, declares: bool = True, **said: str) -> Arriving:
    expected = Expected(
        payload_sha256=said.get("sha256"), checksum_algorithm="CRC32C", checksum_value=said.get("crc32c")
    )
    return Arriving(data, pieces, expected, declares=declares)


PIECES: dict[str, Callable[[int], list[int]]] = {
    "at once": lambda size: [size],
    "by bytes, then the rest": lambda size: [1] * 50 + [size],
    "oddly": lambda size: [99_991] * (size // 99_991 + 1),
}


@pytest.mark.parametrize("declares", [True, False])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("size", [1_001, MIB, len(DATA)])
def test_what_arrives_is_stored_whole(world: World, size: int, pieces: str, declares: bool) -> None:
    data = DATA[:size]
    value = checksum_of("CRC32C", data)
    payload = arriving(
        data, PIECES[pieces](size), declares=declares, crc32c=value, sha256=hashlib.sha256(data).hexdigest()
    )
    taken = take(world, payload)
    assert (taken.size_bytes, taken.md5_hex) == (size, hashlib.md5(data).hexdigest())
    assert taken.declared == taken.checksum == Checksum("CRC32C", value)
    assert taken.content.blob is not None
    assert read_all(world.storage.read(taken.content.blob)) == data


def blobs(world: World) -> list[str]:
    return [each.ref for each in world.storage.scan(FAR_FUTURE_MS)]


@pytest.mark.parametrize("size", [5_000, len(DATA)])
def test_a_body_that_fails_leaves_nothing(world: World, size: int) -> None:
    data = DATA[:size]
    value = checksum_of("CRC32C", data)
    with pytest.raises(IncompleteBody):
        take(world, arriving(data, [1_000, size - 1_001], crc32c=value))
    with pytest.raises(BadDigest):
        take(world, arriving(data, [size], crc32c=checksum_of("CRC32C", b"other")))
    for declares in (True, False):
        with pytest.raises(EntityTooLarge):
            take(world, arriving(data, [size], declares=declares, crc32c=value), max_bytes=size - 1)
    assert blobs(world) == []


def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    world = World(storage=MemoryStorage(size_max_bytes=MIB))
    payload = arriving(DATA, [len(DATA)])
    payload.is_held_back = True
    with pytest.raises(SlowDown):
        take(world, payload)
    assert payload.waits == 0


@pytest.mark.parametrize("fail_at", range(1, 4))
def test_a_writer_that_fails_leaves_nothing(world: World, fail_at: int, tmp_path: Path) -> None:
    """It is begun, filled and committed in a thread; whichever of these fails, the client is told so."""
    countdown = Countdown(fail_at, error=SlowDown)
    create = world.storage.create

    def create_faulty(size_hint: int | None) -> BlobWriter:
        return faulty(countdown.run(create, size_hint), countdown, ("wrote", "commit"))

    storage = faulty(world.storage, countdown, ())
    storage.create = create_faulty  # type: ignore[method-assign,assignment]
    store = World(storage=storage).store
    with pytest.raises(SlowDown):
        take_in(store, store.storage, BytesPayload(DATA[:5_000]), max_bytes=MIB, inline_max_bytes=0, algorithm=None)
    assert countdown.has_failed
    assert blobs(world) == []
    assert [each for each in tmp_path.glob("objects/tmp/*/*") if each.name != "lock"] == []


def test_whoever_gave_up_before_a_thread_was_free_is_not_read_for() -> None:
    """Its socket is closed by then, and the descriptor another client's."""
    printed = in_gevent("""
from app.core.intake import take_in
from tests.unit.core.test_intake import MIB, World, arriving, blobs
world = World()
payload = arriving(bytes(MIB), [MIB])
gate = _thread.allocate_lock()
gate.acquire()
def pass_gate():
    with gate:
        pass
others = [gevent.spawn(runtime.offload, pass_gate) for _ in range(runtime.DISK_THREADS)]
late = gevent.spawn(take_in, world.store, world.store.storage, payload, max_bytes=MIB, inline_max_bytes=0, algorithm=None)
gevent.sleep(0.05)
waits = payload.waits
gevent.spawn(late.kill)
gevent.sleep(0.05)
gate.release()
gevent.joinall([*others, late])
runtime.offload(pass_gate)
print(waits, payload.receive(MIB) == bytes(MIB), blobs(world))
""")
    assert printed == "1 True []"


def test_a_helper_does_its_jobs_in_order() -> None:
    helper = Helper()
    done: list[object] = []
    for number in range(100):
        helper.begin(done.append, bytes([number]))
    helper.join()
    assert done == [bytes([number]) for number in range(100)]
    helper.join()


def test_what_a_helper_raises_is_raised_at_the_join() -> None:
    helper = Helper()
    done: list[object] = []
    for job in (done.append, lambda _: 1 / 0, done.append):
        helper.begin(job, b"x")
    with pytest.raises(ZeroDivisionError):
        helper.join()
    assert done == [b"x", b"x"]
    helper.begin(done.append, b"y")
    helper.join()
    assert done[-1] == b"y"


def test_where_no_thread_can_be_had_a_body_is_hashed_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: Callable[[], object]) -> None:
        raise RuntimeError("can't start new thread")

    world = World()
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "start_thread", refuse)
        taken = take(world, arriving(DATA, [len(DATA)], crc32c=checksum_of("CRC32C", DATA)))
    assert taken.md5_hex == hashlib.md5(DATA).hexdigest()
    assert world.store.helpers.borrow() is not None


def test_there_are_only_so_many_helpers() -> None:
    helpers = Helpers()
    borrowed = [helpers.borrow() for _ in range(HELPERS_MAX)]
    assert None not in borrowed
    assert helpers.borrow() is None
    helpers.give_back(borrowed[0])  # type: ignore[arg-type]
    assert helpers.borrow() is borrowed[0]
