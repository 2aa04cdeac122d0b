"""What a key-value engine has to offer: four verbs over ordered keys in scopes.

A scope is the unit of atomicity, and the only one: no batch ever spans two. So a scope maps to whatever an engine can
change at once, alone on its machine: a DynamoDB or Cosmos DB partition, a Redis hash slot, a Firestore document's
children, a key range of RocksDB. app/metadata/kv/layout.py says which rows share a scope and how steps over several
scopes stay safe.

An engine whose answer to a commit can get lost writes a mark of its own (a random id, expiring) with each batch. When the
answer does not come it looks for the mark: there, the commit happened; fenced off (the mark's key is written by somebody
else: the engine itself, once it gives up waiting), it did not. Only when that cannot be learned it raises OutcomeUnknown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.types import Health

BATCH_MAX = 100  # checks and writes of one commit together: what DynamoDB's TransactWriteItems takes


class Conflict(Exception):
    """A check of the batch failed; nothing was written. Read again and try again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`token` changes whenever the key is written, and no two writes of a key give the same one."""

    value: bytes
    token: int | str


@dataclass(slots=True)
class Batch:
    """`checks` are the tokens that keys must still have; None: the key must be absent. `writes`: None deletes."""

    checks: dict[bytes, int | str | None] = field(default_factory=dict)
    writes: dict[bytes, bytes | None] = field(default_factory=dict)


class Keyspace(ABC):
    """Thread-safe. Every read sees every commit that was acknowledged before it began.

    `shared`: several processes may use the same data. `value_max_bytes`: the largest value.
    """

    name: str
    shared: bool
    value_max_bytes: int

    @abstractmethod
    def open(self) -> None:
        """Make ready for use. Called after fork, once per process."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `open` took."""

    @abstractmethod
    def get(self, scope: bytes, key: bytes) -> Entry | None: ...

    @abstractmethod
    def scan(self, scope: bytes, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, Entry]]:
        """At most `limit` entries with start <= key < end, ascending by bytes (I6)."""

    @abstractmethod
    def commit(self, scope: bytes, batch: Batch) -> None:
        """All writes, if all checks hold, else none of them; durable on return (I9). At most BATCH_MAX in all.

        Raises: Conflict; OutcomeUnknown (app/metadata/base.py).
        """

    def check(self) -> Health:
        """Whether a commit would be accepted now. Answers within a second."""
        return Health(ok=True)


class Transaction:
    """Reads of one scope and the writes that rest on them. Each read is checked at the commit; reads see own writes."""

    def __init__(self, keyspace: Keyspace, scope: bytes) -> None:
        self.scope = scope
        self._keyspace = keyspace
        self._batch = Batch()
        self._read: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self._batch.writes:
            return self._batch.writes[key]
        if key not in self._read:
            entry = self._keyspace.get(self.scope, key)
            self._read[key] = entry.value if entry else None
            self._batch.checks[key] = entry.token if entry else None
        return self._read[key]

    def put(self, key: bytes, value: bytes) -> None:
        self._batch.writes[key] = value

    def delete(self, key: bytes) -> None:
        self._batch.writes[key] = None

    def scan(self, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, Entry]]:
        """Not checked at the commit: what rests on a range needs a fence."""
        return self._keyspace.scan(self.scope, start, end, limit)

    @property
    def reads(self) -> Mapping[bytes, bytes | None]:
        return self._read

    def commit(self) -> None:
        """Raises: Conflict."""
        if self._batch.writes:
            self._keyspace.commit(self.scope, self._batch)
