"""The memory engine: for tests, demonstrations, and caches that may be lost. Gone when its process is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from app.metadata.kv.keyspace import BATCH_MAX, Batch, Conflict, Entry, Keyspace
from app.metadata.kv.memory_keys import SortedKeys
from app.metadata.kv.store import KeyValueStore

if TYPE_CHECKING:
    from app.config import Config

INLINE_MAX_BYTES = 131_072


class MemoryKeyspace(Keyspace):
    """Dictionaries with their keys in order. One lock: nothing in here waits for anything."""

    name = "memory"
    shared = False
    value_max_bytes = 1 << 20

    def __init__(self) -> None:
        self._scopes: dict[bytes, dict[bytes, Entry]] = {}
        self._keys: dict[bytes, SortedKeys] = {}
        self._commits = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def get(self, scope: bytes, key: bytes) -> Entry | None:
        with self._lock:
            return self._scopes.get(scope, {}).get(key)

    def scan(self, scope: bytes, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, Entry]]:
        found: list[tuple[bytes, Entry]] = []
        with self._lock:
            keys, entries = self._keys.get(scope), self._scopes.get(scope, {})
            for key in keys.from_(start) if keys and limit > 0 else ():
                if key >= end:
                    break
                found.append((key, entries[key]))
                if len(found) == limit:
                    break
        return found

    def commit(self, scope: bytes, batch: Batch) -> None:
        assert len(batch.checks.keys() | batch.writes.keys()) <= BATCH_MAX
        with self._lock:
            entries = self._scopes.get(scope, {})
            for key, token in batch.checks.items():
                entry = entries.get(key)
                if (entry.token if entry else None) != token:
                    raise Conflict
            self._commits += 1
            self._apply(scope, batch)

    def _apply(self, scope: bytes, batch: Batch) -> None:
        entries, keys = self._scopes.setdefault(scope, {}), self._keys.setdefault(scope, SortedKeys())
        for key, value in batch.writes.items():
            is_there = key in entries
            if value is not None:
                entries[key] = Entry(value, self._commits)
                if not is_there:
                    keys.add(key)
            elif is_there:
                del entries[key]
                keys.remove(key)
        if not entries:
            del self._scopes[scope], self._keys[scope]


class MemoryStore(KeyValueStore):
    def __init__(self) -> None:
        super().__init__(MemoryKeyspace(), inline_max_bytes=INLINE_MAX_BYTES)

    @classmethod
    def from_config(cls, config: Config) -> Self:  # noqa: ARG003  # every engine is made so; this one has no settings
        return cls()
