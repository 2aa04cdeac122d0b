"""Multipart uploads as work for the clients: one upload after the other on each connection, signed as they go.

An operation is a whole upload: created, its parts sent one after the other, completed. Its client is a process with one
connection and an ordinary blocking HTTP client; at eight megabytes a part that costs little beside the bytes themselves.
"""

from __future__ import annotations

import http.client
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.client import ERRORS_MAX, Outcome
from loadtests.measure import Target
from loadtests.prepare import Signer

PART_BYTES = 8 << 20
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Uploads:
    """Of `keys` in turn, of `parts` parts each. Needs as many client processes as connections."""

    signer: Signer
    bucket: str
    keys: Sequence[str]
    parts: int
    body: bytes  # of one part; each part begins elsewhere in it

    def client(self, target: Target, number: int, clients: int, connections: int) -> Callable[[float], Outcome]:
        if connections != 1:
            raise ValueError("an uploading client has one connection")
        connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
        connection.connect()
        return lambda duration_s: self._run(connection, self.keys[number::clients], duration_s)

    def _run(self, connection: http.client.HTTPConnection, keys: Sequence[str], duration_s: float) -> Outcome:
        outcome = Outcome(began_s=time.monotonic())
        cpu_s = time.process_time()
        for key in keys:
            began_s = time.monotonic()
            if began_s - outcome.began_s >= duration_s or outcome.errors >= ERRORS_MAX:
                break
            try:
                self._upload(connection, f"/{self.bucket}/{key}")
                outcome.seconds.append(time.monotonic() - began_s)
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()  # it connects anew by itself
                outcome.errors += 1
                outcome.first_error = outcome.first_error or repr(error)
        outcome.ended_s = time.monotonic()
        outcome.cpu_s = time.process_time() - cpu_s
        return outcome

    def _upload(self, connection: http.client.HTTPConnection, path: str) -> None:
        created = self._ask(connection, "POST", path, [("uploads", "")])[1]
        upload = _element(created, "UploadId")
        entries = []
        for number in range(1, self.parts + 1):
            part = [("partNumber", str(number)), ("uploadId", upload)]
            at = random.randrange(len(self.body))
            etag = self._ask(connection, "PUT", path, part, at)[0]
            entries.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        manifest = f"<CompleteMultipartUpload>{''.join(entries)}</CompleteMultipartUpload>".encode()
        _element(self._ask(connection, "POST", path, [("uploadId", upload)], manifest)[1], "ETag")

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: bytes | int = b"",
    ) -> tuple[str, bytes]:
        """ETag and body of the answer. A number as the body is the place in the part's bytes where this one begins."""
        whole = memoryview(self.body)
        pieces = [whole[body:], whole[:body]] if isinstance(body, int) else [memoryview(body)]
        length = sum(map(len, pieces))
        target = self.signer.head(method, path, query=query).split(b" ", 2)[1].decode()
        connection.putrequest(method, target)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        for piece in pieces:
            if piece:
                connection.send(piece)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {content[:300]!r}")
        return response.headers.get("ETag", ""), content


def _element(content: bytes, name: str) -> str:
    """Its text. CompleteMultipartUpload may say in an answer of 200 that it failed: then there is none."""
    found = re.search(rf"<{name}>([^<]+)</{name}>".encode(), content)
    if found is None:
        raise ValueError(f"no {name}: {content[:300]!r}")
    return found[1].decode()
