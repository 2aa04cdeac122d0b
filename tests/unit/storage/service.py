"""A storage service in this process's memory, for the parts that adapters share: it fails as it is told."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from app.storage.remote import RemoteStorage
from app.storage.remote_calls import Kind, Trouble
from app.storage.remote_memory import PART_BYTES, PartMemory
from app.storage.remote_upstream import Download, Entry, Page, Upload, Upstream


class VendorError(Exception):
    def __init__(self, kind: Kind) -> None:
        super().__init__("https://service.example/?signature=secret")
        self.kind = kind


class Service(Upstream):
    """`faults[op]` are raised by the next calls of that operation, in order; None lets one pass."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: list[MemoryUpload] = []
        self.faults: dict[str, list[Kind | None]] = defaultdict(list)
        self.called: list[str] = []
        self.streams: list[Stream] = []
        self.breaks_after: list[int] = []  # bytes after which the next downloads break
        self.before_part: Callable[[int], object] = lambda number: None

    def step(self, op: str) -> None:
        self.called.append(op)
        fault = self.faults[op].pop(0) if self.faults[op] else None
        if fault is not None:
            raise VendorError(fault)

    def classify(self, error: Exception) -> Trouble | None:
        return Trouble(error.kind, "VendorCode") if isinstance(error, VendorError) else None

    def put(self, name: str, content: memoryview) -> None:
        self.step("put")
        self.objects[name] = bytes(content)

    def begin(self, name: str) -> Upload:
        self.step("begin")
        self.uploads.append(MemoryUpload(self, name))
        return self.uploads[-1]

    def get(self, name: str, start: int, end: int | None) -> Download:
        self.step("get")
        if name not in self.objects:
            raise VendorError(Kind.MISSING)
        content = self.objects[name]
        breaks_after = self.breaks_after.pop(0) if self.breaks_after else None
        self.streams.append(Stream(len(content), content[start:end], breaks_after))
        return self.streams[-1]

    def size(self, name: str) -> int:
        self.step("size")
        return len(self.objects[name])

    def delete(self, name: str) -> None:
        self.step("delete")
        self.objects.pop(name, None)

    def page(self, prefix: str, cursor: str | None) -> Page:
        self.step("list")
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > (cursor or ""))
        entries = [Entry(name, len(self.objects[name]), time.time_ns() // 1_000_000) for name in names[:2]]
        return Page(entries, names[1] if len(names) > 2 else None)

    def close(self) -> None:
        """Nothing is held."""


class MemoryUpload(Upload):
    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name
        self.parts: dict[int, bytes] = {}
        self.is_aborted = False

    def put_part(self, number: int, content: memoryview, is_last: bool) -> None:
        self._service.before_part(number)
        self._service.step("put_part")
        assert len(content) == PART_BYTES or is_last
        self.parts[number] = bytes(content)

    def complete(self, size_bytes: int) -> None:
        self._service.step("complete")
        whole = b"".join(self.parts[number] for number in sorted(self.parts))
        assert len(whole) == size_bytes
        self._service.objects[self._name] = whole

    def abort(self) -> None:
        self._service.step("abort")
        self.is_aborted = True


class Stream(Download):
    """Gives at most 100,000 bytes at a time, and nothing more after `breaks_after`."""

    def __init__(self, size_bytes: int, content: bytes, breaks_after: int | None) -> None:
        self.size_bytes = size_bytes
        self._left = content if breaks_after is None else content[:breaks_after]
        self.is_closed = False

    def read(self, count: int) -> bytes:
        piece, self._left = self._left[: min(count, 100_000)], self._left[min(count, 100_000) :]
        return piece

    def close(self) -> None:
        self.is_closed = True


class TestedStorage(RemoteStorage):
    """Over such a service; it never sleeps."""

    name = "tested"
    __test__ = False

    def __init__(self, service: Service, memory: PartMemory | None = None) -> None:
        super().__init__(lambda: service, prefix="p/", memory=memory, sleep=lambda seconds: None)
        self.open()
