"""R-02 for the engine alone: processes that write are killed, and everything they were told is committed is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.metadata.sql.space import WAL_CHECKPOINT_BYTES
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store

ROOT = Path(__file__).parent.parent.parent.parent
WRITERS = 2
CYCLES = 4

WRITE = """
import os, sys, threading
from app.metadata.sql import space
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import new_version
space.WAL_CHECKPOINT_BYTES = int(sys.argv[3])
store = SqliteStore.from_path(sys.argv[1])
store.open()
def put(thread):
    number = 0
    while True:
        key = f"{sys.argv[2]}-{thread}-{number}"
        store.publish(new_version(key, key.encode() * 20 if number % 2 else None), None, "op")
        os.write(1, (key + "\\n").encode())
        number += 1
for thread in range(8):
    threading.Thread(target=put, args=(thread,)).start()
"""

FORK = """
import apsw
getattr(apsw, "fork_checker", lambda: None)()  # where apsw was built with it
import os, sys
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import made_store, new_version
from pathlib import Path
store = made_store(Path(sys.argv[1]))
children = []
for child in range(2):
    pid = os.fork()
    if pid == 0:
        store.open()
        for number in range(20):
            store.publish(new_version(f"{child}-{number}"), None, "op")
        os._exit(0)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
store.open()
print(codes, len(store.scan_versions(0, 100)), store.verify())
store.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint_bytes", [WAL_CHECKPOINT_BYTES, 65_536], ids=["seldom", "always checkpointing"])
def test_what_was_acknowledged_survives_the_death_of_its_writers(checkpoint_bytes: int, tmp_path: Path) -> None:
    """R-02: 2 processes of 8 threads, killed together at a random moment, again and again over the same file."""
    path = made_store(tmp_path).path
    acknowledged: list[str] = []
    for cycle in range(CYCLES):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITE, path, f"{cycle}-{n}", str(checkpoint_bytes)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
            for n in range(WRITERS)
        ]
        time.sleep(1.0 + 0.17 * cycle)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            said = writer.communicate()[0].decode()
            acknowledged += said[: said.rfind("\n") + 1].splitlines()
    store = SqliteStore.from_path(path)
    begin = time.monotonic()
    store.migrate()
    store.open()
    assert time.monotonic() - begin < 1
    assert len(acknowledged) > 100
    for key in acknowledged:
        version = store.look_up(BUCKET, key, inline=True).version
        assert version is not None, key
        assert version.content.inline in (None, key.encode() * 20)
    assert store.verify() == []
    store.close()


def test_a_store_made_before_fork_is_opened_by_each_child(tmp_path: Path) -> None:
    """As the master does it: it migrates, opens nothing, and forks. A connection that crossed would corrupt the file."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[0, 0] 40 []", done.stderr
    assert os.path.exists(tmp_path / "metadata.db")
