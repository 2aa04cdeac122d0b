"""Whether what was written to one key and read from it could have happened one after the other.

Every write has a value of its own. The operations on one value, its write and all that read it, make a cluster. From the
first end in a cluster to the last start in it the key must have had that value, if the end comes first: a forward zone.
Otherwise there is a moment between the last start and the first end that all of them share: a backward zone. A history
is linearizable exactly when no value is read before it is written, no two forward zones overlap, and no backward zone lies
within a forward zone. Source: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of `value`, or a read that gave it. Times of any clock that both ends share."""

    is_write: bool
    value: str
    start: float
    end: float


def violations(history: Iterable[Operation]) -> list[str]:
    """What could not have happened, empty for a linearizable history."""
    clusters: dict[str, list[Operation]] = {}
    for operation in history:
        clusters.setdefault(operation.value, []).append(operation)
    found = []
    forward: list[tuple[float, float, str]] = []
    backward: list[tuple[float, float, str]] = []
    for value, cluster in clusters.items():
        writes = [operation for operation in cluster if operation.is_write]
        if len(writes) != 1:
            found.append(f"{value} was written {len(writes)} times")
            continue
        if any(operation.end < writes[0].start for operation in cluster):
            found.append(f"{value} was read before it was written")
        first_end, last_start = min(each.end for each in cluster), max(each.start for each in cluster)
        if first_end < last_start:
            forward.append((first_end, last_start, value))
        else:
            backward.append((last_start, first_end, value))
    forward.sort()
    for (_, until, value), (since, _, later) in pairwise(forward):
        if since < until:
            found.append(f"{value} was there before and after {later}")
    for since, until, value in forward:
        found += [
            f"{inner} was written while {value} stood" for low, high, inner in backward if since < low and high < until
        ]
    return found
