"""S-21 behind a proxy that shares its connections: what it takes for one request, the server takes for one.

Seen to fail: with a server that reads a GET's body as its next request.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.conftest import StartServer
from tests.server.conftest import eventually
from tests.server.nginx import Nginx, running_nginx
from tests.server.smuggling import BUCKET, ambiguous
from tests.server.ways import stream_of
from tests.server.wire import ask, get
from tests.servers import RunningServer

WAYS = {"short": "true", "long": "false"}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest, start_server: StartServer) -> RunningServer:
    """One worker, so that all of nginx's connections lead to it."""
    environ = {"BLEEPSTORE_SERVER_SHORT_WAY": WAYS[request.param]}
    started = start_server("--server.log_format", "json", environ=environ)
    started.client().create_bucket(Bucket=BUCKET)
    started.client().put_bucket_acl(Bucket=BUCKET, ACL="public-read-write")
    return started


@pytest.fixture(params=["whole bodies", "bodies as they come"])
def nginx(request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path) -> Iterator[Nginx]:
    with running_nginx(tmp_path / "nginx", server.port, buffers=request.param == "whole bodies") as proxy:
        yield proxy


def test_server_and_proxy_never_disagree_on_where_a_request_ends(server: RunningServer, nginx: Nginx) -> None:
    """S-21: each request that nginx passed on was served once, none besides, and a stranger behind gets his own answer."""
    for number, (name, sent) in enumerate(ambiguous()):
        stream_of(nginx.port, sent)
        answer = ask(nginx.port, get(f"/{BUCKET}/marker-{number}"))
        assert (answer.status, b"<Key>marker-%d</Key>" % number in answer.body) == (404, True), name
    assert eventually(lambda: not _unlike(server, nginx)), _unlike(server, nginx)


def _unlike(server: RunningServer, nginx: Nginx) -> list[str]:
    """Objects that were asked for otherwise than nginx did, or not by it at all."""
    asked = {request_id: path_of(target) for target, request_id in nginx.asked() if request_id != "-"}
    given_up = Counter(path_of(target) for target, request_id in nginx.asked() if request_id == "-")
    found = []
    for line in server.log().splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") != "request.finished" or not event.get("key"):
            continue
        served, wanted = f"/{event['bucket']}/{event['key']}", asked.pop(event["request_id"], "")
        if not wanted:  # nginx went away in the middle of a body that it found broken
            given_up[served] -= 1
        if wanted not in ("", served) or given_up[served] < 0:
            found.append(f"{served} was served, {wanted or 'nothing'} was asked for")
    return found


def path_of(target: str) -> str:
    """Decoded, of a target that may have an origin in front."""
    path = target.partition("?")[0]
    return unquote(path if path.startswith("/") else "/" + path.split("/", 3)[-1])
