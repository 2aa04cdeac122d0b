"""Blobs as block blobs in a container of an Azure storage account.

Every blob is written where there is none (If-None-Match: *): what has a name never changes (I1), so a download may be
gone on with by name, and a request that is repeated because an answer was lost is refused, which says that its bytes may
be there. Each request that carries bytes carries their MD5, and the service compares it.

A large blob goes up as blocks under one name, which a list makes one blob in the end. Blocks that no list names are
dropped by the service after a week.

azure-storage-blob knows the account, signs and lists. Requests for blobs are made here and go through its pipeline, its own
retries off: its methods copy what they upload, and keep what they download whole.

Source: "Blob service REST API", Microsoft Learn.
"""

from __future__ import annotations

import base64
import logging
import os
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import requests
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.storage.blob import ContainerClient

from app.domain.digests import checksum_of
from app.settings import ConfigError, chosen
from app.storage import azure_errors
from app.storage.http_pool import Pieces, ResponseDownload, prepare
from app.storage.remote import GARBAGE_GRACE_S, RemoteStorage
from app.storage.remote_calls import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Kind, Trouble, UpstreamError
from app.storage.remote_upstream import Download, Entry, Page, Upload, Upstream

if TYPE_CHECKING:
    from app.config import Config
    from app.config_storage import Azure

BLOCKS_MAX = 50_000
PAGE_ENTRIES_MAX = 1_000

# What they have to say is no event of ours, and without any handler it would go to standard error as it is.
for _name in ("azure", "msal"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

DIFFERS = Trouble(Kind.WRONG, "StoredBytesDiffer")


class AzureStorage(RemoteStorage):
    name = "azure"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        settings, grace = config.storage.azure, config.storage.garbage_grace_s
        _check(settings)
        return cls(
            lambda: AzureUpstream(settings),
            prefix=settings.prefix,
            garbage_grace_s=chosen(grace, GARBAGE_GRACE_S),
        )


class AzureUpstream(Upstream):
    """One container."""

    parts_max = BLOCKS_MAX
    flights_max = 2

    def __init__(self, settings: Azure) -> None:
        self._session = requests.Session()
        self._container = _make_client(settings, self._session)
        prepare(self._session, self._container.url)
        # A connection string may hold a shared access signature instead of a key.
        self._url, _, self._signature = self._container.url.partition("?")

    def classify(self, error: Exception) -> Trouble | None:
        return azure_errors.classify(error)

    def close(self) -> None:
        self._container.close()
        self._session.close()

    # -- writing -------------------------------------------------------------------------------------------------

    def put(self, name: str, content: memoryview) -> None:
        md5 = checksum_of("MD5", content)
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
        try:
            self.send("PUT", name, "", headers, content, md5)
        except HttpResponseError as error:
            if azure_errors.code_of(error) not in azure_errors.THERE_ALREADY:
                raise
            found = self.send("HEAD", name)  # of an attempt whose answer was lost
            if (found.headers.get("Content-Length"), found.headers.get("Content-MD5")) != (str(len(content)), md5):
                raise UpstreamError(DIFFERS) from error

    def begin(self, name: str) -> Upload:
        return BlockUpload(self, name)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, name: str, start: int, end: int | None) -> Download:
        headers = {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["x-ms-range"] = f"bytes={start}-{'' if end is None else end - 1}"
        # By its own reading the client waits until a piece is whole, however slowly it comes.
        return ResponseDownload(self.send("GET", name, "", headers, is_stream=True).internal_response, start)

    def size(self, name: str) -> int:
        return int(self.send("HEAD", name).headers["Content-Length"])

    def page(self, prefix: str, cursor: str | None) -> Page:
        found = self._container.list_blobs(name_starts_with=prefix, results_per_page=PAGE_ENTRIES_MAX)
        pages: Any = found.by_page(cursor)
        entries = [Entry(blob.name, blob.size, int(blob.last_modified.timestamp() * 1_000)) for blob in next(pages, ())]
        return Page(entries, pages.continuation_token or None)

    # -- deleting ------------------------------------------------------------------------------------------------

    def delete(self, name: str) -> None:
        try:
            self.send("DELETE", name)
        except HttpResponseError as error:
            if azure_errors.code_of(error) != azure_errors.NO_BLOB:
                raise

    # -- requests, also for uploads ------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        name: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        content: memoryview | None = None,
        md5: str = "",
        *,
        is_stream: bool = False,
    ) -> Any:
        """The answer to a request for one blob, its body read unless it is a stream. Raises: AzureError."""
        sent = {"x-ms-version": self._container.api_version, **(headers or {})}
        if content is not None:
            sent |= {
                "Content-Length": str(len(content)),
                "Content-Type": "application/octet-stream",
                "Content-MD5": md5,
            }
        body: Any = Pieces((content,)) if content else None  # nothing is known of such an iterable's type
        question = "&".join(part for part in (query, self._signature) if part)
        request = HttpRequest(
            method, f"{self._url}/{quote(name, safe='/~')}{'?' if question else ''}{question}", headers=sent,
            content=body,
        )  # fmt: skip
        # The client signs here. Other packages of the vendor build on this too.
        answer = self._container._pipeline.run(request, stream=is_stream).http_response
        if 200 <= answer.status_code < 300:
            return answer
        if is_stream:
            with answer:
                answer.read()
        raise HttpResponseError(response=answer)


class BlockUpload(Upload):
    """Blocks under the name of a blob that is not there yet."""

    def __init__(self, upstream: AzureUpstream, name: str) -> None:
        self._upstream = upstream
        self._name = name
        self._parts = 0

    def put_part(self, number: int, content: memoryview, is_last: bool) -> None:
        block = quote(_block(number))
        self._upstream.send(
            "PUT", self._name, f"comp=block&blockid={block}", None, content, checksum_of("MD5", content)
        )
        self._parts = max(self._parts, number)

    def complete(self, size_bytes: int) -> None:
        if not self._list(self._parts) and self._upstream.size(self._name) != size_bytes:
            raise UpstreamError(DIFFERS)

    def abort(self) -> None:
        """Blocks cannot be deleted, but a list leaves out, and drops, all that it does not name."""
        if self._list(0):
            self._upstream.delete(self._name)
        # Else the blob came to be after all. Nobody knows its name, and the sweep finds it.

    def _list(self, parts: int) -> bool:
        """Make these the blob, where there is none; whether it has come to be by this. Raises: HttpResponseError."""
        blocks = "".join(f"<Latest>{_block(number)}</Latest>" for number in range(1, parts + 1))
        content = memoryview(f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode())
        md5 = checksum_of("MD5", content)
        try:
            self._upstream.send("PUT", self._name, "comp=blocklist", {"If-None-Match": "*"}, content, md5)
        except HttpResponseError as error:
            if azure_errors.code_of(error) not in azure_errors.THERE_ALREADY:
                raise
            return False
        return True


def _block(number: int) -> str:
    """A block's name: base64, of one length for all blocks of a blob."""
    return base64.b64encode(b"%08d" % number).decode()


def _check(settings: Azure) -> None:
    """Raises: ConfigError."""
    if not settings.container:
        raise ConfigError("storage.azure.container: the container that holds the objects' bytes must be named")
    if bool(settings.connection_string) == settings.use_managed_identity:
        raise ConfigError("storage.azure: give either connection_string or use_managed_identity")
    if settings.use_managed_identity and not (settings.account or settings.endpoint_url):
        raise ConfigError("storage.azure.account: a managed identity needs the name of the account")
    if settings.use_managed_identity and settings.endpoint_url.startswith("http://"):
        raise ConfigError("storage.azure.endpoint_url: a managed identity goes over https only")


def _make_client(settings: Azure, session: requests.Session) -> ContainerClient:
    """Connects to nothing. Raises: ConfigError."""
    transport = RequestsTransport(
        session=session,
        session_owner=False,
        connection_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        connection_verify=None,  # as the session has it
    )
    options: dict[str, Any] = {"transport": transport, "retry_total": 0}
    if settings.use_managed_identity:
        account_url = settings.endpoint_url or f"https://{settings.account}.blob.core.windows.net"
        return ContainerClient(account_url, settings.container, credential=_managed_identity(), **options)
    parts = [part for part in settings.connection_string.strip().split(";") if part]
    if settings.endpoint_url:
        parts = [part for part in parts if not part.lower().startswith("blobendpoint=")]
        parts.append(f"BlobEndpoint={settings.endpoint_url}")
    try:
        return ContainerClient.from_connection_string(";".join(parts), settings.container, **options)
    except ValueError:
        # Not its text: it may hold the key.
        raise ConfigError("storage.azure.connection_string: not a connection string of a storage account") from None


def _managed_identity() -> Any:
    """Of the machine, or of the pod where it has one; AZURE_CLIENT_ID chooses where there are several."""
    from azure.identity import ManagedIdentityCredential  # half as large as all the rest, and seldom needed

    return ManagedIdentityCredential(
        client_id=os.environ.get("AZURE_CLIENT_ID"),
        connection_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retry_total=1,
    )
