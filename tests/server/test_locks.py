"""Who may use a data directory: one server's workers together, recovery alone, a second server not at all."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.locks import DataLock, DataLocked, lock_holders
from tests.conftest import StartServer
from tests.server.conftest import eventually
from tests.servers import ROOT, RunningServer, ServerDied


@pytest.fixture
def claimed(tmp_path: Path) -> Path:
    """A directory that server "a1" has recovered."""
    with DataLock(tmp_path).exclusive() as lock:
        lock.claim("a1", 4242)
    return tmp_path


def ticking() -> Iterator[float]:
    """A clock of which every look costs two seconds, so that nobody waits for real."""
    return itertools.count(0.0, 2.0)


def test_workers_of_one_server_share(claimed: Path) -> None:
    first, second = DataLock(claimed), DataLock(claimed)
    first.share("a1")
    second.share("a1")
    assert lock_holders(os.stat(claimed / ".lock").st_ino) == [os.getpid()]
    first.release()
    second.release()


def test_another_servers_worker_is_refused(claimed: Path) -> None:
    with pytest.raises(DataLocked, match="belongs to another server.*process 4242"):
        DataLock(claimed).share("b2")


def test_a_tool_may_share_with_whoever_serves(claimed: Path) -> None:
    lock = DataLock(claimed)
    lock.share(None)
    lock.release()


def test_recovery_is_refused_while_a_worker_lives_and_names_it(claimed: Path) -> None:
    worker = DataLock(claimed)
    worker.share("a1")
    clock = ticking()
    with pytest.raises(DataLocked) as refusal, DataLock(claimed, clock.__next__).exclusive():
        pytest.fail("two had it at once")
    assert f"held by process {os.getpid()}" in str(refusal.value)
    assert "master is process 4242" in str(refusal.value)
    worker.release()


def test_recovery_waits_for_the_last_of_a_dead_master(claimed: Path) -> None:
    orphan = DataLock(claimed)
    orphan.share("a1")
    timer = threading.Timer(0.1, orphan.release)
    timer.start()
    with DataLock(claimed).exclusive() as lock:
        lock.claim("b2", 1)
    timer.join()
    with pytest.raises(DataLocked):
        DataLock(claimed).share("a1")


def test_a_lock_ends_with_its_process_and_is_not_inherited(claimed: Path) -> None:
    code = (
        "import subprocess, sys; from app.server.locks import DataLock\n"
        f"DataLock({str(claimed)!r}).share('a1')\n"
        "subprocess.Popen(['sleep', '30'], close_fds=False); print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert lock_holders(os.stat(claimed / ".lock").st_ino) == [holder.pid]
    holder.kill()
    holder.wait()
    with DataLock(claimed).exclusive(wait_ms=500):
        os.killpg(holder.pid, signal.SIGKILL)  # its child lived until now and held nothing
    holder.stdin.close()
    holder.stdout.close()


def test_the_kernels_table_is_read(tmp_path: Path) -> None:
    table = tmp_path / "locks"
    table.write_text(
        "1: POSIX  ADVISORY  WRITE 11 fe:01:77 0 EOF\n"
        "2: FLOCK  ADVISORY  READ  22 fe:01:77 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 33 fe:01:77 0 EOF\n"
        "3: FLOCK  ADVISORY  READ  44 fe:01:777 0 EOF\n"
        "4: FLOCK  ADVISORY  READ  -1 fe:01:77 0 EOF\n"
    )
    assert lock_holders(77, table) == [22]
    assert lock_holders(77, tmp_path / "absent") == []


# -- The real server ---------------------------------------------------------------------------------------------

LOCAL = ("--metadata.engine", "memory", "--storage.backend", "local")


def lock_of(server: RunningServer) -> Path:
    (path,) = [*server.data_dir.rglob(".lock"), *server.data_dir.parent.glob(".lock")][:1]
    return path


def test_a_second_server_on_the_same_data_is_refused_by_name(start_server: StartServer) -> None:
    first = start_server(*LOCAL)
    began = time.monotonic()
    with pytest.raises(ServerDied, match=r"cannot start: .* is in use: held by process"):
        start_server(*LOCAL, data_dir=first.data_dir)
    assert 4.5 < time.monotonic() - began < 10.0
    assert first.client().list_buckets()["Buckets"] == []
    (worker,) = first.worker_pids()
    assert lock_holders(os.stat(lock_of(first)).st_ino) == [worker]


def test_a_restart_after_kill_9_has_the_data_at_once(start_server: StartServer) -> None:
    server = start_server(*LOCAL)
    for _ in range(2):
        os.kill(server.pid, signal.SIGKILL)  # the master alone: its worker has to go by itself
        assert server.process is not None
        server.process.wait()
        server.start()
        assert server.started_s < 3.0


def test_a_killed_worker_takes_the_lock_again(start_server: StartServer) -> None:
    server = start_server(*LOCAL)
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: server.worker_pids() not in ([], [worker]))
    assert server.client().list_buckets()["Buckets"] == []
