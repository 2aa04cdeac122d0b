"""Requests made before the clock starts: signed already, so that the client computes nothing while it is measured."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlencode

from app.auth.credentials import Credential
from app.auth.payload_mode import UNSIGNED_PAYLOAD
from app.auth.signing import Pairs, sign_headers
from app.domain.types import Principal
from loadtests.measure import Job
from loadtests.presigner import Presigner

LIST_KEYS = 100
LIST_PAGES = 50
READ_KEYS_MAX = 2_000  # a GET or HEAD goes to one of so many objects
PUTS_PER_S_MAX = {1 << 10: 6_000, 64 << 10: 3_000, 1 << 20: 400}  # so many are prepared; a faster server is done sooner


@dataclass(frozen=True)
class Signer:
    """Whose requests they are, and where they go. `endpoint` is http://host:port."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str

    def head(
        self,
        method: str,
        path: str,
        length: int | None = None,
        query: Pairs = (),
        headers: Pairs = (),
        *,
        in_header: bool = False,
        age_s: int = 0,
        payload_hash: str = UNSIGNED_PAYLOAD,
    ) -> bytes:
        """The head of one signed request; `path` as a client writes it, "/bucket/key", and `headers` in lower case.

        Presigned for six hours; with `in_header` the signature is in the Authorization header, as if made `age_s` ago, and
        holds for 15 minutes.
        """
        path = quote(path)
        if in_header:
            target = path + ("?" + urlencode(query, quote_via=quote) if query else "")
            headers = sign_headers(
                method, self.endpoint + target, headers, Credential(self.access_key, self.secret_key, Principal(id="")),
                region=self.region, now_s=time.time() - age_s, payload_hash=payload_hash,
            ).headers  # fmt: skip
        else:
            target = self._presigner.target(method, path, query, dict(headers))
        lines = [f"{name}: {value}" for name, value in headers if name != "host"]
        lines += [] if length is None else [f"Content-Length: {length}"]
        return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {self._presigner.host}", *lines, "", ""]).encode()

    @cached_property
    def _presigner(self) -> Presigner:
        return Presigner(self.endpoint, self.access_key, self.secret_key, self.region)


def puts(signer: Signer, bucket: str, folder: str, size_bytes: int, duration_s: float) -> tuple[Job, list[str]]:
    """PUTs of fresh keys below `folder`, more than are likely to be needed; and these keys, in order."""
    dice = random.Random(size_bytes)
    keys = [f"{folder}/{number:06d}" for number in range(int(PUTS_PER_S_MAX[size_bytes] * duration_s))]
    dice.shuffle(keys)  # no application writes its keys in order
    heads = [signer.head("PUT", f"/{bucket}/{key}", size_bytes) for key in keys]
    return Job("PUT", heads, dice.randbytes(size_bytes), repeats=False), keys


def others(signer: Signer, bucket: str, folder: str, written: Sequence[str]) -> Iterator[Job]:
    """GET and HEAD of what was written, LIST of pages of it, DELETE of it all. Each is made when it is asked for."""
    for method in ("GET", "HEAD"):
        some = written[:READ_KEYS_MAX]
        yield Job(method, [signer.head(method, f"/{bucket}/{key}") for key in some], b"", repeats=True)
    yield Job("LIST", list(_pages(signer, bucket, folder, sorted(written))), b"", repeats=True)
    yield Job("DELETE", [signer.head("DELETE", f"/{bucket}/{key}") for key in written], b"", repeats=False)


def _pages(signer: Signer, bucket: str, folder: str, ordered: Sequence[str]) -> Iterator[bytes]:
    """Full pages that begin all over the folder."""
    last = max(1, len(ordered) - LIST_KEYS)
    for number in range(LIST_PAGES):
        after = ordered[number * last // LIST_PAGES]
        page = [("list-type", "2"), ("max-keys", str(LIST_KEYS)), ("prefix", f"{folder}/"), ("start-after", after)]
        yield signer.head("GET", f"/{bucket}", query=page)
