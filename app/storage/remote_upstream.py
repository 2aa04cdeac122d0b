"""What an adapter writes for its vendor: single attempts, in the vendor's words.

Each method makes one attempt and raises the vendor's own exceptions; `classify` says what they mean, and `Calls` repeats
what may pass. So a method has to bear being repeated after an attempt whose outcome nobody knows. All are called from
many native threads at once; the vendor's client is one, shared, with its own retries off, the time-outs of remote_calls
and a pool of at least CONNECTIONS_MAX connections.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from app.runtime import REMOTE_THREADS
from app.storage.remote_calls import Trouble
from app.storage.remote_memory import PARTS_MAX

CONNECTIONS_MAX = REMOTE_THREADS + PARTS_MAX  # parts are sent by threads of their own


class Entry(NamedTuple):
    """One object of a listing. `modified_ms` is by the service's clock."""

    name: str
    size_bytes: int
    modified_ms: int


class Page(NamedTuple):
    """Some of a listing; `cursor` gets the next page, None where there is none."""

    entries: list[Entry]
    cursor: str | None


class Download(ABC):
    """An object whose answer has begun. Opened in one thread, it may be read on in another."""

    size_bytes: int  # of the whole object, not of the range

    @abstractmethod
    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; empty at the end, whether or not that is where it should be.

        Raises: the vendor's exceptions, for a connection that breaks.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection up, or back where everything was read. Does nothing a second time; raises nothing."""


class Upload(ABC):
    """An object in parts; each may be sent again after a failure, with the same bytes."""

    @abstractmethod
    def put_part(self, number: int, content: memoryview, is_last: bool) -> None:
        """Part `number`, from 1, of PART_BYTES; the last may be shorter. Gives the service a checksum to verify.

        The memory is used for something else after this returns.
        """

    @abstractmethod
    def complete(self, size_bytes: int) -> None:
        """Make it one object of so many bytes, durable. After an unknown outcome: see whether it is there."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the parts. Fine where there is nothing to drop."""


class Upstream(ABC):
    """A vendor's service, as one bucket or container of it. Names are whole, with the prefix.

    `flights_max`: parts of one upload that may be on their way at once; where it is 1 they come strictly in order.
    """

    parts_max = 10_000
    flights_max = 1

    @abstractmethod
    def classify(self, error: Exception) -> Trouble | None:
        """What an exception of the vendor's, or of the transport below, means; None for every other."""

    @abstractmethod
    def put(self, name: str, content: memoryview) -> None:
        """A whole object in one request, with a checksum that the service verifies. Repeating it does no harm."""

    @abstractmethod
    def begin(self, name: str) -> Upload:
        """An upload in parts. One that was begun and lost must be found by `clean_up`, or expire."""

    @abstractmethod
    def get(self, name: str, start: int, end: int | None) -> Download:
        """The bytes [start, end) of an object, to its end without `end`; the answer has begun.

        `end` is beyond `start`. A range that is partly there is answered with what there is, or refused as SHORT.
        """

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes of an object."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Fine where there is no such object."""

    @abstractmethod
    def page(self, prefix: str, cursor: str | None) -> Page:
        """Objects whose names begin with `prefix`, from a page's cursor on; a page holds at most some thousands."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back. Nothing depends on it."""
