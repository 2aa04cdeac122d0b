"""How soon a server answers, and what it needs while nothing happens (the last part of R-02, and of R-18)."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.domain.names import canonical_id
from app.domain.types import Content, NewBucket, NewVersion
from app.metadata.sql.sqlite import SqliteStore
from tests.conftest import StartServer
from tests.process_tree import pss_bytes
from tests.reliability.caller import Caller
from tests.servers import RunningServer

START_MAX_S = 1.0
STARTS = 5
OBJECTS = 10_000
THREADS = 64
# Alone on a machine the tree counts in full what it shares with nobody; beside other Python programs it needs less.
IDLE_PSS_MAX_BYTES = 60_000_000
USED_PSS_MAX_BYTES = 70_000_000  # with the libraries that the first requests load
BODY = b"a small object"


def test_a_server_with_nothing_in_it_answers_within_a_second(start_server: StartServer) -> None:
    assert quickest_start(start_server(workers=2)) < START_MAX_S


def test_a_server_with_ten_thousand_objects_answers_within_a_second_of_a_kill(start_server: StartServer) -> None:
    server = start_server(workers=2)  # its first start lays the store out
    server.kill9()
    fill(server.data_dir / "metadata.db", OBJECTS)
    assert quickest_start(server) < START_MAX_S
    with Caller(server) as caller:
        assert caller.call("GET", f"/bucket/{name(OBJECTS - 1)}").body == BODY


def test_an_idle_server_with_one_worker_is_small(start_server: StartServer) -> None:
    server = start_server(workers=1)
    at_start = pss_bytes(server.pid)
    with Caller(server) as caller:
        assert caller.call("PUT", "/bucket").status == 200
        for number in range(50):
            assert caller.call("PUT", f"/bucket/{number}", BODY).status == 200
            assert caller.call("GET", f"/bucket/{number}").body == BODY
        assert caller.call("GET", "/bucket?list-type=2").status == 200
    after_use = pss_bytes(server.pid)
    print(f"idle: {at_start / 1e6:.1f} MB after the start, {after_use / 1e6:.1f} MB after some use")
    assert at_start < IDLE_PSS_MAX_BYTES
    assert after_use < USED_PSS_MAX_BYTES


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
