"""What the back ends of Google and Azure keep to before the first request: the server forks after it has imported them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app import registry
from app.config import Config, Storage
from app.config_storage import Azure
from app.settings import ConfigError
from tests.emulators import azure_connection
from tests.servers import ROOT

# Nobody listens on this port: whatever connects fails.
OPENS = """
import os, socket, sys, threading
sys.path.insert(0, {root!r})
from app import registry
from app.config import load_config

socket.socket.connect = None
storage = registry.object_storage({name!r}, load_config({flags!r}, {{}}))
assert threading.active_count() == 1, "before the fork"
child = os.fork()
if not child:
    storage.open()
    assert threading.active_count() == 1, "before the first request"
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
FLAGS = {
    "gcp": {"storage.gcp.bucket": "blobs", "storage.gcp.endpoint_url": "http://127.0.0.1:9"},
    "azure": {
        "storage.azure.container": "blobs",
        "storage.azure.connection_string": azure_connection("http://127.0.0.1:9/account"),
    },
}


@pytest.mark.parametrize("name", FLAGS)
def test_nothing_connects_or_starts_a_thread_before_it_is_needed(name: str) -> None:
    flags = {"storage.backend": name, **FLAGS[name]}
    ended = subprocess.run(
        [sys.executable, "-c", OPENS.format(root=str(ROOT), name=name, flags=flags)], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Azure(connection_string="x"), "storage.azure.container"),
        (Azure(container="c"), "either connection_string or use_managed_identity"),
        (Azure(container="c", connection_string="x", use_managed_identity=True), "either"),
        (Azure(container="c", use_managed_identity=True), "storage.azure.account"),
        (Azure(container="c", use_managed_identity=True, endpoint_url="http://127.0.0.1:9"), "https"),
        (Azure(container="c", connection_string="very secret"), "storage.azure.connection_string: not a"),
    ],
)
def test_settings_of_azure_that_cannot_be(settings: Azure, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        registry.object_storage("azure", Config(storage=Storage(azure=settings))).open()
    assert "very secret" not in str(caught.value)
