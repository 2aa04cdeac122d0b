"""Blobs in a bucket of Google Cloud Storage.

Every object is written where there is none (ifGenerationMatch=0): what has a name never changes (I1), so a download may
be gone on with by name, and a request that is repeated because an answer was lost is refused with 412, which says that
its bytes may be there. The service keeps a CRC32C of every object; it is compared before anything is acknowledged.

A large blob goes up in the chunks of one resumable upload. Such an upload, when it is left, ends by itself after a week.

google-cloud-storage finds the credentials and the service; requests go through its session and are made here. Its own
methods copy what they upload together, push what they download, and ask for the bucket's metadata in threads of their own.

Source: "Cloud Storage JSON API" and "Resumable uploads", Google Cloud documentation.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import requests
from google.api_core.exceptions import PreconditionFailed, from_http_response

from app.domain.digests import checksum_of
from app.settings import ConfigError, chosen
from app.storage import gcp_errors
from app.storage.gcp_session import GcpSession
from app.storage.gcp_upload import ResumableUpload, Stored
from app.storage.http_pool import Pieces, ResponseDownload
from app.storage.remote import GARBAGE_GRACE_S, RemoteStorage
from app.storage.remote_calls import Kind, Trouble, UpstreamError
from app.storage.remote_memory import PART_BYTES
from app.storage.remote_upstream import Download, Entry, Page, Upload, Upstream

if TYPE_CHECKING:
    from app.config import Config
    from app.config_storage import Gcp

OBJECT_MAX_BYTES = 5 << 40
PAGE_ENTRIES_MAX = 1_000
BYTES = "application/octet-stream"
_LISTED = "items(name,size,timeCreated),nextPageToken"

_NO_BUCKET = Trouble(Kind.REFUSED, "NoSuchBucket", "create the bucket, or name another in storage.gcp.bucket")
_UNEXPECTED = Trouble(Kind.WRONG, "UnexpectedAnswer")
_DIFFERS = Trouble(Kind.WRONG, "StoredBytesDiffer")


class GcpStorage(RemoteStorage):
    name = "gcp"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        settings, grace = config.storage.gcp, config.storage.garbage_grace_s
        if not settings.bucket:
            raise ConfigError("storage.gcp.bucket: the bucket that holds the objects' bytes must be named")
        return cls(
            lambda: GcpUpstream(settings),
            prefix=settings.prefix,
            garbage_grace_s=chosen(grace, GARBAGE_GRACE_S),
        )


class GcpUpstream(Upstream):
    """One bucket."""

    parts_max = OBJECT_MAX_BYTES // PART_BYTES
    classify = staticmethod(gcp_errors.classify)

    def __init__(self, settings: Gcp) -> None:
        """Raises: ConfigError."""
        self.session = GcpSession(settings)
        self._path = f"storage/v1/b/{quote(settings.bucket, safe='')}/o"

    def close(self) -> None:
        self.session.close()

    # -- writing -------------------------------------------------------------------------------------------------

    def put(self, name: str, content: memoryview) -> None:
        wanted = Stored(len(content), checksum_of("CRC32C", content))
        boundary = secrets.token_hex(16)
        about = json.dumps({"name": name, "contentType": BYTES, "crc32c": wanted.crc32c})
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{about}\r\n--{boundary}\r\nContent-Type: {BYTES}\r\n\r\n"
        answer = self.session.send(
            "POST",
            self._url("upload/", uploadType="multipart", ifGenerationMatch="0", fields="size,crc32c"),
            {"Content-Type": f"multipart/related; boundary={boundary}"},
            Pieces((head.encode(), content, f"\r\n--{boundary}--".encode())),
        )
        try:
            self._require_bucket_in(answer)
            found: Stored | None = self.stored(answer.json())
        except PreconditionFailed:
            found = self.find(name)  # of an attempt whose answer was lost
        self.require_same(found, wanted)

    def begin(self, name: str) -> Upload:
        url = self._url("upload/", uploadType="resumable", ifGenerationMatch="0", fields="size,crc32c")
        about = json.dumps({"name": name, "contentType": BYTES}).encode()
        answer = self.session.send(
            "POST", url, {"Content-Type": "application/json", "X-Upload-Content-Type": BYTES}, about
        )
        self._require_bucket_in(answer)
        session_url = answer.headers.get("Location")
        if session_url is None:
            raise UpstreamError(_UNEXPECTED)
        return ResumableUpload(self, name, self.session.reachable(session_url))

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, name: str, start: int, end: int | None) -> Download:
        headers = {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = self.session.send("GET", self._url("download/", name, alt="media"), headers, is_stream=True)
        if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
            with answer:
                self._require_object(answer)
        return ResponseDownload(answer, start)

    def size(self, name: str) -> int:
        answer = self.session.send("GET", self._url("", name, fields="size,crc32c"))
        self._require_object(answer)
        return self.stored(answer.json()).size_bytes

    def page(self, prefix: str, cursor: str | None) -> Page:
        query = {"prefix": prefix, "maxResults": str(PAGE_ENTRIES_MAX), "fields": _LISTED}
        answer = self.session.send("GET", self._url("", **query, **({} if cursor is None else {"pageToken": cursor})))
        self._require_bucket_in(answer)
        found = answer.json()
        return Page([_entry(each) for each in found.get("items", ())], found.get("nextPageToken"))

    # -- deleting ------------------------------------------------------------------------------------------------

    def delete(self, name: str) -> None:
        answer = self.session.send("DELETE", self._url("", name))
        if answer.status_code == gcp_errors.MISSING:
            self._require_bucket()
        else:
            self.require_success(answer)

    # -- answers, also to uploads --------------------------------------------------------------------------------

    def require_success(self, answer: requests.Response) -> None:
        """Raises: GoogleAPICallError."""
        if not 200 <= answer.status_code < 300:
            raise from_http_response(answer)

    def stored(self, about: dict[str, Any]) -> Stored:
        """From an object's resource. Raises: UpstreamError."""
        try:
            return Stored(int(about["size"]), str(about["crc32c"]))
        except (KeyError, ValueError) as error:
            raise UpstreamError(_UNEXPECTED) from error

    def find(self, name: str) -> Stored | None:
        """What lies under a name; None where there is nothing. Raises: as `GcpSession.send`, GoogleAPICallError."""
        answer = self.session.send("GET", self._url("", name, fields="size,crc32c"))
        if answer.status_code == gcp_errors.MISSING:
            return None
        self.require_success(answer)
        return self.stored(answer.json())

    def require_same(self, found: Stored | None, wanted: Stored) -> None:
        """Raises: UpstreamError."""
        if found != wanted:
            raise UpstreamError(_DIFFERS)

    def _require_object(self, answer: requests.Response) -> None:
        """Raises: GoogleAPICallError, UpstreamError when it is the bucket that is missing."""
        if answer.status_code == gcp_errors.MISSING:
            self._require_bucket()
        self.require_success(answer)

    def _require_bucket(self) -> None:
        """The service answers 404 for either. Asked for rarely; listing takes a right that we have. Raises: as `page`."""
        self._require_bucket_in(self.session.send("GET", self._url("", maxResults="1", fields="nextPageToken")))

    def _require_bucket_in(self, answer: requests.Response) -> None:
        """For what needs nothing but the bucket. Raises: GoogleAPICallError, UpstreamError."""
        if answer.status_code == gcp_errors.MISSING:
            raise UpstreamError(_NO_BUCKET)
        self.require_success(answer)

    def _url(self, service: str, name: str | None = None, **query: str) -> str:
        path = self._path if name is None else f"{self._path}/{quote(name, safe='')}"
        return f"/{service}{path}?{urlencode(query)}"


def _entry(about: dict[str, str]) -> Entry:
    """Raises: UpstreamError."""
    try:
        created_s = datetime.fromisoformat(about["timeCreated"]).timestamp()
        return Entry(about["name"], int(about["size"]), int(created_s * 1_000))
    except (KeyError, ValueError) as error:
        raise UpstreamError(_UNEXPECTED) from error
