"""Whether a storage service would take a write now, asked in the background so that nobody waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.domain.types import Health

FRESH_S = 5.0  # an answer is good for so long
SLOW_S = 2.0  # a probe under way for longer means that the service hangs
WAIT_MAX_S = 0.8


class Probe:
    """`attempt` writes something small, or raises; `explain` says in an operator's words what was raised."""

    def __init__(
        self,
        attempt: Callable[[], object],
        explain: Callable[[Exception], str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attempt = attempt
        self._explain = explain
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._health: Health | None = None  # of the last probe that ended
        self._ended_s = 0.0
        self._began_s: float | None = None  # of the one that is under way
        self._done = threading.Event()

    def health(self) -> Health:
        """Within a second. Where a probe is under way, what the last one said, until that takes too long."""
        with self._lock:
            now_s = self._monotonic()
            if self._began_s is None:
                if self._health is not None and now_s - self._ended_s < FRESH_S:
                    return self._health
                self._begin(now_s)
            done = self._done
        done.wait(WAIT_MAX_S)
        with self._lock:
            under_way_s = 0.0 if self._began_s is None else self._monotonic() - self._began_s
            if self._health is None or under_way_s > SLOW_S:
                return Health(ok=False, detail=f"no answer for {under_way_s:.0f} s")
            return self._health

    def _begin(self, now_s: float) -> None:
        self._began_s = now_s
        self._done = threading.Event()
        threading.Thread(target=self._run, name="probe", daemon=True).start()

    def _run(self) -> None:
        try:
            self._attempt()
            health = Health(ok=True)
        except Exception as error:
            health = Health(ok=False, detail=self._explain(error))
        with self._lock:
            self._health, self._ended_s, self._began_s = health, self._monotonic(), None
            self._done.set()
