"""The azure back end with a managed identity: over TLS, with the tokens that the machine gives out."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from app import registry
from app.config import Config, Storage
from app.config_storage import Azure
from app.domain.errors import ServiceUnavailable
from app.storage import remote_calls
from app.storage.base import ObjectStorage
from tests import emulators
from tests.contract.storage_contract import SHORT, put, read_all
from tests.server.certificates import self_signed

SECRET = "told-to-this-machine-only"


class TokenService(ThreadingHTTPServer):
    """What an app service offers its programs. Azurite looks into a token, and does not ask who signed it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.is_unwilling = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token"


class _Handler(BaseHTTPRequestHandler):
    server: TokenService

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        is_ours = self.headers.get("X-IDENTITY-HEADER") == SECRET and not self.server.is_unwilling
        now_s = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/somebody/", "nbf": now_s - 60,
            "iat": now_s - 60, "exp": now_s + 3_600,
        }  # fmt: skip
        token = ".".join(_encoded(part) for part in ({"alg": "none", "typ": "JWT"}, claims, {}))
        answer = {
            "access_token": token,
            "expires_on": str(now_s + 3_600),
            "token_type": "Bearer",
            "resource": claims["aud"],
        }
        body = json.dumps(answer if is_ours else {"error": "invalid_client"}).encode()
        self.send_response(200 if is_ours else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenService]:
    service = TokenService()
    thread = threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", service.endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", SECRET)
    yield service
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.fixture
def storage(tokens: TokenService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    pem = str(self_signed(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
    with emulators.azurite("--oauth", "basic", "--cert", pem, "--key", pem, scheme="https") as url:
        endpoint = url.replace("127.0.0.1", "localhost")
        emulators.create_azure_container(endpoint, "blobs")
        settings = Azure(container="blobs", endpoint_url=endpoint, use_managed_identity=True)
        made = registry.object_storage("azure", Config(storage=Storage(azure=settings)))
        made.open()
        yield made
        made.close()


def test_a_managed_identity_is_asked_for_once_and_used(storage: ObjectStorage, tokens: TokenService) -> None:
    refs = {put(storage, SHORT) for _ in range(3)}
    assert [read_all(storage.read(ref)) for ref in refs] == [SHORT] * 3
    assert {each.ref for each in storage.scan(1 << 50)} == refs
    assert len(tokens.asked) == 1
    assert "resource=https://storage.azure.com" in unquote(tokens.asked[0])


def test_without_a_token_it_is_unavailable_and_says_what_to_look_at(
    storage: ObjectStorage, tokens: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.is_unwilling = True
    with pytest.raises(ServiceUnavailable):
        put(storage, SHORT)
    (event,) = (record for record in caplog.records if record.name == "bleepstore.storage")
    assert event.__dict__["outcome"] == "refused"
    assert "look at the account" in event.__dict__["reason"]
    assert not storage.check().ok


def test_a_certificate_that_nobody_vouches_for_is_refused(
    storage: ObjectStorage, tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_calls, "FIRST_PAUSE_S", 0.01)
    storage.close()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    storage.open()
    with pytest.raises(ServiceUnavailable):
        put(storage, SHORT)
    assert tokens.asked  # it went that far, and told the stranger nothing
