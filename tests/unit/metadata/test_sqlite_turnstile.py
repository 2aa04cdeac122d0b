"""Turns between processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.metadata.sql.turnstile import Turnstile

ROOT = Path(__file__).parent.parent.parent.parent

GREEDY = """
import sys, time
from app.metadata.sql.turnstile import Turnstile
turnstile = Turnstile(sys.argv[1])
print("ready", flush=True)
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    turnstile.enter()
    time.sleep(0.005)
    turnstile.leave()
"""


def enter(turnstile: Turnstile, entered: threading.Event) -> None:
    turnstile.enter()
    entered.set()


def test_only_one_holds_the_turn(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    one, two = Turnstile(path), Turnstile(path)
    one.enter()
    entered = threading.Event()
    waiting = threading.Thread(target=enter, args=(two, entered))
    waiting.start()
    assert not entered.wait(0.1)
    one.leave()
    assert entered.wait(5)
    waiting.join()
    two.close()
    one.close()


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom app.metadata.sql.turnstile import Turnstile\n"
         "Turnstile(sys.argv[1]).enter()\nprint('held', flush=True)\ntime.sleep(60)", path],
        cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    mine = Turnstile(path)
    got = threading.Event()
    waiting = threading.Thread(target=enter, args=(mine, got))
    waiting.start()
    assert not got.wait(0.1)
    holder.kill()
    assert got.wait(5)
    holder.communicate()
    waiting.join()
    mine.close()


def test_nobody_waits_for_more_than_a_turn_of_each_other_process(tmp_path: Path) -> None:
    """With one lock alone, whoever leaves wins it again, and a waiter may stand for hundreds of turns."""
    path = str(tmp_path / "db")
    greedy = [
        subprocess.Popen([sys.executable, "-c", GREEDY, path, "2"], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)
    ]
    for process in greedy:
        assert process.stdout is not None
        process.stdout.readline()
    turnstile, waits_s = Turnstile(path), []
    for _ in range(30):
        begin = time.monotonic()
        turnstile.enter()
        waits_s.append(time.monotonic() - begin)
        turnstile.leave()
    for process in greedy:
        process.communicate()
    turnstile.close()
    # Three turns of 5 ms; the rest is for a machine that has other things to do.
    assert sorted(waits_s)[len(waits_s) // 2] < 0.06
    assert max(waits_s) < 0.5


def test_the_locks_are_not_inherited_by_programs_that_are_started(tmp_path: Path) -> None:
    turnstile = Turnstile(str(tmp_path / "db"))
    turnstile.enter()
    child = subprocess.Popen(["sleep", "5"], close_fds=False)
    turnstile.close()
    lock = os.open(tmp_path / "db.turn", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)
    child.kill()
    child.wait()
