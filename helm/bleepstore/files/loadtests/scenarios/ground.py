"""What the users of one process share: settings, signatures, keys and their known content."""

from __future__ import annotations

import hashlib
import itertools
import random
import secrets
import time
import zlib

from loadtests.presigner import Presigner
from loadtests.scenarios.options import Settings

# locust-load-test/<seed>-<keys>-<bytes>/<folder>/<number>   seeded before users start, never changed; all may read them
# locust-load-test/<run>/<user>/…                            written, changed and deleted by one user
PREFIX = "locust-load-test/"
FOLDER_KEYS = 100
OFFSETS = 64 << 10
SHORT_BYTES = 1 << 10  # there is content for objects of that length, whatever the sizes of a run


class Ground:
    """Of one run. Made anew in each process, the same everywhere but for `run`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.presigner = Presigner(settings.endpoint, settings.access_key, settings.secret_key, settings.region)
        self.seeded = f"{PREFIX}{settings.seed}-{settings.keys}-{settings.object_bytes}/"
        self.run = f"{PREFIX}{secrets.token_hex(4)}/"
        self.users = itertools.count()
        self.epochs = Epochs(settings.keys, settings.seed)
        longest = max(SHORT_BYTES, settings.object_bytes, settings.medium_bytes, settings.part_bytes)
        self._noise = hashlib.shake_128(str(settings.seed).encode()).digest(OFFSETS + longest)

    def seeded_key(self, number: int) -> str:
        """Numbers in order are keys in order."""
        return f"{self.seeded}{number // FOLDER_KEYS:06d}/{number:08d}"

    def body(self, name: str, size: int) -> bytes:
        """What belongs to a key, or to a part of one: always the same, so that a read can be compared as a whole."""
        begin = zlib.crc32(name.encode()) % OFFSETS
        return self._noise[begin : begin + size]


class Epochs:
    """Every number once in random order, then all of them again in another order. Users share it like a loader's workers."""

    def __init__(self, count: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self._count = count
        self._left: list[int] = []
        self._began_s: float | None = None

    def next(self) -> tuple[int, float | None]:
        """A number; with the first of an epoch also how many seconds the epoch before it took."""
        taken_s = None
        if not self._left:
            now_s = time.perf_counter()
            taken_s = None if self._began_s is None else now_s - self._began_s
            self._began_s = now_s
            self._left = self._dice.sample(range(self._count), self._count)
        return self._left.pop(), taken_s
