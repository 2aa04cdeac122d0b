"""Readings that are kept, and answers that are made once for all who ask at the same time."""

from __future__ import annotations

import threading

import pytest

from app.observe.shared import CHEAP_S, KEPT_FOR, Kept, Shared


class Reading:
    """Counts how often it was made; each costs so much, by a clock that only it moves."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s = cost_s
        self.now_s = 0.0
        self.spent_s = 0.0
        self.made = 0

    def __call__(self) -> int:
        self.now_s += self._cost_s
        self.spent_s += self._cost_s
        self.made += 1
        return self.made

    def kept(self) -> Kept[int]:
        return Kept(self, lambda: self.now_s, lambda: self.spent_s)


def test_a_cheap_reading_is_made_each_time() -> None:
    reading = Reading(CHEAP_S)
    kept = reading.kept()
    assert [kept() for _ in range(3)] == [1, 2, 3]


def test_a_dear_reading_takes_a_twentieth_of_the_time() -> None:
    reading = Reading(0.5)
    kept = reading.kept()
    while reading.now_s < 200:
        kept()
        reading.now_s += 0.25
    assert reading.spent_s <= reading.now_s / KEPT_FOR + 0.5
    assert reading.made > 10, "it is made anew in time"


def test_a_reading_that_fails_is_not_kept() -> None:
    numbers = [0, 1]
    kept = Kept(lambda: 7 // numbers.pop(0))
    with pytest.raises(ZeroDivisionError):
        kept()
    assert kept() == 7


def test_who_asks_meanwhile_gets_the_same_answer_and_who_asks_for_another_kind_his_own() -> None:
    shared: Shared[int] = Shared()
    has_begun, may_end, made = threading.Event(), threading.Event(), []

    def make() -> int:
        made.append(1)
        has_begun.set()
        assert may_end.wait(10)
        return len(made)

    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(shared.get("text", make)))
    first.start()
    assert has_begun.wait(10)
    others = [threading.Thread(target=lambda: answers.append(shared.get("text", make))) for _ in range(5)]
    for other in others:
        other.start()
    assert shared.get("openmetrics", lambda: 99) == 99
    may_end.set()
    for thread in (first, *others):
        thread.join(10)
    assert answers == [1] * 6
    assert shared.get("text", lambda: 5) == 5, "what was made is not kept"


def test_a_failure_is_everybodys_who_waited_and_nobodys_later() -> None:
    shared: Shared[int] = Shared()
    with pytest.raises(ZeroDivisionError):
        shared.get("text", lambda: 1 // 0)
    assert shared.get("text", lambda: 3) == 3
