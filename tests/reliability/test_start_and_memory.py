"""How soon a server answers, and what it needs while nothing happens and after much has (the last part of R-02, and of R-18)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from app.domain.names import canonical_id
from app.domain.types import Content, NewBucket, NewVersion
from app.metadata.sql.sqlite import SqliteStore
from tests.conftest import StartServer
from tests.footprint import MIB, own_bytes
from tests.reliability.caller import Caller
from tests.servers import RunningServer

START_MAX_S = 1.0
STARTS = 5
OBJECTS = 10_000
THREADS = 64
IDLE_MAX_BYTES = 50 * MIB
USED_MAX_BYTES = 73_000_000  # with Flask and with the checksums' library, which the first requests load
BURDENED_PAIR_MAX_BYTES = 140_000_000  # 110 are seen; the ceiling in decision 0022 is for more clients and a full cache
BODY = b"a small object"
CLIENTS = 16
ROUNDS = 40  # each client's
LARGE_BYTES = 32 * MIB
LIBRARIES = "import apsw, flask, gevent, gunicorn, lxml.etree, prometheus_client, yaml"
LIBRARIES_MAX_S = 0.25


def test_a_server_with_nothing_in_it_answers_within_a_second(start_server: StartServer) -> None:
    assert quickest_start(start_server(workers=2)) < start_max_s()


def test_a_server_with_ten_thousand_objects_answers_within_a_second_of_a_kill(start_server: StartServer) -> None:
    server = start_server(workers=2)  # its first start lays the store out
    server.kill9()
    fill(server.data_dir / "metadata.db", OBJECTS)
    assert quickest_start(server) < start_max_s()
    with Caller(server) as caller:
        assert caller.call("GET", f"/bucket/{name(OBJECTS - 1)}").body == BODY


def test_a_server_with_one_worker_is_small(start_server: StartServer) -> None:
    server = start_server(workers=1)
    at_start = own_bytes(server.pid)
    with Caller(server) as caller:
        assert caller.call("PUT", "/bucket").status == 200
        for number in range(50):
            assert caller.call("PUT", f"/bucket/{number}", BODY).status == 200
            assert caller.call("GET", f"/bucket/{number}").body == BODY
        assert caller.call("GET", "/bucket?list-type=2").status == 200
    after_use = own_bytes(server.pid)
    print(f"one worker: {at_start / 1e6:.1f} MB after the start, {after_use / 1e6:.1f} MB after some use")
    assert at_start < IDLE_MAX_BYTES
    assert after_use < USED_MAX_BYTES


def test_two_workers_stay_small_under_a_mixed_load(start_server: StartServer) -> None:
    """Small and large objects written and read, listed and deleted, by all clients at once. The most that is seen counts: see decision 0022."""
    server = start_server(workers=2)
    seen = []
    with Caller(server) as caller:
        assert caller.call("PUT", "/bucket").status == 200
    with ThreadPoolExecutor(CLIENTS) as clients:
        working = [clients.submit(burden, server, number) for number in range(CLIENTS)]
        while not all(each.done() for each in working):
            seen.append(own_bytes(server.pid))
            wait(working, timeout=0.2)
        for each in working:
            each.result()
    after = own_bytes(server.pid)
    print(f"two workers: at most {max(seen) / 1e6:.1f} MB, {after / 1e6:.1f} MB after the load")
    assert max(seen) < BURDENED_PAIR_MAX_BYTES


def burden(server: RunningServer, number: int) -> None:
    """One client's work: mostly small objects, some of 64 KiB and 1 MiB, a large one, listings, deletions."""
    with Caller(server) as caller:
        for turn in range(ROUNDS):
            size = 1 * MIB if turn % 8 == 7 else 65_536 if turn % 4 == 3 else 1_024
            path, body = f"/bucket/{number}/{turn}", number.to_bytes(1, "big") * size
            assert caller.call("PUT", path, body).status == 200
            assert caller.call("GET", path).body == body
            if turn % 10 == 9:
                assert caller.call("GET", f"/bucket?list-type=2&prefix={number}%2F").status == 200
                assert caller.call("DELETE", path).status == 204
        assert caller.call("PUT", f"/bucket/{number}/large", bytes(LARGE_BYTES)).status == 200
        assert len(caller.call("GET", f"/bucket/{number}/large").body) == LARGE_BYTES


def start_max_s() -> float:
    """A second, on a machine that imports the libraries in a quarter of one; in proportion on a slower one."""
    seconds = []
    for _ in range(STARTS):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
        seconds.append(time.monotonic() - begun)
    return START_MAX_S * max(1.0, min(seconds) / LIBRARIES_MAX_S)


def quickest_start(server: RunningServer) -> float:
    """Seconds to the first answer, the server killed before each start. What else the machine does is no start's fault."""
    seconds = [server.restart().started_s for _ in range(STARTS)]
    print(f"starts: {', '.join(f'{each:.2f} s' for each in seconds)}")
    return min(seconds)


def fill(database: Path, objects: int) -> None:
    """Write small objects as a server would: many at a time, so that they share commits."""
    metadata = SqliteStore.from_path(database)
    metadata.open()
    owner_id = canonical_id("root")
    metadata.create_bucket(NewBucket("bucket", owner_id, "us-east-1", 1), "op-bucket")
    etag = hashlib.md5(BODY).hexdigest()

    def publish(number: int) -> None:
        content = Content(is_inline=True, inline=BODY)
        new = NewVersion("bucket", name(number), f"v{number}", owner_id, number, len(BODY), etag, content)
        metadata.publish(new, None, f"op-{number}")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(publish, range(objects)))
    metadata.close()


def name(number: int) -> str:
    return f"folder{number % 100}/{number}"
