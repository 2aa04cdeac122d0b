"""Who we are to Google's service, and the connections to it: by google-cloud-storage, which finds both."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage as sdk
from google.oauth2 import service_account

from app.settings import ConfigError
from app.storage import gcp_errors
from app.storage.http_pool import prepare
from app.storage.remote_calls import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Trouble, UpstreamError

if TYPE_CHECKING:
    from app.config_storage import Gcp

GOOGLES = ".googleapis.com"  # an address of the service itself, through a private endpoint for example
LOOK_AGAIN_S = 5.0  # so often credentials are looked for, where there were none
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"

_TIMEOUTS_S = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)

# What it has to say is no event of ours, and without any handler it would go to standard error as it is.
logging.getLogger("google").addHandler(logging.NullHandler())


class GcpSession:
    """All threads share it.

    Connects to nothing before the first request: to find the default credentials, the machine's metadata service may be
    asked, which takes a while where there is none.
    """

    def __init__(self, settings: Gcp) -> None:
        """Raises: ConfigError."""
        self._endpoint = settings.endpoint_url.rstrip("/")
        self._project = settings.project or None
        self._credentials = _credentials(settings)
        self._lock = threading.Lock()
        self._client: sdk.Client | None = None
        self._looked_s = 0.0
        self._trouble: Trouble | None = None  # of that look

    def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Iterable[memoryview] | memoryview | bytes | None = None,
        *,
        is_stream: bool = False,
    ) -> requests.Response:
        """The answer, whatever it says. `url` may begin with a slash, behind the service's own address.

        Raises: UpstreamError without credentials, requests' and google.auth's exceptions.
        """
        client = self._client or self._connect()
        session: requests.Session = client._http  # what the vendor's own advice reaches for, for a larger pool
        data: Any = body  # urllib3 takes an iterable of memoryviews, though the types of requests say nothing of it
        return session.request(
            method,
            f"{client.api_endpoint}{url}" if url.startswith("/") else url,
            data=data,
            headers=headers,
            timeout=_TIMEOUTS_S,
            stream=is_stream,
            allow_redirects=False,
        )

    def reachable(self, url: str) -> str:
        """A URL of the service through the endpoint that was configured: what stands behind may name itself otherwise."""
        parts = urlsplit(url)
        return f"{self._endpoint}{parts.path}?{parts.query}" if self._endpoint else url

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connect(self) -> sdk.Client:
        """Others wait for the look, and take its outcome. Raises: UpstreamError."""
        with self._lock:
            if self._client is not None:
                return self._client
            if self._trouble is None or time.monotonic() - self._looked_s >= LOOK_AGAIN_S:
                try:
                    self._client = self._make()
                    return self._client
                except GoogleAuthError as error:
                    self._trouble = gcp_errors.classify(error)
                    self._looked_s = time.monotonic()
            assert self._trouble is not None, "every GoogleAuthError is known"
            raise UpstreamError(self._trouble)

    def _make(self) -> sdk.Client:
        options = {"api_endpoint": self._endpoint} if self._endpoint else None
        client = sdk.Client(project=self._project, credentials=self._credentials, client_options=options)
        prepare(client._http, client.api_endpoint)
        return client


def _credentials(settings: Gcp) -> Any:
    """None for the default ones. Raises: ConfigError."""
    if settings.credentials_file:
        try:
            return service_account.Credentials.from_service_account_file(settings.credentials_file, scopes=(SCOPE,))
        except (OSError, ValueError, GoogleAuthError) as error:
            complaint = str(error).partition("\n")[0]
            raise ConfigError(f"storage.gcp.credentials_file: {complaint}") from error
    host = urlsplit(settings.endpoint_url).hostname or ""
    return AnonymousCredentials() if host and not host.endswith(GOOGLES) else None
