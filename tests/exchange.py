"""Many raw requests in little time: pipelined, on several connections at once, each answer in its request's place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tests.server.wire import Answer, Truncated, Wire

LANES = 4
IN_FLIGHT_MAX = 16  # requests on one connection


@dataclass
class _Lane:
    """One connection and what was asked on it: (place, method, bytes)."""

    port: int
    wire: Wire | None = None
    asked: list[tuple[int, str, bytes]] = field(default_factory=list)

    def send(self) -> None:
        if self.wire is None:
            self.wire = Wire(self.port)
        try:
            self.wire.send(b"".join(data for _, _, data in self.asked))
        except ConnectionError:
            pass  # the answer that closed the connection can be read all the same

    def receive(self) -> Iterator[tuple[int, Answer]]:
        """Answers until all are here or the server has closed; what is left is asked again on a fresh connection."""
        while self.asked:
            assert self.wire is not None
            place, method, _ = self.asked[0]
            try:
                answer = self.wire.answer(method)
            except (Truncated, ConnectionError):
                if self.wire.rest:
                    raise
                answer = None
            if answer is not None:
                del self.asked[0]
                yield place, answer
                if answer.header("connection") != "close":
                    continue
            self.close()
            if self.asked:
                self.send()

    def close(self) -> None:
        if self.wire is not None:
            self.wire.close()
        self.wire = None


def exchange(
    port: int, requests: Iterable[tuple[str, bytes]], *, lanes: int = LANES, in_flight: int = IN_FLIGHT_MAX
) -> list[Answer]:
    """The answers to (method, bytes) in the requests' order. A server that closes early is connected to again."""
    waiting = enumerate(requests)
    answers: dict[int, Answer] = {}
    each = [_Lane(port) for _ in range(lanes)]
    try:
        while True:
            for lane in each:
                lane.asked = [(place, method, data) for place, (method, data) in islice(waiting, in_flight)]
                if lane.asked:
                    lane.send()
            if not any(lane.asked for lane in each):
                return [answers[place] for place in range(len(answers))]
            for lane in each:
                answers.update(lane.receive())
    finally:
        for lane in each:
            lane.close()
