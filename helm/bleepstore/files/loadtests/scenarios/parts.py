"""Large objects in parts: as an upload manager writes them, and as training writes its checkpoints."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from locust import between, task

from loadtests.scenarios.client import S3User, scenario
from loadtests.scenarios.options import size_text

RANGE_BYTES = 64 << 10
ABANDONED_EVERY = 4
SHARDS = 4
CHECKPOINTS_KEPT = 2


class LargeObjects(S3User):
    """Objects in parts. A part's content is known by the object's first name and the part's number."""

    abstract = True

    def part_sizes(self) -> list[int]:
        """The last part is what is left."""
        settings = self.ground.settings
        whole, rest = divmod(settings.large_bytes, settings.part_bytes)
        return [settings.part_bytes] * whole + ([rest] if rest or not whole else [])

    def begin(self, key: str) -> str:
        """The id of a new upload."""
        answer = self.ask(
            "POST", "new upload", key, query=[("uploads", "")], check=lambda answer: bool(answer.texts("UploadId"))
        )
        return answer.texts("UploadId")[0]

    def put_part(self, key: str, upload: str, number: int, size: int) -> str:
        """Its ETag, as it came."""
        query = [("partNumber", str(number)), ("uploadId", upload)]
        body = self.ground.body(f"{key}#{number}", size)
        answer = self.ask("PUT", f"part {size_text(size)}", key, query=query, body=body)
        return str(answer.headers.get("etag"))

    def put_parts(self, key: str, upload: str) -> list[str]:
        """One after the other; their ETags."""
        return [self.put_part(key, upload, number, size) for number, size in enumerate(self.part_sizes(), start=1)]

    def complete(self, key: str, upload: str, etags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, start=1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        mark = f"-{len(etags)}"
        self.ask(
            "POST", "complete upload", key, query=[("uploadId", upload)], body=body,
            check=lambda answer: any(mark in etag for etag in answer.texts("ETag")),
        )  # fmt: skip

    def put_large(self, key: str) -> None:
        upload = self.begin(key)
        self.complete(key, upload, self.put_parts(key, upload))

    def get_range(self, key: str, first_name: str) -> None:
        """A piece from the middle of any part; `first_name` is the key under which the object was written."""
        sizes = self.part_sizes()
        number = self.dice.randrange(len(sizes))
        length = min(RANGE_BYTES, sizes[number])
        begin = self.dice.randrange(sizes[number] - length + 1)
        piece = self.ground.body(f"{first_name}#{number + 1}", sizes[number])[begin : begin + length]
        offset = sum(sizes[:number]) + begin
        self.ask(
            "GET", f"range {size_text(length)}", key, headers={"range": f"bytes={offset}-{offset + length - 1}"},
            expect=206, check=lambda answer: answer.content == piece,
        )  # fmt: skip


@scenario("multipart")
class Multipart(LargeObjects):
    """An upload manager: begin, parts, a look at them, complete; pieces are read back. Some uploads are given up."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._turns = 0

    @task
    def upload(self) -> None:
        self._turns += 1
        key = f"{self.folder}upload"
        upload = self.begin(key)
        if self._turns % ABANDONED_EVERY == 1:
            self.put_part(key, upload, 1, self.part_sizes()[0])
            self.ask("DELETE", "upload", key, query=[("uploadId", upload)], expect=204)
            return
        etags = self.put_parts(key, upload)
        count = len(etags)
        query = [("uploadId", upload)]
        self.ask(
            "GET", "list of parts", key, query=query, check=lambda answer: len(answer.texts("PartNumber")) == count
        )
        self.complete(key, upload, etags)
        self.head("large object", key, self.ground.settings.large_bytes)
        self.get_range(key, key)
        self.delete("large object", key)


@scenario("checkpoint")
class Checkpoint(LargeObjects):
    """Training: all shards at once under a passing name, renamed when complete; a marker is overwritten, the oldest goes."""

    wait_time = between(0.2, 1.0)  # the steps of training between two checkpoints

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._step = 0
        self._kept: deque[int] = deque()

    @task
    def save(self) -> None:
        self._step += 1
        self.together([partial(self.put_large, self._shard("incomplete", shard)) for shard in range(SHARDS)])
        self.together([partial(self._rename, shard) for shard in range(SHARDS)])
        self.put("marker", f"{self.folder}latest", 64)
        self._kept.append(self._step)
        if len(self._kept) > CHECKPOINTS_KEPT:
            oldest = self._kept.popleft()
            for shard in range(SHARDS):
                self.delete("large object", self._shard(f"step-{oldest}", shard))
        self.get_range(self._shard(f"step-{self._step}", 0), self._shard("incomplete", 0))

    def _rename(self, shard: int) -> None:
        """S3 has no renaming: a copy, and the source is deleted."""
        source, target = self._shard("incomplete", shard), self._shard(f"step-{self._step}", shard)
        name = f"copy {size_text(self.ground.settings.large_bytes)}"
        headers = {"x-amz-copy-source": f"/{self.ground.settings.bucket}/{source}"}
        self.ask("PUT", name, target, headers=headers, check=lambda answer: bool(answer.texts("ETag")))
        self.delete("large object", source)

    def _shard(self, folder: str, number: int) -> str:
        return f"{self.folder}{folder}/shard-{number}"
