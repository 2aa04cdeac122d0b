"""What a server loads, and when: memory is mostly modules, and what is loaded before the fork is shared."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import StartServer
from tests.reliability.caller import Caller
from tests.servers import RunningServer

# Of what is installed beside the server, and of what our dependencies could bring.
NEVER = {
    "asyncio", "azure", "boto3", "botocore", "ctypes", "google", "gunicorn.glogging", "logging.config",
    "logging.handlers", "lxml", "msgspec", "multiprocessing", "pkg_resources", "prometheus_flask_exporter", "pydantic",
    "requests", "rich", "setuptools", "sqlite3", "unittest", "yaml",
}  # fmt: skip
# What comes with requests that the others of this kind do not need.
WITH_REQUESTS = {"awscrt", "_awscrt"}
CLIENTS = 8
ASKED_EACH = 20
FORKED = "Booting worker"
IMPORT_LINE = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
SAYS_WHAT_IT_LOADS = {"PYTHONPROFILEIMPORTTIME": "1"}


def test_an_embedded_server_loads_nothing_that_it_does_not_use(start_server: StartServer) -> None:
    server = start_server(environ=SAYS_WHAT_IT_LOADS)
    use(server)
    loaded = {name for module in modules(server.log()) for name in with_parents(module)}
    assert {"app", "flask", "gunicorn", "gevent", "apsw"} <= loaded, "the log does not say what was loaded"
    assert sorted(loaded & NEVER) == []


def test_a_lone_worker_leaves_flask_until_a_request_needs_it(start_server: StartServer) -> None:
    """The probes that `start_server` waits for do not."""
    server = start_server(environ=SAYS_WHAT_IT_LOADS)
    assert "flask" not in modules(server.log())
    use(server)
    assert "flask" in modules(server.log().partition(FORKED)[2])


def test_workers_that_share_the_masters_memory_load_nothing_themselves(start_server: StartServer) -> None:
    server = start_server(environ=SAYS_WHAT_IT_LOADS, workers=2)
    use(server)
    before, _, after = server.log().partition(FORKED)
    assert "flask" in modules(before)
    assert {module.partition(".")[0] for module in modules(after)} <= WITH_REQUESTS


def test_requests_that_need_flask_at_the_same_time_are_all_answered(start_server: StartServer) -> None:
    """The first ones, while hot ones go on."""
    server = start_server()
    together = threading.Barrier(2 * CLIENTS)

    def ask(number: int) -> list[int]:
        with Caller(server) as caller:
            together.wait()
            path = "/" if number % 2 else "/no-such-bucket/key"
            return [caller.call("GET", path).status for _ in range(ASKED_EACH)]

    with ThreadPoolExecutor(2 * CLIENTS) as clients:
        statuses = list(clients.map(ask, range(2 * CLIENTS)))
    assert statuses == [[404] * ASKED_EACH, [200] * ASKED_EACH] * CLIENTS


def use(server: RunningServer) -> None:
    with Caller(server) as caller:
        assert caller.call("PUT", "/bucket").status == 200
        assert caller.call("PUT", "/bucket/key", b"body").status == 200
        assert caller.call("GET", "/bucket/key").body == b"body"
        assert caller.call("GET", "/bucket?list-type=2").status == 200
        assert caller.call("DELETE", "/bucket/key").status == 204


def modules(log: str) -> set[str]:
    return set(IMPORT_LINE.findall(log))


def with_parents(module: str) -> list[str]:
    """a.b.c gives a, a.b and a.b.c."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
