"""Threads and greenlets: groups, withdrawal, and that the hub goes on meanwhile. Each gevent case is a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import runtime
from app.domain.errors import SlowDown

ROOT = Path(__file__).parent.parent.parent


def double(tickets: list[runtime.Ticket[int, int]]) -> None:
    for ticket in tickets:
        if ticket.item < 0:
            ticket.error = ValueError(ticket.item)
        else:
            ticket.result = ticket.item * 2


def test_every_submitter_gets_its_own_answer() -> None:
    thread: runtime.SerialThread[int, int] = runtime.SerialThread("double", double)
    thread.start()
    answers: list[list[int]] = [[] for _ in range(8)]

    def ask(answer: list[int], base: int) -> None:
        answer.extend(thread.submit(base + offset) for offset in range(200))

    askers = [threading.Thread(target=ask, args=(answers[n], n * 1000)) for n in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    thread.stop()
    assert answers == [[(n * 1000 + offset) * 2 for offset in range(200)] for n in range(8)]


def test_an_error_is_raised_at_its_submitter_only() -> None:
    thread: runtime.SerialThread[int, int] = runtime.SerialThread("double", double)
    thread.start()
    with pytest.raises(ValueError, match="-1"):
        thread.submit(-1)
    assert thread.submit(2) == 4
    thread.stop()


def test_work_not_begun_in_time_is_withdrawn_and_never_done() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def block(tickets: list[runtime.Ticket[str, None]]) -> None:
        for ticket in tickets:
            done.append(ticket.item)
        begun.set()
        go_on.wait(10)

    thread: runtime.SerialThread[str, None] = runtime.SerialThread("block", block, group_max=1)
    thread.start()
    first = threading.Thread(target=thread.submit, args=("first",))
    first.start()
    begun.wait(10)
    with pytest.raises(SlowDown):
        thread.submit("late", wait_max_s=0.05)
    go_on.set()
    first.join()
    thread.stop()
    assert done == ["first"]


def in_gevent(body: str) -> str:
    """What `body` prints, run in a process patched by gevent."""
    prelude = "from gevent import monkey; monkey.patch_all()\nimport gevent, time\nfrom app import runtime\nruntime.enable_gevent()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + body], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


def test_the_hub_goes_on_while_greenlets_wait_for_the_thread() -> None:
    printed = in_gevent("""
nap = monkey.get_original("time", "sleep")
def slow(tickets):
    nap(0.3)
    for ticket in tickets:
        ticket.result = len(tickets)
thread = runtime.SerialThread("slow", slow)
thread.start()
turns = []
def tick():
    while True:
        turns.append(1)
        gevent.sleep(0.01)
ticking = gevent.spawn(tick)
waiting = [gevent.spawn(thread.submit, n) for n in range(20)]
gevent.joinall(waiting)
print(len(turns) > 10, sum(greenlet.value is not None for greenlet in waiting), max(g.value for g in waiting) > 1)
""")
    assert printed == "True 20 True"


def test_a_greenlet_that_waits_too_long_gets_slow_down() -> None:
    printed = in_gevent("""
from app.domain.errors import SlowDown
nap = monkey.get_original("time", "sleep")
def slow(tickets):
    nap(0.3)
thread = runtime.SerialThread("slow", slow, group_max=1)
thread.start()
first = gevent.spawn(thread.submit, 1)
gevent.sleep(0.05)
try:
    thread.submit(2, 0.05)
except SlowDown:
    print("withdrawn")
first.get()
""")
    assert printed == "withdrawn"


def test_offloaded_work_runs_beside_the_hub_and_its_exception_comes_back_silently() -> None:
    printed = in_gevent("""
nap = monkey.get_original("time", "sleep")
begin = time.perf_counter()
gevent.joinall([gevent.spawn(runtime.offload, nap, 0.2) for _ in range(8)])
print(time.perf_counter() - begin < 1)
try:
    runtime.offload(int, "x")
except ValueError:
    print("raised")
print(runtime.gather([lambda n=n: n for n in range(5)], 2))
""")
    assert printed.splitlines() == ["True", "raised", "[0, 1, 2, 3, 4]"]
