"""The bucket and the seeded objects: there before users start, gone when Locust ends."""

from __future__ import annotations

import base64
import hashlib
import logging

from gevent.pool import Pool
from geventhttpclient.client import HTTPClient
from locust.contrib.fasthttp import insecure_ssl_context_factory

from loadtests.scenarios.client import Answer, Pairs, exchange
from loadtests.scenarios.ground import PREFIX, Ground

CONNECTIONS = 16
TIMEOUT_S = 60.0
CLEARED_TRIES = 5  # a request that a stopped user left under way may write one more object

logger = logging.getLogger(__name__)


class SetupFailed(Exception):
    """The message says which request was refused, and how."""


class Setup:
    """For one run's settings. Only what lies below `PREFIX` is touched, and the bucket removed only if it was made here."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._bucket = ground.settings.bucket
        self._made_bucket = self._is_ready = False
        self._http = HTTPClient.from_url(
            ground.settings.endpoint, headers={"Host": ground.presigner.host}, concurrency=CONNECTIONS,
            connection_timeout=TIMEOUT_S, network_timeout=TIMEOUT_S, insecure=True,
            ssl_context_factory=insecure_ssl_context_factory,
        )  # fmt: skip

    def prepare(self) -> None:
        """Make the bucket and what is missing of its objects; once is enough. Raises: SetupFailed."""
        if self._is_ready:
            return
        if self._send("GET", query=[("list-type", "2"), ("max-keys", "1")], accept=(200, 404)).status == 404:
            region = self._ground.settings.region
            place = f"<LocationConstraint>{region}</LocationConstraint>"
            body = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>" if region != "us-east-1" else ""
            self._send("PUT", body=body.encode())
            self._made_bucket = True
        there = self._seeded_keys()
        wanted = map(self._ground.seeded_key, range(self._ground.settings.keys))
        missing = [key for key in wanted if key not in there]
        logger.info("bucket %s: %d objects are there, writing %d", self._bucket, len(there), len(missing))
        for failure in Pool(CONNECTIONS).imap_unordered(self._write, missing):
            if failure is not None:
                raise failure
        self._is_ready = True

    def clear(self) -> None:
        """Remove what this run and others like it left. Raises: SetupFailed."""
        for _ in range(CLEARED_TRIES):
            self._delete_objects()
            self._abort_uploads()
            if not self._made_bucket or self._send("DELETE", accept=(204, 404, 409)).status != 409:
                logger.info("bucket %s: what the run wrote is removed", self._bucket)
                return
        raise SetupFailed(f"bucket {self._bucket}: objects appear while it is being emptied")

    def _write(self, key: str) -> SetupFailed | None:
        """What went wrong is returned: gevent prints what a greenlet raises."""
        try:
            self._send("PUT", key, body=self._ground.body(key, self._ground.settings.object_bytes))
        except SetupFailed as failure:
            return failure
        return None

    def _seeded_keys(self) -> set[str]:
        """A key below this prefix has the right length and content, for the prefix names seed and length."""
        keys: set[str] = set()
        after = ""
        while True:
            query = [("list-type", "2"), ("prefix", self._ground.seeded), ("start-after", after)]
            page = self._send("GET", query=query).texts("Key")
            if not page:
                return keys
            keys.update(page)
            after = page[-1]

    def _delete_objects(self) -> None:
        while keys := self._send("GET", query=[("list-type", "2"), ("prefix", PREFIX)]).texts("Key"):
            objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
            body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
            digest = base64.b64encode(hashlib.md5(body).digest()).decode()
            answer = self._send("POST", query=[("delete", "")], headers={"content-md5": digest}, body=body)
            if b"<Error>" in answer.content:
                raise SetupFailed(f"objects could not be deleted: {answer.refusal}")

    def _abort_uploads(self) -> None:
        while True:
            page = self._send("GET", query=[("uploads", ""), ("prefix", PREFIX)])
            uploads = list(zip(page.texts("Key"), page.texts("UploadId"), strict=True))
            if not uploads:
                return
            for key, upload in uploads:
                self._send("DELETE", key, query=[("uploadId", upload)], accept=(204, 404))

    def _send(
        self,
        method: str,
        key: str = "",
        *,
        query: Pairs = (),
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        accept: tuple[int, ...] = (200, 204),
    ) -> Answer:
        path = f"/{self._bucket}/{key}" if key else f"/{self._bucket}"
        target = self._ground.presigner.target(method, path, query, headers or {})
        answer = exchange(self._http, method, target, headers or {}, body)
        if answer.status not in accept:
            raise SetupFailed(f"{method} {path} was answered by {answer.refusal}")
        return answer
