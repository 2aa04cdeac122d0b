"""Counters of all worker processes as one `/metrics`.

Every worker counts into memory-mapped files of its own, named by a *slot* and not by its process id: a worker that
replaces a dead one takes the free slot over and counts on from there, so a killed worker loses no count, and restarts
leave no heap of files. A slot is held by a file lock, which the kernel gives back whatever ended the worker.

    <parent>/bleepstore-metrics-XXXX/alive          locked by the master and, inherited, by its workers
                                     slot-0.lock    locked by the worker that counts into …
                                     counter_0.db   … these (prometheus_client's format)
                                     histogram_0.db

A directory whose `alive` nobody locks is left over from a killed server; the next start removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.observe.adders import Add, adder, observers
from app.observe.backend_metrics import BackendMetrics, BackendSeries
from app.version import __version__

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from app.config import Config

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it, and workers inherit it
DIRECTORY_PREFIX = "bleepstore-metrics-"
SLOTS_MAX = 1_024
MAKE_TRIES_MAX = 3

# Prometheus' own, and three below for what is answered from memory.
DURATION_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip


class Recorder(Protocol):
    def record_request(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None: ...


class NoMetrics:
    """observability.metrics is false: nothing is imported, nothing is counted."""

    def record_request(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        return


class Metrics:
    """Counts requests. The series are made with the first one, after the fork."""

    def __init__(self) -> None:
        import prometheus_client  # noqa: F401  # in the master, so that workers share its memory

        self._series: _Series | None = None
        self._making = threading.Lock()
        self._collectors: list[Collector] = []

    def record_request(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """`operation` is S3's name of it, of a bounded set; `seconds` from the request's head to the last byte sent."""
        series = self._series or self.made()
        series.record(operation, status, seconds, bytes_in, bytes_out)

    def made(self) -> _Series:
        """This process's series, made by whichever thread comes first."""
        with self._making:
            if self._series is None:
                self._series = _Series()
            return self._series

    def backend(self, name: str) -> BackendMetrics:
        """Who counts a storage back end's requests; may be asked for before the fork."""
        return BackendMetrics(lambda: self.made().backends, name)

    def register(self, collector: Collector) -> None:
        """Have a collector of prometheus_client's asked at each scrape, in the worker that answers it and in a thread.

        Before the fork or behind it. It adds what is read and not counted, so it must say the same in every worker.
        """
        self._collectors.append(collector)

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """What every worker counted, and its content type: Prometheus' text, or OpenMetrics where `accept` asks for it."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.multiprocess import MultiProcessCollector

        counted = (self._series or self.made()).registry
        if DIRECTORY_VARIABLE in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        for collector in (counted, *self._collectors):
            registry.register(collector)
        encode, content_type = choose_encoder(accept or "")
        return encode(registry), content_type


def for_config(config: Config) -> Metrics | NoMetrics:
    return Metrics() if config.observability.metrics else NoMetrics()


class LiveWorker(NamedTuple):
    """`slot` is the value of the label `worker`: the least number that was free when the worker began."""

    slot: int
    pid: int


def live_workers() -> list[LiveWorker]:
    """The workers that live now and have counted something, by slot. For collectors, in any worker."""
    directory = os.environ.get(DIRECTORY_VARIABLE, "")
    workers = []
    for slot in range(SLOTS_MAX) if directory else ():
        try:
            with open(_slot_path(directory, slot), "rb") as file:
                owner = file.read(20)
        except FileNotFoundError:
            break
        if owner.isdigit() and os.path.exists(f"/proc/{int(owner)}"):
            workers.append(LiveWorker(slot, int(owner)))
    return workers


# -- In the master -----------------------------------------------------------------------------------------------


def setup(config: Config) -> None:
    """Make the workers' directory, once per master and before the first fork. Removes what dead ones left."""
    if not config.observability.metrics:
        os.environ.pop(DIRECTORY_VARIABLE, None)
        return
    if _is_made_by_us(os.environ.get(DIRECTORY_VARIABLE, "")):
        return  # a reload
    parent = _parent_directory()
    _remove_left_over(parent)
    os.environ[DIRECTORY_VARIABLE] = _make_directory(parent)


def child_exit(pid: int) -> None:
    """Forget what only a live worker may report. Its counts stay."""
    directory = os.environ.get(DIRECTORY_VARIABLE, "")
    for slot in range(SLOTS_MAX) if _is_made_by_us(directory) else ():
        try:
            with open(_slot_path(directory, slot), "rb") as file:
                owner = file.read(20)
        except FileNotFoundError:
            return
        if owner == b"%d" % pid:
            os.truncate(_slot_path(directory, slot), 0)
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(slot, directory)  # type: ignore[no-untyped-call]


def _make_directory(parent: str) -> str:
    for _ in range(MAKE_TRIES_MAX):
        directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=parent)
        # Held until the process ends, and inherited by workers on purpose: it says that one of them lives.
        alive = os.open(_alive_path(directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(alive):
            os.write(alive, b"%d" % os.getpid())
            return directory
        os.close(alive)  # somebody's sweep was faster
    raise OSError(f"cannot keep a directory for metrics in {parent}")


def _is_made_by_us(directory: str) -> bool:
    if not directory:
        return False
    try:
        with open(_alive_path(directory), "rb") as file:
            return file.read(20) == b"%d" % os.getpid()
    except OSError:
        return False


def _parent_directory() -> str:
    """In memory where that is possible: the kernel would write a disk's copy every few seconds."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108  # by mkdtemp


def _remove_left_over(parent: str) -> None:
    for directory in _own_directories(parent):
        with contextlib.suppress(OSError):
            alive = os.open(_alive_path(directory), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            if _lock(alive):
                shutil.rmtree(directory, ignore_errors=True)
            os.close(alive)


def _own_directories(parent: str) -> Iterator[str]:
    with os.scandir(parent) as entries:
        for entry in entries:
            is_named_so = entry.name.startswith(DIRECTORY_PREFIX) and entry.is_dir(follow_symlinks=False)
            if is_named_so and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                yield entry.path


# -- In a worker -------------------------------------------------------------------------------------------------


class _Series:
    """The series of this process, and their children by label: looking those up costs more than counting."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

        if DIRECTORY_VARIABLE in os.environ:
            values.ValueClass = values.MultiProcessValue(process_identifier=_Slot(os.environ[DIRECTORY_VARIABLE]))  # type: ignore[no-untyped-call]
        self.registry: CollectorRegistry = CollectorRegistry()
        self._operations = Counter(
            "bleepstore_s3_operations", "S3 requests that ended", ["operation", "status"], registry=self.registry
        )
        self._durations = Histogram(
            "bleepstore_s3_request_duration_seconds",
            "From a request's head to the last byte of its answer",
            ["operation"],
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self.backends = BackendSeries(self.registry)
        self._received = Counter("bleepstore_bytes_received", "Bytes of request bodies", registry=self.registry)
        self._sent = Counter("bleepstore_bytes_sent", "Bytes of response bodies", registry=self.registry)
        info = Gauge("bleepstore_build_info", "Always 1", ["version"], multiprocess_mode="max", registry=self.registry)
        info.labels(__version__).set(1)
        self._add_received, self._add_sent = adder(self._received), adder(self._sent)
        self._counts: dict[tuple[str, int], Add] = {}
        self._times: dict[str, tuple[Add, list[Add]]] = {}

    def record(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        count = self._counts.get((operation, status))
        if count is None:
            count = self._counts[operation, status] = adder(self._operations.labels(operation, str(status)))
        count(1)
        times = self._times.get(operation)
        if times is None:
            times = self._times[operation] = observers(self._durations.labels(operation))
        add_seconds, buckets = times
        add_seconds(seconds)
        buckets[bisect_left(DURATION_BUCKETS_S, seconds)](1)
        if bytes_in:
            self._add_received(bytes_in)
        if bytes_out:
            self._add_sent(bytes_out)


class _Slot:
    """Gives this process's slot number, taking a free one when it is first asked and again after a fork."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._pid = 0
        self._number = 0

    def __call__(self) -> int:
        pid = os.getpid()
        if pid != self._pid:
            self._number = self._take(pid)
            self._pid = pid
        return self._number

    def _take(self, pid: int) -> int:
        for number in range(SLOTS_MAX):
            # Held until the process ends.
            held = os.open(_slot_path(self._directory, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if _lock(held):
                os.ftruncate(held, 0)
                os.pwrite(held, b"%d" % pid, 0)
                return number
            os.close(held)
        raise OSError(f"no free slot for metrics among {SLOTS_MAX}")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive_path(directory: str) -> str:
    return os.path.join(directory, "alive")


def _slot_path(directory: str, number: int) -> str:
    return os.path.join(directory, f"slot-{number}.lock")
