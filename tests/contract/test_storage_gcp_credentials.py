"""The gcp back end with a service account's file: the tokens that it is given, and what it does without one."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app import registry
from app.config import Config, Storage
from app.config_storage import Gcp
from app.domain.errors import ServiceUnavailable
from app.settings import ConfigError
from app.storage import gcp_session, remote_calls
from app.storage.base import ObjectStorage
from tests import emulators
from tests.components import require
from tests.contract.storage_contract import SHORT, put, read_all
from tests.fault_proxy import ALWAYS, Exchange, Fault, FaultProxy, passing

TOKEN = "a-token-for-an-hour"


class TokenService(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token"


class _Handler(BaseHTTPRequestHandler):
    server: TokenService

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        answer = {"access_token": TOKEN, "expires_in": 3_600, "token_type": "Bearer"}
        body = json.dumps(answer if self.server.status == 200 else {"error": "invalid_grant"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    service = TokenService()
    thread = threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield service
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.fixture
def account(tokens: TokenService, tmp_path: Path) -> Path:
    """A service account's file, as the console gives it out."""
    key = subprocess.run([require("openssl"), "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
    about = {
        "type": "service_account", "project_id": "somebody", "private_key_id": "1", "private_key": key,
        "client_email": "bleepstore@somebody.iam.gserviceaccount.com", "client_id": "1", "token_uri": tokens.url,
    }  # fmt: skip
    path = tmp_path / "account.json"
    path.write_text(json.dumps(about))
    return path


@pytest.fixture
def proxy(fake_gcs: str) -> Iterator[FaultProxy]:
    with FaultProxy(fake_gcs) as running:
        yield running


@pytest.fixture
def storage(fake_gcs: str, proxy: FaultProxy, account: Path) -> Iterator[ObjectStorage]:
    emulators.create_gcs_bucket(fake_gcs, "signed")
    made = make(Gcp(bucket="signed", endpoint_url=proxy.url, credentials_file=str(account)))
    made.open()
    yield made
    made.close()


def make(settings: Gcp) -> ObjectStorage:
    return registry.object_storage("gcp", Config(storage=Storage(gcp=settings)))


def test_a_token_is_asked_for_once_and_goes_with_every_request(
    storage: ObjectStorage, proxy: FaultProxy, tokens: TokenService
) -> None:
    bearers: list[str] = []

    def note(exchange: Exchange) -> None:
        bearers.append(exchange.header("authorization"))
        passing(exchange)

    proxy.add(Fault(note, times=ALWAYS))
    ref = put(storage, SHORT)
    assert read_all(storage.read(ref)) == SHORT
    storage.delete(ref)
    assert list(storage.scan(1 << 50)) == []
    assert bearers == [f"Bearer {TOKEN}"] * 4
    assert tokens.asked == 1


@pytest.mark.parametrize("outcome", ["refused", "away"])
def test_without_a_token_it_is_unavailable(
    storage: ObjectStorage,
    proxy: FaultProxy,
    tokens: TokenService,
    outcome: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_calls, "FIRST_PAUSE_S", 0.01)
    tokens.status = 400
    if outcome == "away":
        tokens.shutdown()
        tokens.server_close()
    with pytest.raises(ServiceUnavailable):
        put(storage, SHORT)
    (event,) = (record for record in caplog.records if record.name == "bleepstore.storage")
    assert event.__dict__["outcome"] == outcome
    assert "credentials" in event.__dict__["reason"]
    assert proxy.seen == []


def test_credentials_that_are_not_there_are_a_mistake_of_the_configuration(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"storage.gcp.bucket"):
        make(Gcp())
    with pytest.raises(ConfigError, match=r"storage.gcp.credentials_file: .*No such file"):
        make(Gcp(bucket="b", credentials_file=str(tmp_path / "none.json"))).open()
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"private_key": "very secret"}')
    with pytest.raises(ConfigError, match=r"storage.gcp.credentials_file") as caught:
        make(Gcp(bucket="b", credentials_file=str(wrong))).open()
    assert "very secret" not in str(caught.value)


def test_default_credentials_are_looked_for_again_where_there_were_none(
    fake_gcs: str, account: Path, tokens: TokenService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    # The last is the vendor's own way to say where the service is.
    for name, value in {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "API_ENDPOINT_OVERRIDE": fake_gcs}.items():
        monkeypatch.setenv(name, value)
    emulators.create_gcs_bucket(fake_gcs, "signed")
    storage = make(Gcp(bucket="signed"))
    storage.open()
    assert storage.check().detail.startswith("DefaultCredentialsError: look at the credentials")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    with pytest.raises(ServiceUnavailable):
        put(storage, SHORT)  # they are not looked for with every request
    monkeypatch.setattr(gcp_session, "LOOK_AGAIN_S", 0.0)
    assert read_all(storage.read(put(storage, SHORT))) == SHORT
    assert tokens.asked == 1
    storage.close()
