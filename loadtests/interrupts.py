"""Ctrl-C and SIGTERM end a program in order, and never between starting a process and knowing that it was started."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class _State:
    """Signals are the process's, and so is this."""

    holders = 0
    waiting: list[int] = []


def end_in_order() -> None:
    """From now on both signals raise SystemExit(128 + signal), so that every `finally` is run."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _handle)


@contextmanager
def held() -> Iterator[None]:
    """A signal that comes meanwhile is obeyed at the end."""
    _State.holders += 1
    try:
        yield
    finally:
        _State.holders -= 1
        if _State.waiting and not _State.holders:
            _end(_State.waiting[0])


def _handle(number: int, _frame: FrameType | None) -> None:
    if _State.holders:
        _State.waiting.append(number)
    else:
        _end(number)


def _end(number: int) -> NoReturn:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # a second one would leave half of the work behind
    sys.exit(128 + number)
