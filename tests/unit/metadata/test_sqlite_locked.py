"""R-13: another program holds the database. Reads go on, the hub goes on, writes wait, and then are told to slow down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from app.domain.errors import SlowDown
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, new_version

ROOT = Path(__file__).parent.parent.parent.parent

SERVE = """
import gevent, json, sys, time
from app import runtime
runtime.enable_gevent()
from app.domain.types import ListQuery
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, new_version
store = SqliteStore.from_path(sys.argv[1])
store.open()
store.publish(new_version("k", b"body"), None, "op")
print("ready", flush=True)
sys.stdin.readline()  # the lock is taken
stalls, reads, last = [], [], time.perf_counter()
end = last + float(sys.argv[2]) + 1
def tick():
    global last
    while time.perf_counter() < end:
        now = time.perf_counter()
        stalls.append(now - last)
        last = now
        gevent.sleep(0.002)
def read():
    while time.perf_counter() < end:
        begin = time.perf_counter()
        assert store.look_up(BUCKET, "k", inline=True).version.content.inline == b"body"
        store.list_current(ListQuery(BUCKET))
        reads.append(time.perf_counter() - begin)
        gevent.sleep(0.005)
begin = time.perf_counter()
writes = []
def write(number):
    store.publish(new_version(f"w{number}"), None, "op")
    writes.append(time.perf_counter() - begin)
gevent.joinall([gevent.spawn(tick), gevent.spawn(read), *[gevent.spawn(write, n) for n in range(8)]], raise_error=True)
healthy = store.check().ok
reads.sort()
print(json.dumps({"stalls_ms": [stall * 1000 for stall in sorted(stalls[1:])[-3:]], "reads": len(reads), "writes_s": writes,
                  "p99_ms": reads[int(len(reads) * 0.99)] * 1000, "healthy": healthy}), flush=True)
"""


def test_a_lock_of_three_seconds_stops_writes_and_nothing_else(tmp_path: Path) -> None:
    """R-13: GETs p99 < 100 ms, the hub stalls < 50 ms, PUTs wait and then succeed."""
    path, held_s = made_store(tmp_path).path, 3.0
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, path, str(held_s)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdin is not None
    assert server.stdout.readline() == "ready\n"
    other = apsw.Connection(path)
    other.execute("BEGIN IMMEDIATE")
    server.stdin.write("locked\n")
    server.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        server.wait(held_s)
    other.execute("ROLLBACK")
    other.close()
    said = json.loads(server.communicate()[0])
    print("R-13:", {**said, "writes_s": f"{min(said['writes_s']):.2f}…{max(said['writes_s']):.2f}"})
    assert said["p99_ms"] < 100
    # Two hiccups of a busy machine are forgiven; a hub that waits for the lock stands for seconds.
    assert said["stalls_ms"][0] < 50
    assert said["stalls_ms"][-1] < 500
    assert said["reads"] > 50
    assert len(said["writes_s"]) == 8
    assert held_s - 0.5 < min(said["writes_s"]) <= max(said["writes_s"]) < held_s + 1
    assert said["healthy"]


def test_a_lock_that_stays_is_answered_with_slow_down_and_readiness_says_so(tmp_path: Path) -> None:
    """R-13, with two seconds for ten."""
    store = made_store(tmp_path, wait_max_s=2.0)
    store.open()
    store.publish(new_version("k", b"body"), None, "op")
    other = apsw.Connection(store.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SlowDown):
        store.publish(new_version("late"), None, "op")
    health = store.check()
    assert not health.ok
    assert health.detail
    assert store.look_up(BUCKET, "k", inline=True).version is not None
    other.execute("ROLLBACK")
    other.close()
    store.publish(new_version("again"), None, "op")
    assert store.check().ok
    assert [version.key for version in store.scan_versions(0, 10)] == ["k", "again"]
    store.close()
