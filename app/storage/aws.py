"""Blobs as objects in a bucket of AWS S3, or of any service that speaks S3.

Bytes go up with a Content-MD5: of all the checksums of S3 it is the one that every service verifies, however old, where
an unknown x-amz-checksum header would be passed over in silence. What the service says that it has stored is compared:
its ETag is the MD5, except where it encrypts with other keys than its own, and in services that compute something else.
So an ETag that differs counts only after this service has once given the right one.

The client is botocore's, which is what boto3.client gives: without boto3 around it, and with a description of S3 that holds
what is used here (aws_model), it takes half the memory.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any, Self

import botocore.auth
import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError

from app.settings import ConfigError, chosen
from app.storage import aws_errors
from app.storage.aws_model import lean_loader
from app.storage.aws_parts import PartedUpload, abandoned, abort
from app.storage.aws_wire import AwsDownload, Etags, body_of, md5_of, without_needless_wait
from app.storage.remote import GARBAGE_GRACE_S, RemoteStorage
from app.storage.remote_calls import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Trouble
from app.storage.remote_memory import CAPACITY_BYTES, PartMemory
from app.storage.remote_upstream import CONNECTIONS_MAX, Download, Entry, Page, Upload, Upstream

if TYPE_CHECKING:
    from app.config import Config
    from app.config_storage import Aws

ABANDONED_AFTER_S = 7 * 86_400  # where nothing bounds how slow a client may be
CREDENTIALS_EVERY_S = 5.0  # so often they are looked for, where there were none
SLOWEST_PART_FACTOR = 2  # a living writer adds a part at least twice in the time after which it would be given up


class AwsStorage(RemoteStorage):
    """Uploads in parts of which nothing has come for `abandoned_after_s` are aborted by `clean_up`."""

    name = "aws"

    def __init__(
        self,
        settings: Aws,
        *,
        garbage_grace_s: int = GARBAGE_GRACE_S,
        abandoned_after_s: float = ABANDONED_AFTER_S,
        memory: PartMemory | None = None,
    ) -> None:
        """Raises: ConfigError."""
        if not settings.bucket:
            raise ConfigError("storage.aws.bucket: say which bucket holds the objects' bytes")
        if bool(settings.access_key_id) != bool(settings.secret_access_key):
            raise ConfigError("storage.aws: give access_key_id and secret_access_key, or neither")
        super().__init__(
            lambda: S3Upstream(settings), prefix=settings.prefix, garbage_grace_s=garbage_grace_s, memory=memory
        )
        self._bucket = settings.bucket
        self._abandoned_after_s = abandoned_after_s

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Raises: ConfigError."""
        grace = config.storage.garbage_grace_s
        rate = config.server.limits.body_min_bytes_per_s
        slowest_s = SLOWEST_PART_FACTOR * CAPACITY_BYTES / rate if rate else ABANDONED_AFTER_S
        return cls(
            config.storage.aws,
            garbage_grace_s=chosen(grace, GARBAGE_GRACE_S),
            abandoned_after_s=max(config.storage.orphan_grace_s, slowest_s),
        )

    def clean_up(self) -> int:
        """Abort uploads of writers that are gone. One that lives has added a part meanwhile; if not, it gets an error."""
        client, count = self._client(), 0
        for upload in abandoned(self.calls, client, self._bucket, f"{self.prefix}blobs/", self._abandoned_after_s):
            self.calls.run("abort", abort, client, upload)
            count += 1
        return count

    def _client(self) -> Any:
        upstream = self.upstream
        assert isinstance(upstream, S3Upstream), "the one that __init__ has named"
        return upstream.client


class S3Upstream(Upstream):
    """One bucket, by one client that all threads share."""

    flights_max = 2

    def __init__(self, settings: Aws) -> None:
        """Asks the service nothing. Raises: ConfigError."""
        self._settings = settings
        self._bucket = settings.bucket
        self._etags = Etags()
        self._client, self._look_again_s = self._connect()

    @property
    def client(self) -> Any:
        """botocore's. A machine that had no credentials for us may have some by now."""
        if self._look_again_s is not None and time.monotonic() >= self._look_again_s:
            self._look_again_s += CREDENTIALS_EVERY_S  # meanwhile the others take the old one
            self._client, self._look_again_s = self._connect()
        return self._client

    def _connect(self) -> tuple[Any, float | None]:
        """A client, and when to make another because there are no credentials."""
        try:
            client, has_credentials = make_client(self._settings)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"storage.aws: {aws_errors.classify(error) or 'this endpoint_url is no URL'}") from None
        return client, None if has_credentials else time.monotonic() + CREDENTIALS_EVERY_S

    def classify(self, error: Exception) -> Trouble | None:
        return aws_errors.classify(error)

    def put(self, name: str, content: memoryview) -> None:
        md5 = md5_of(content)
        answer = self.client.put_object(
            Bucket=self._bucket, Key=name, Body=body_of(content), ContentMD5=base64.b64encode(md5).decode()
        )
        self._etags.compare(answer, md5.hex())

    def begin(self, name: str) -> Upload:
        return PartedUpload(self.client, {"Bucket": self._bucket, "Key": name}, self._etags)

    def get(self, name: str, start: int, end: int | None) -> Download:
        wanted = {} if end is None and not start else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        return AwsDownload(self.client.get_object(Bucket=self._bucket, Key=name, **wanted), start, end)

    def size(self, name: str) -> int:
        return int(self.client.head_object(Bucket=self._bucket, Key=name)["ContentLength"])

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self._bucket, Key=name)

    def page(self, prefix: str, cursor: str | None) -> Page:
        at = {} if cursor is None else {"ContinuationToken": cursor}
        answer = self.client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **at)
        entries = [
            Entry(str(each["Key"]), int(each["Size"]), round(each["LastModified"].timestamp() * 1_000))
            for each in answer.get("Contents", ())
        ]
        return Page(entries, answer["NextContinuationToken"] if answer.get("IsTruncated") else None)

    def close(self) -> None:
        self.client.close()


def make_client(settings: Aws) -> tuple[Any, bool]:
    """botocore's client, its own retries and checksums off, for those are ours; and whether it has credentials."""
    style = "path" if settings.use_path_style else "virtual" if settings.endpoint_url else "auto"
    options = ClientConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=CONNECTIONS_MAX,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
        # The Content-MD5 is signed, so that a SHA-256 of the same bytes, over plain HTTP, would only cost both sides time.
        s3={"addressing_style": style, "payload_signing_enabled": False},
    )
    # Where awscrt is there, as it is with us, botocore signs by it: in threads of its own, and from bytes alone.
    botocore.auth.AUTH_TYPE_MAPS["s3v4"] = botocore.auth.S3SigV4Auth
    session = botocore.session.Session()
    session.register_component("data_loader", lean_loader())
    client = session.create_client(
        "s3",
        region_name=settings.region or None,
        endpoint_url=settings.endpoint_url or None,
        aws_access_key_id=settings.access_key_id or None,
        aws_secret_access_key=settings.secret_access_key or None,
        config=options,
    )
    client.meta.events.register("before-send.s3", without_needless_wait)
    return client, bool(settings.access_key_id) or session.get_credentials() is not None
