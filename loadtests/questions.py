"""What is asked at each step of an axis: requests signed before the clock starts, spread over all that is there."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from loadtests.cases import PAGE_KEYS, PREFIXES
from loadtests.filling import (
    BUCKET,
    FOLDERS,
    READ_BYTES,
    READ_EVERY,
    READ_FROM_START,
    SPREAD,
    bucket_of,
    key_of,
    name_of,
    objects_in,
    user_of,
)
from loadtests.measure import Job
from loadtests.prepare import Signer

# So many different objects are read, again and again: few that a worker keeps in memory, and more than it can keep.
FEW, MANY = 1_000, SPREAD
PAGES = 100
WARM_READS = 8 * FEW  # a worker remembers a request when it comes for the second time
PUTS_PER_S_MAX, PUTS_PER_S_OF_CLIENT = 12_000, 2_500
BUCKETS_PAGE = 100


@dataclass(frozen=True)
class Question:
    """`prepare(dice, duration_s)` makes a round's work. `least_bytes`: on average no answer is shorter.

    So many requests, and each once at least, are sent before one is measured.
    """

    name: str
    prepare: Callable[[random.Random, float], Job]
    clients: int
    least_bytes: int = 0
    warm_up: int = PAGES


def over_keys(signer: Signer, keys: int, clients: int) -> list[Question]:
    """Everything that an application asks of a bucket."""
    asked = [
        Question("GET of 1,000", partial(_reads, signer, "GET", keys, FEW), clients, READ_BYTES, WARM_READS),
        Question("HEAD of 1,000", partial(_reads, signer, "HEAD", keys, FEW), clients, 0, WARM_READS),
        Question("PUT", partial(_puts, signer, keys, clients), clients),
        Question("LIST 1,000 keys", partial(_pages, signer, keys), clients, PAGE_KEYS),
        Question(f"LIST {PREFIXES} prefixes", partial(_prefixes, signer), clients),
    ]
    if keys // READ_EVERY >= MANY - READ_FROM_START:
        asked.insert(1, Question("GET of 10,000", partial(_reads, signer, "GET", keys, MANY), clients, READ_BYTES))
    return asked


def over_buckets(signer: Signer, buckets: int, clients: int) -> list[Question]:
    """Objects all over the buckets of one owner, equally many at each step, and the owner's list of buckets."""
    signers = [signer] * buckets
    some = [("max-buckets", str(BUCKETS_PAGE))]
    return [
        Question("GET", partial(_spread_reads, signers), clients, READ_BYTES),
        Question("PUT", partial(_spread_puts, signers, clients), clients),
        Question(f"ListBuckets, {BUCKETS_PAGE}", partial(_list_buckets, [signer], some), clients),
        Question("ListBuckets, all", partial(_list_buckets, [signer], []), min(clients, 2)),
    ]


def over_users(signer: Signer, users: int, clients: int) -> list[Question]:
    """Everybody reads and writes in his own bucket; equally many objects at each step."""
    signers = [Signer(signer.endpoint, *user_of(number)[1:], signer.region) for number in range(users)]
    return [
        Question("GET", partial(_spread_reads, signers), clients, READ_BYTES),
        Question("PUT", partial(_spread_puts, signers, clients), clients),
        Question("ListBuckets", partial(_list_buckets, signers, []), clients),
    ]


def over_clients(signer: Signer, keys: int, clients: int) -> list[Question]:
    return [
        Question("GET", partial(_reads, signer, "GET", keys, FEW), clients, READ_BYTES, WARM_READS),
        Question("PUT", partial(_puts, signer, keys, clients), clients),
    ]


def deletes(signer: Signer, puts: Job, counts: Sequence[int], clients: int) -> Question:
    """DELETE of what a round of PUT has written: client n sent so many of every n-th request."""
    sent = [request for n, count in enumerate(counts) for request in puts.requests[n :: len(counts)][:count]]
    paths = [request.split(b" ", 2)[1].partition(b"?")[0].decode() for request in sent]

    def prepare(_dice: random.Random, _duration_s: float) -> Job:
        return Job("DELETE", [signer.head("DELETE", path) for path in paths], b"", repeats=False)

    return Question("DELETE", prepare, clients)


# -- one bucket of many keys -------------------------------------------------------------------------------------------


def _reads(signer: Signer, method: str, keys: int, count: int, _dice: random.Random, _duration_s: float) -> Job:
    """The same in each round: what is asked is what objects cost that have been read, among so many others."""
    dice = random.Random(keys)
    there = [*range(min(keys, READ_FROM_START)), *range(0, keys, READ_EVERY)]
    numbers = dice.sample(there, min(len(there), count))
    return Job(method, [signer.head(method, f"/{BUCKET}/{key_of(number)}") for number in numbers], b"", repeats=True)


def _puts(signer: Signer, keys: int, clients: int, dice: random.Random, duration_s: float) -> Job:
    """Fresh keys in all folders, anywhere in each."""
    run = secrets.token_hex(4)
    names = [f"{key_of(dice.randrange(keys))}-{run}-{number}" for number in range(_count(clients, duration_s))]
    heads = [signer.head("PUT", f"/{BUCKET}/{name}", READ_BYTES) for name in names]
    return Job("PUT", heads, dice.randbytes(READ_BYTES), repeats=False)


def _pages(signer: Signer, keys: int, dice: random.Random, _duration_s: float) -> Job:
    """Whole pages that begin anywhere in the first nine tenths."""
    last = max(1, keys - PAGE_KEYS) * 9 // 10
    requests = []
    for _ in range(PAGES):
        after = key_of(dice.randrange(last) if last > 1 else 0)
        # In the last folder a page would be short: it begins in one that others follow.
        after = f"folder-{dice.randrange(FOLDERS // 2):02d}" + after[len("folder-00") :] if keys > PAGE_KEYS else ""
        query = [("list-type", "2"), ("max-keys", str(PAGE_KEYS)), *([("start-after", after)] if after else [])]
        requests.append(signer.head("GET", f"/{BUCKET}", query=query))
    return Job("LIST", requests, b"", repeats=True)


def _prefixes(signer: Signer, _dice: random.Random, _duration_s: float) -> Job:
    query = [("list-type", "2"), ("max-keys", str(PREFIXES)), ("delimiter", "/")]
    return Job("LIST", [signer.head("GET", f"/{BUCKET}", query=query)], b"", repeats=True)


# -- many buckets ------------------------------------------------------------------------------------------------------


def _spread_reads(signers: Sequence[Signer], dice: random.Random, _duration_s: float) -> Job:
    """Signer n owns bucket n."""
    each = objects_in(len(signers))
    spots = [(number, place) for number in range(len(signers)) for place in range(each)]
    dice.shuffle(spots)
    requests = [signers[n].head("GET", f"/{bucket_of(n)}/{name_of(place)}") for n, place in spots]
    return Job("GET", requests, b"", repeats=True)


def _spread_puts(signers: Sequence[Signer], clients: int, dice: random.Random, duration_s: float) -> Job:
    run = secrets.token_hex(4)
    heads = []
    for number in range(_count(clients, duration_s)):
        owner = dice.randrange(len(signers))
        heads.append(signers[owner].head("PUT", f"/{bucket_of(owner)}/{run}/{number:07d}", READ_BYTES))
    return Job("PUT", heads, dice.randbytes(READ_BYTES), repeats=False)


def _list_buckets(
    signers: Sequence[Signer], query: Sequence[tuple[str, str]], dice: random.Random, _duration_s: float
) -> Job:
    some = dice.sample(signers, min(len(signers), MANY))
    return Job("GET", [signer.head("GET", "/", query=query) for signer in some], b"", repeats=True)


def _count(clients: int, duration_s: float) -> int:
    """More than are likely to be sent, and some for each client."""
    return max(int(min(PUTS_PER_S_MAX, PUTS_PER_S_OF_CLIENT * clients) * duration_s), 4 * clients)
