"""What is measured: an operation, a size, a number of clients, and where the signature is."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtests.multipart import PART_BYTES

KIB, MIB = 1 << 10, 1 << 20
SIZES = {
    "1KiB": KIB, "4KiB": 4 * KIB, "64KiB": 64 * KIB, "1MiB": MIB, "8MiB": 8 * MIB, "64MiB": 64 * MIB, "256MiB": 256 * MIB,
}  # fmt: skip
CLIENTS = (1, 4, 16, 64, 256, 1_000)
CLIENTS_AT_1_MIB_MAX = 256
FRESH_MAX_BYTES = 64 * KIB
CLIENTS_ABOVE_MAX = 16

# By what a listing is called: how many keys the bucket holds. "prefixes" asks with a delimiter and gets 100 of them.
LISTINGS = {"flat": 1_000, "prefixes": 10_000, "1e5": 100_000, "1e6": 1_000_000}
PREFIXES = 100
PAGE_KEYS = 1_000

# Those of the table in README.md; 1e6 takes long to be filled, so it is measured where it is named.
DEFAULT = (
    "GET-1KiB-16", "GET-1KiB-256", "GET-1KiB-1", "GET-1KiB-16-header", "GET-1KiB-16-fresh", "HEAD-1KiB-16",
    "PUT-1KiB-16", "PUT-1KiB-256", "PUT-1KiB-1", "PUT-64KiB-16", "GET-64KiB-16", "PUT-1MiB-16", "GET-1MiB-16",
    "PUT-64MiB-4", "GET-64MiB-4", "DELETE-1KiB-16", "LIST-flat-16", "LIST-prefixes-16", "COPY-8MiB-4",
)  # fmt: skip
ONLY_BY_NAME = ("LIST-1e6-*",)


@dataclass(frozen=True)
class Case:
    """`label` is a size's name, or a listing's. `size_bytes` is an object's; 0 for listings."""

    operation: str
    label: str
    clients: int
    in_header: bool = False
    is_fresh: bool = False  # signed in the header, and no request comes twice

    @property
    def name(self) -> str:
        kinds = ["header"] if self.in_header else ["fresh"] if self.is_fresh else []
        return "-".join([self.operation, self.label, str(self.clients), *kinds])

    @property
    def size_bytes(self) -> int:
        return SIZES.get(self.label, 0)

    @property
    def moved_bytes(self) -> int:
        """Bytes of objects that one operation carries over the wire."""
        return self.size_bytes if self.operation in ("PUT", "GET", "UPLOAD") else 0

    @property
    def is_for_wrk(self) -> bool:
        """Others are left to our own client: wrk hangs on HEAD, and copies large bodies about."""
        return self.operation not in ("HEAD", "UPLOAD") and self.moved_bytes < 8 * MIB


def every() -> Iterator[Case]:
    """The whole matrix."""
    for label, size_bytes in SIZES.items():
        for clients in _clients(size_bytes):
            for operation in ("GET", "PUT"):
                yield Case(operation, label, clients)
                if size_bytes <= MIB:
                    yield Case(operation, label, clients, in_header=True)
            if size_bytes <= FRESH_MAX_BYTES:
                yield Case("GET", label, clients, is_fresh=True)
            if size_bytes >= 8 * MIB:
                yield Case("COPY", label, clients)
            if size_bytes > PART_BYTES:
                yield Case("UPLOAD", label, clients)
    for clients in CLIENTS:
        for operation in ("HEAD", "DELETE"):
            yield Case(operation, "1KiB", clients)
            yield Case(operation, "1KiB", clients, in_header=True)
        if clients <= CLIENTS_AT_1_MIB_MAX:
            for label in LISTINGS:
                yield Case("LIST", label, clients)


def chosen(patterns: Sequence[str] = (), *, everything: bool = False) -> list[Case]:
    """By names such as GET-1KiB-16 or PUT-*; none are the default ones. Raises: ValueError for a pattern that fits none."""
    cases = list(every())
    if everything:
        return [case for case in cases if not _fits(case, ONLY_BY_NAME)]
    if not patterns:
        order = {name: place for place, name in enumerate(DEFAULT)}
        return sorted((case for case in cases if case.name in order), key=lambda case: order[case.name])
    for pattern in patterns:
        if not any(_fits(case, [pattern]) for case in cases):
            raise ValueError(f"no case is called {pattern}; --list-cases says what there is")
    return [case for case in cases if _fits(case, patterns)]


def _fits(case: Case, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(case.name, pattern) for pattern in patterns)


def _clients(size_bytes: int) -> Iterator[int]:
    largest = CLIENTS[-1] if size_bytes < MIB else CLIENTS_AT_1_MIB_MAX if size_bytes == MIB else CLIENTS_ABOVE_MAX
    return (clients for clients in CLIENTS if clients <= largest)
