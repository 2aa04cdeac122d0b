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
    """What `body` prints, run in a process with a hub."""
    prelude = "import gevent, time, _thread\nfrom app import runtime\nruntime.enable_gevent()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + body], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


def test_the_hub_goes_on_while_greenlets_wait_for_the_thread() -> None:
    printed = in_gevent("""
nap = time.sleep
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


def test_what_the_hub_submits_in_one_turn_is_one_group() -> None:
    printed = in_gevent("""
nap = time.sleep
groups = []
thread = runtime.SerialThread("count", lambda tickets: groups.append(len(tickets)))
thread.start()
def ask(n):
    nap(0.002)  # a system call: the thread could run meanwhile
    thread.submit(n)
for _ in range(3):
    gevent.sleep(0.05)  # the thread has nothing to do and waits
    gevent.joinall([gevent.spawn(ask, n) for n in range(20)])
print(groups)
""")
    assert printed == "[20, 20, 20]"


def test_a_greenlet_that_waits_too_long_gets_slow_down() -> None:
    printed = in_gevent("""
from app.domain.errors import SlowDown
nap = time.sleep
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


def test_a_bare_greenlet_of_the_hub_may_submit_and_is_switched_back() -> None:
    printed = in_gevent("""
import greenlet
thread = runtime.SerialThread("double", lambda tickets: [setattr(ticket, "result", ticket.item * 2) for ticket in tickets])
thread.start()
answers = []
def ask():
    for n in range(3):
        answers.append(thread.submit(n))
hub = gevent.get_hub()
for _ in range(4):
    hub.loop.run_callback(greenlet.greenlet(ask, hub).switch)
gevent.sleep(0.2)
print(sorted(answers))
""")
    assert printed == str(sorted([0, 2, 4] * 4))


def test_a_greenlet_that_was_killed_while_it_waited_is_not_woken_again() -> None:
    printed = in_gevent("""
nap = time.sleep
done = []
def slow(tickets):
    nap(0.2)
    done.extend(ticket.item for ticket in tickets)
thread = runtime.SerialThread("slow", slow)
thread.start()
def ask():
    try:
        thread.submit(1)
    finally:
        gevent.sleep(0.3)  # a wake-up for the answer would end this
        print(len(done))
asking = gevent.spawn(ask)
gevent.sleep(0.05)
asking.kill(block=False)
begin = time.perf_counter()
asking.join()
print(0.2 < time.perf_counter() - begin < 1)
""")
    assert printed == "1\nTrue"


def test_a_greenlet_that_breaks_after_its_answer_does_not_keep_others_from_theirs() -> None:
    printed = in_gevent("""
import greenlet
nap = time.sleep
hub = gevent.get_hub()
hub.handle_error = lambda *_: print("noted")
thread = runtime.SerialThread("slow", lambda tickets: nap(0.05))
thread.start()
def ask(n):
    thread.submit(n)
    print("answered", n)
    if n == 0:
        raise KeyError(n)
for n in range(3):
    hub.loop.run_callback(greenlet.greenlet(ask, hub).switch, n)
gevent.sleep(0.3)
""")
    assert printed.splitlines() == ["answered 0", "noted", "answered 1", "answered 2"]


def test_many_are_submitted_at_once_and_each_has_its_own_outcome() -> None:
    """By a greenlet in one group, some of it withdrawn; by a thread as well."""
    body = """
groups = []
def double(tickets):
    groups.append(len(tickets))
    for ticket in tickets:
        ticket.result = ticket.item * 2
thread = runtime.SerialThread("double", double, group_max=50)
thread.start()
print([ticket.result for ticket in thread.submit_all(range(120))] == [n * 2 for n in range(120)])
print(len(groups) <= 4, thread.submit_all([]))
nap = time.sleep
slow = runtime.SerialThread("slow", lambda tickets: nap(0.4), group_max=2)
slow.start()
late = slow.submit_all(range(6), 0.1)
print([type(ticket.error).__name__ for ticket in late])
"""
    expected = ["True", "True []", str(["NoneType"] * 2 + ["SlowDown"] * 4)]
    assert in_gevent(body).splitlines() == expected
    assert in_gevent("runtime._gevent = None\n" + body).splitlines() == expected


def test_offloaded_work_runs_beside_the_hub_and_its_exception_comes_back_silently() -> None:
    printed = in_gevent("""
nap = time.sleep
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
