"""A storm of kills (R-02): writers that never stop, and a server that is killed under them again and again.

After every start the writers stand still and every key they have touched is read. What is found must be what an
acknowledged write left, or what a write that was cut off may have left; and it is what the next round begins with. So
a loss is seen where it happens, and not only where nothing has covered it since.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.reliability.caller import Caller, CutOff, NotSent
from tests.reliability.history import History
from tests.reliability.writers import BUCKET, VERSIONED_BUCKET, Tally, Unexpected, Writer, read
from tests.servers import RunningServer

WRITERS = 8
RETRY_S = 0.01
WORKER_KILLS = 0.4  # of the cycles
STARTS_CUT_OFF = 0.25
START_LIVES_MAX_S = 0.6
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
COMPLAINTS_MAX = 100  # there is enough to look at


@dataclass(frozen=True)
class Plan:
    """`uptime_s`: how long the server lives, at least and at most, before it is killed. It ends when both minima are reached."""

    uptime_s: tuple[float, float]
    cycles_min: int
    writes_min: int
    cycles_max: int = 1_000
    seed: int = 1


@dataclass
class Report:
    """`tally.complaints` is empty where everything is right. One that begins with "lost", "torn" or "phantom" is of a start."""

    tally: Tally = field(default_factory=Tally)
    kills: int = 0
    worker_kills: int = 0
    starts_cut_off: int = 0
    checked: int = 0
    start_max_s: float = 0.0

    def __str__(self) -> str:
        tally = self.tally
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.acknowledged.items()))
        refused = ", ".join(f"{code} {count}" for code, count in sorted(tally.refused.items()))
        return (
            f"{tally.writes} acknowledged writes ({kinds}), {tally.cut_off} requests cut off, refused: "
            f"{refused or 'none'}; {self.kills} kills of all, {self.worker_kills} of a worker, {self.starts_cut_off} "
            f"during a start; {tally.reads} reads meanwhile and {self.checked} after starts; slowest start "
            f"{self.start_max_s:.2f} s; {len(tally.complaints)} complaints"
        )


class Storm:
    """Over a running server, whose data it fills; it runs again when this ends."""

    def __init__(self, server: RunningServer, plan: Plan) -> None:
        self.history = History()
        self.report = Report()
        self._server = server
        self._plan = plan
        self._dice = random.Random(plan.seed)
        self._gate = Gate()
        self._threads: list[threading.Thread] = []
        self._is_over = False

    def run(self) -> Report:
        with Caller(self._server) as caller:
            for bucket in (BUCKET, VERSIONED_BUCKET):
                assert caller.call("PUT", f"/{bucket}").status == 200
            assert caller.call("PUT", f"/{VERSIONED_BUCKET}?versioning", VERSIONING).status == 200
        self._threads = [threading.Thread(target=self._write_on, args=(number,)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        try:
            while not self._has_enough():
                self._cycle()
        finally:
            self._is_over = True
            self._gate.open()
            for thread in self._threads:
                thread.join()
        self.check(self.history.keys())
        return self.report

    def check(self, keys: Sequence[str]) -> None:
        """Read these keys while nobody writes, and settle on what is found."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._check_some, [keys[start::WRITERS] for start in range(WRITERS)]))
        self.report.checked += len(keys)

    def _check_some(self, keys: Sequence[str]) -> None:
        with Caller(self._server) as caller:
            for key in keys:
                began_s = time.monotonic()
                try:
                    seen = read(caller, key)
                except (NotSent, CutOff, TimeoutError, Unexpected) as error:
                    self.report.tally.complain(f"unexpected: {key} cannot be read: {error!r}")
                    continue
                now_s = time.monotonic()
                self.report.tally.complain(self.history.complaint(key, seen, began_s, now_s))
                self.history.settle(key, seen, now_s)

    def _write_on(self, number: int) -> None:
        with Caller(self._server) as caller:
            writer = Writer(caller, self.history, self.report.tally, self._plan.seed * 1_000 + number)
            while not self._is_over:
                try:
                    with self._gate.passage():
                        writer.step()
                except NotSent:
                    time.sleep(RETRY_S)  # it is being killed or started: other processes decide how long
                except Exception as error:
                    self.report.tally.complain(f"unexpected: a writer gave up: {error!r}")
                    raise

    # -- the one who kills ---------------------------------------------------------------------------------------

    def _has_enough(self) -> bool:
        report, plan = self.report, self._plan
        if report.kills >= plan.cycles_max or len(report.tally.complaints) >= COMPLAINTS_MAX:
            return True
        if not all(thread.is_alive() for thread in self._threads):
            return True
        return report.kills >= plan.cycles_min and report.tally.writes >= plan.writes_min

    def _cycle(self) -> None:
        uptime_s = self._dice.uniform(*self._plan.uptime_s)
        if self._dice.random() < WORKER_KILLS:
            time.sleep(uptime_s / 2)
            self._kill_a_worker()
            uptime_s /= 2
        time.sleep(uptime_s)
        self._server.kill9()
        self._gate.close()
        if self._dice.random() < STARTS_CUT_OFF:
            self._server.start(wait=False)
            time.sleep(self._dice.uniform(0, START_LIVES_MAX_S))
            self._server.kill9()
            self.report.starts_cut_off += 1
        self._server.start()
        self.report.kills += 1
        self.report.start_max_s = max(self.report.start_max_s, self._server.started_s)
        self.check(self.history.touched())
        self._gate.open()

    def _kill_a_worker(self) -> None:
        """The others go on, and the master starts another."""
        workers = self._server.worker_pids()
        if workers:
            os.kill(self._dice.choice(workers), signal.SIGKILL)
            self.report.worker_kills += 1


class Gate:
    """While it is open many may be inside at a time; closing it waits until nobody is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = True
        self._inside = 0

    @contextmanager
    def passage(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._is_open)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_open = False
            self._changed.wait_for(lambda: self._inside == 0)

    def open(self) -> None:
        with self._changed:
            self._is_open = True
            self._changed.notify_all()
