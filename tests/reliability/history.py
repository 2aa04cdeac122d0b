"""What may stand under a key after writes that were acknowledged, refused, or cut off: bookkeeping, and nothing else.

A write that was acknowledged holds from its answer on. One that was cut off may have happened at any moment between its
beginning and the moment at which its connection broke, or not at all: a process's connections are closed only when the
last of its threads has ended. So a state may still be there unless an acknowledged write began after it had ended.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True)
class State:
    """What a reader of a key gets. `blobs` are the MD5 digests of the files that hold it; none where it is inline."""

    etag: str = ""
    sha256: str = ""
    size_bytes: int = 0
    blobs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes with ETag {self.etag}" if self.etag else "nothing"


ABSENT = State()


@dataclass(eq=False)
class Attempt:
    """A write. Times are of one steady clock; `ended_s` is infinite while the write may still happen."""

    state: State
    began_s: float
    ended_s: float = math.inf
    is_acknowledged: bool = False


@dataclass
class History:
    """Writes by key. A key that was never written holds nothing. Used by many threads."""

    _attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, key: str, state: State, now_s: float) -> Attempt:
        """To be called before the request is sent: a reader may see its effect before its answer."""
        attempt = Attempt(state, now_s)
        with self._lock:
            self._attempts.setdefault(key, [_beginning(ABSENT)]).append(attempt)
            self._touched.add(key)
        return attempt

    def acknowledge(self, attempt: Attempt, now_s: float) -> None:
        with self._lock:
            attempt.ended_s, attempt.is_acknowledged = now_s, True

    def cut_off(self, attempt: Attempt, now_s: float) -> None:
        """It may have happened up to now, and will not any more."""
        with self._lock:
            attempt.ended_s = now_s

    def refuse(self, key: str, attempt: Attempt) -> None:
        """It certainly did not happen."""
        with self._lock:
            self._attempts[key].remove(attempt)

    def latest(self, key: str) -> State:
        """What the last acknowledged write left: a good guess at what is there."""
        with self._lock:
            done = [attempt for attempt in self._attempts.get(key, []) if attempt.is_acknowledged]
            return max(done, key=lambda attempt: attempt.began_s).state if done else ABSENT

    def keys(self) -> list[str]:
        with self._lock:
            return sorted(self._attempts)

    def touched(self) -> list[str]:
        """Keys written to since they were last settled."""
        with self._lock:
            return sorted(self._touched)

    def complaint(self, key: str, seen: State, began_s: float, ended_s: float) -> str | None:
        """What is wrong with having read `seen` between two moments; None where that is possible."""
        with self._lock:
            attempts = list(self._attempts.get(key, [_beginning(ABSENT)]))
        alike = [each for each in attempts if _is_same(each.state, seen) and each.began_s <= ended_s]
        settled_s = max(each.began_s for each in attempts if each.is_acknowledged and each.ended_s < began_s)
        if any(each.ended_s >= settled_s for each in alike):
            return None
        expected = " or ".join(sorted({str(each.state) for each in attempts if each.ended_s >= settled_s}))
        if alike:
            return f"lost: {key} holds {seen}, which was superseded by {expected}"
        if seen == ABSENT:
            return f"lost: {key} holds nothing, not {expected}"
        is_known = any(each.state.etag == seen.etag for each in attempts)
        return f"{'torn' if is_known else 'phantom'}: {key} holds {seen}, not {expected}"

    def settle(self, key: str, seen: State, now_s: float) -> None:
        """Nothing is under way, and `seen` was read: from now on it is what an acknowledged write left."""
        with self._lock:
            alike = [each.state for each in self._attempts.get(key, []) if _is_same(each.state, seen)]
            self._attempts[key] = [Attempt((alike or [seen])[0], now_s, now_s, is_acknowledged=True)]
            self._touched.discard(key)

    def states(self) -> dict[str, State]:
        """What stands under each settled key that holds something."""
        with self._lock:
            last = {key: attempts[-1].state for key, attempts in self._attempts.items()}
        return {key: state for key, state in last.items() if state != ABSENT}


def _beginning(state: State) -> Attempt:
    return Attempt(state, -math.inf, -math.inf, is_acknowledged=True)


def _is_same(one: State, other: State) -> bool:
    return (one.etag, one.sha256, one.size_bytes) == (other.etag, other.sha256, other.size_bytes)
