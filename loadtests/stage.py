"""One server with the objects that the cases need: fills it, makes the requests of a round, checks one, removes what was written."""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import random
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.cases import KIB, LISTINGS, MIB, PAGE_KEYS, PREFIXES, Case
from loadtests.measure import Job, Work, run_clients
from loadtests.multipart import PART_BYTES, Uploads
from loadtests.peers import Server

# So many PUTs are prepared for a second; a faster server is done sooner, and its rate is taken over that time.
PUTS_PER_S_MAX = {KIB: 20_000, 4 * KIB: 16_000, 64 * KIB: 5_000, MIB: 1_000, 8 * MIB: 200, 64 * MIB: 25}
PUTS_PER_S_LARGEST = 8
DELETES_PER_S = 3_000
COPIES_PER_S_MAX = 3_000
FRESH_PER_S_MAX, FRESH_AGE_MAX_S = 20_000, 600
UPLOADS_PER_S_MAX = 100
# So many objects are read in turn, few enough to stay in the machine's memory.
READ_KEYS = {KIB: 1_000, 4 * KIB: 1_000, 64 * KIB: 500, MIB: 64, 8 * MIB: 8, 64 * MIB: 8}
READ_KEYS_LARGEST = 3
LIST_PAGES = 200
KEPT_BYTES_MAX = 16 * KIB  # what a round wrote stays, like this, or is deleted after it
FILL_CONNECTIONS, FILL_PROCESSES, FILL_KEYS_AT_ONCE = 32, 2, 10_000
FILL_TIMEOUT_S = 3_600.0
STAMP_BYTES = 16  # at the beginning of each body: no two are equal, for servers that store equal blocks once
TURN_BYTES = 4_099  # the same for the blocks of large bodies; odd, so that it takes long to come round
LARGE_BYTES = 8 * MIB
ANSWER_TIMEOUT_S = 60.0


class StageFailed(RuntimeError):
    """The server does not do what the case needs; the message says what it answered."""


@dataclass(frozen=True)
class Prepared:
    """A round's work; `keys` are those that it writes, in the order of the requests."""

    work: Work
    bucket: str
    keys: Sequence[str] = ()


class Stage:
    """What is there is remembered: each set of objects is written once. Raises: StageFailed from every method."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._run = secrets.token_hex(4)
        self._filled: dict[str, list[str]] = {}  # keys, by bucket

    def prepare(self, case: Case, duration_s: float) -> Prepared:
        """Signed now: the requests hold for 15 minutes."""
        match case.operation:
            case "GET" | "HEAD":
                bucket, keys = self._objects(case.size_bytes)
                reads = self._fresh_reads if case.is_fresh else self._reads
                return Prepared(reads(case, bucket, keys, duration_s), bucket)
            case "PUT":
                per_s = PUTS_PER_S_MAX.get(case.size_bytes, PUTS_PER_S_LARGEST)
                return self._puts(case, self._fresh_keys(case, per_s * duration_s))
            case "DELETE":
                return self._deletes(case, self._fresh_keys(case, DELETES_PER_S * duration_s))
            case "COPY":
                return self._copies(case, self._fresh_keys(case, COPIES_PER_S_MAX * duration_s))
            case "UPLOAD":
                bucket, keys = self._bucket("uploads"), self._fresh_keys(case, UPLOADS_PER_S_MAX * duration_s)
                parts = case.size_bytes // PART_BYTES
                return Prepared(Uploads(self.server.signer, bucket, keys, parts, _body(PART_BYTES)), bucket, keys)
            case "LIST":
                return self._listings(case)
        raise ValueError(case.operation)

    def check(self, case: Case) -> None:
        """Send one of the case's requests, and look at the whole answer."""
        if case.operation == "UPLOAD":
            return  # its client looks at every answer
        prepared = self.prepare(case, 0.0)
        job = prepared.work
        if not isinstance(job, Job):
            raise TypeError("a job of prepared requests")
        method = case.operation if case.operation in ("HEAD", "DELETE") else job.requests[0].split(b" ", 1)[0].decode()
        status, headers, content = self._ask(job.requests[0] + job.body, method)
        self.clean(case, prepared, [1])
        looks = {
            "GET": len(content) == case.size_bytes,
            "HEAD": headers.get("Content-Length") == str(case.size_bytes),
            "COPY": b"<ETag>" in content,
            "LIST": content.count(b"<CommonPrefixes>") == PREFIXES
            if case.label == "prefixes"
            else content.count(b"<Key>") == PAGE_KEYS,
        }
        if not 200 <= status < 300 or not looks.get(case.operation, True):
            raise StageFailed(f"{case.name} was answered with {status} and {len(content)} bytes: {content[:300]!r}")

    def clean(self, case: Case, prepared: Prepared, counts: Sequence[int]) -> None:
        """Delete what the round wrote, where that is much. `counts`: client n has sent so many of every n-th request."""
        if case.operation not in ("PUT", "COPY", "UPLOAD") or case.size_bytes <= KEPT_BYTES_MAX:
            return
        clients = len(counts)
        sent = [key for number, count in enumerate(counts) for key in prepared.keys[number::clients][:count]]
        self._delete(prepared.bucket, sent)

    def leave(self) -> None:
        """Take everything from a server that is not ours to throw away."""
        for bucket in self._filled:
            while keys := self._page(bucket):
                self._delete(bucket, keys)
            self._ask(self.server.signer.head("DELETE", f"/{bucket}"), "DELETE")

    def few_requests(self) -> None:
        """As many as a server has seen that is called idle."""
        bucket = self._bucket("idle")
        for method, body in (("PUT", b"x" * KIB), ("GET", b""), ("HEAD", b""), ("DELETE", b"")):
            length = len(body) if body else None
            status, _, content = self._ask(self.server.signer.head(method, f"/{bucket}/idle", length) + body, method)
            if not 200 <= status < 300:
                raise StageFailed(f"{method} was answered with {status}: {content[:300]!r}")

    # -- work --------------------------------------------------------------------------------------------------------

    def _reads(self, case: Case, bucket: str, keys: Sequence[str], _duration_s: float) -> Job:
        head = functools.partial(self.server.signer.head, in_header=case.in_header)
        return Job(case.operation, [head(case.operation, f"/{bucket}/{key}") for key in keys], b"", repeats=True)

    def _fresh_reads(self, case: Case, bucket: str, keys: Sequence[str], duration_s: float) -> Job:
        """Those of one object were signed in different seconds, as an application's are."""
        count = max(int(FRESH_PER_S_MAX * duration_s), len(keys))
        head = functools.partial(self.server.signer.head, case.operation, in_header=True)
        places = ((f"/{bucket}/{keys[n % len(keys)]}", n // len(keys) % FRESH_AGE_MAX_S) for n in range(count))
        return Job(case.operation, [head(path, age_s=age_s) for path, age_s in places], b"", repeats=False)

    def _puts(self, case: Case, keys: Sequence[str]) -> Prepared:
        bucket = self._bucket("puts")
        return Prepared(self._put_job(bucket, keys, case.size_bytes, in_header=case.in_header), bucket, keys)

    def _put_job(self, bucket: str, keys: Sequence[str], size_bytes: int, *, in_header: bool = False) -> Job:
        """Signed in the header they have the hash of the body, as the SDKs do it over plain HTTP."""
        rest = _body(size_bytes - STAMP_BYTES)
        requests = []
        for key in keys:
            stamp = os.urandom(STAMP_BYTES)
            signed = {"in_header": True, "payload_hash": hashlib.sha256(stamp + rest).hexdigest()} if in_header else {}
            requests.append(self.server.signer.head("PUT", f"/{bucket}/{key}", size_bytes, **signed) + stamp)  # type: ignore[arg-type]
        return Job("PUT", requests, rest, repeats=False, turn_bytes=TURN_BYTES if size_bytes >= LARGE_BYTES else 0)

    def _deletes(self, case: Case, keys: Sequence[str]) -> Prepared:
        bucket = self._bucket("deletes")
        self._fill(bucket, keys, case.size_bytes)
        head = functools.partial(self.server.signer.head, "DELETE", in_header=case.in_header)
        return Prepared(Job("DELETE", [head(f"/{bucket}/{key}") for key in keys], b"", repeats=False), bucket)

    def _copies(self, case: Case, keys: Sequence[str]) -> Prepared:
        source, objects = self._objects(case.size_bytes)
        bucket = self._bucket("copies")
        requests = [
            self.server.signer.head(
                "PUT", f"/{bucket}/{key}", 0, headers=[("x-amz-copy-source", f"/{source}/{objects[n % len(objects)]}")]
            )
            for n, key in enumerate(keys)
        ]
        return Prepared(Job("COPY", requests, b"", repeats=False), bucket, keys)

    def _listings(self, case: Case) -> Prepared:
        bucket = self._listed(case.label)
        query = [("list-type", "2"), ("max-keys", str(PAGE_KEYS))]
        if case.label == "prefixes":
            pages = [[*query, ("delimiter", "/")]]
        elif LISTINGS[case.label] <= PAGE_KEYS:
            pages = [query]
        else:
            ordered = sorted(self._filled[bucket])
            last = len(ordered) - PAGE_KEYS - 1
            pages = [[*query, ("start-after", ordered[n * last // LIST_PAGES])] for n in range(LIST_PAGES)]
            random.Random(1).shuffle(pages)
        requests = [
            self.server.signer.head("GET", f"/{bucket}", query=page, in_header=case.in_header) for page in pages
        ]
        return Prepared(Job("LIST", requests, b"", repeats=True), bucket)

    # -- what is there -----------------------------------------------------------------------------------------------

    def _objects(self, size_bytes: int) -> tuple[str, list[str]]:
        """The objects of this size that are read."""
        count = READ_KEYS.get(size_bytes, READ_KEYS_LARGEST)
        bucket = self._bucket(f"objects-{size_bytes}")
        if not self._filled[bucket]:
            self._filled[bucket] = self._keys(count)
            self._fill(bucket, self._filled[bucket], size_bytes)
        return bucket, self._filled[bucket]

    def _listed(self, label: str) -> str:
        bucket = self._bucket(f"list-{label}")
        if not self._filled[bucket]:
            count = LISTINGS[label]
            folders = max(PREFIXES, count // PAGE_KEYS)
            folder = "" if label == "flat" else "folder-{:04d}/"
            keys = [folder.format(number % folders) + f"object-{number:07d}.bin" for number in range(count)]
            random.Random(count).shuffle(keys)
            self._filled[bucket] = keys
            self._fill(bucket, keys, STAMP_BYTES)
        return bucket

    def _fill(self, bucket: str, keys: Sequence[str], size_bytes: int) -> None:
        connections = FILL_CONNECTIONS if size_bytes <= MIB else 4
        for at in range(0, len(keys), FILL_KEYS_AT_ONCE):
            job = self._put_job(bucket, keys[at : at + FILL_KEYS_AT_ONCE], size_bytes)
            done = run_clients(self.server.target, job, connections, FILL_PROCESSES, FILL_TIMEOUT_S)
            if done.errors:
                raise StageFailed(f"{done.errors} objects could not be written: {done.first_error}")

    def _delete(self, bucket: str, keys: Sequence[str]) -> None:
        job = Job("DELETE", [self.server.signer.head("DELETE", f"/{bucket}/{key}") for key in keys], b"", repeats=False)
        if keys:
            run_clients(self.server.target, job, min(FILL_CONNECTIONS, len(keys)), FILL_PROCESSES, FILL_TIMEOUT_S)

    def _bucket(self, name: str) -> str:
        """Its full name; created where it is not there yet."""
        bucket = f"compare-{self._run}-{name}"
        if bucket not in self._filled:
            status, _, content = self._ask(self.server.signer.head("PUT", f"/{bucket}", 0), "PUT")
            if status != 200:
                raise StageFailed(f"the bucket could not be created: {status} {content[:300]!r}")
            self._filled[bucket] = []
        return bucket

    def _page(self, bucket: str) -> list[str]:
        content = self._ask(self.server.signer.head("GET", f"/{bucket}", query=[("list-type", "2")]), "GET")[2]
        return re.findall("<Key>([^<]+)</Key>", content.decode())

    def _fresh_keys(self, case: Case, wanted: float) -> list[str]:
        """So many; at least a few for each client."""
        return self._keys(max(int(wanted), 4 * case.clients))

    def _keys(self, count: int) -> list[str]:
        """In no order, as applications write them; all of one length."""
        folder = secrets.token_hex(4)
        keys = [f"{folder}/{number:07d}" for number in range(count)]
        random.Random(count).shuffle(keys)
        return keys

    def _ask(self, request: bytes, method: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        target = self.server.target
        with socket.create_connection((target.host, target.port), timeout=ANSWER_TIMEOUT_S) as sock:
            sock.sendall(request)
            response = http.client.HTTPResponse(sock, method=method)
            response.begin()
            return response.status, response.headers, response.read()


@functools.lru_cache(maxsize=2)
def _body(size_bytes: int) -> bytes:
    """Random: nothing of it can be compressed."""
    return random.Random(size_bytes).randbytes(size_bytes)
