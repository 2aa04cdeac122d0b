"""A scrape sums exactly to the requests that were answered, whichever worker gives it and however many were killed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.reliability.counting import (
    BUCKET,
    LARGE_BYTES,
    SMALL,
    Book,
    Client,
    asks,
    kill_one,
    samples,
    scrape,
)
from tests.servers import RunningServer

REQUESTS_MIN = 10_000
KILLS_MIN = 6
CLIENTS = 6
PATIENCE_S = 120.0


def test_a_scrape_sums_to_the_requests_answered_while_workers_are_killed(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", workers=2).start()
    try:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        for number in range(20):
            client.put_object(Bucket=BUCKET, Key=f"small-{number}", Body=SMALL)
        client.put_object(Bucket=BUCKET, Key="large", Body=b"z" * LARGE_BYTES)
        before = scrape(server)
        book, kills = _storm(server)
        _compare(before, scrape(server), book, kills)
        _is_the_same_from_everybody(server)
    finally:
        server.kill9()


def _storm(server: RunningServer) -> tuple[Book, int]:
    """Clients at work until enough was answered and enough workers were killed."""
    book, stop = Book(), threading.Event()
    wanted = asks(server)
    clients = [Client(server, book, wanted[number:] + wanted[:number], stop) for number in range(0, 60, 60 // CLIENTS)]
    for client in clients:
        client.start()
    kills, began = 0, time.monotonic()
    while sum(book.answered.values()) < REQUESTS_MIN or kills < KILLS_MIN:
        assert time.monotonic() - began < PATIENCE_S, f"{sum(book.answered.values())} requests, {kills} kills"
        time.sleep(0.2)  # let them work; the moment of a kill is nobody's choice
        kill_one(server, kills)
        kills += 1
    stop.set()
    for client in clients:
        client.join(20)
    return book, kills


def _compare(before: str, after: str, book: Book, kills: int) -> None:
    was, now = (samples(text, "bleepstore_http_requests_total") for text in (before, after))
    counted = {labels: value - was.get(labels, 0.0) for labels, value in now.items()}
    surplus = 0
    for labels, value in counted.items():
        named = dict(labels)
        if not named["path"].startswith("/{bucket}"):
            continue
        answered = book.answered[named["method"], named["path"], int(named["status"])]
        assert value >= answered, f"{named}: {answered} were answered, and {value:g} counted"
        surplus += int(value) - answered
    missing = [key for key in book.answered if not any(_is(dict(labels), key) for labels in counted)]
    assert not missing
    broken = sum(book.broken.values())
    print(f"\n{sum(book.answered.values())} answered, {kills} kills, {broken} broken, of which {surplus} were counted")
    assert surplus <= broken
    for family in ("bleepstore_s3_operations_total", "bleepstore_s3_requests_total"):
        total = sum(samples(after, family).values()) - sum(samples(before, family).values())
        assert total == sum(book.answered.values()) + surplus, family
    sent = sum(samples(after, "bleepstore_bytes_sent_total").values())
    sent -= sum(samples(before, "bleepstore_bytes_sent_total").values())
    # Of an answer in pieces the bytes are counted behind the last: a kill may come between, for one answer at a time.
    assert sent >= book.received_bytes - kills * LARGE_BYTES
    assert samples(after, "bleepstore_s3_requests_in_flight") == {(): 0.0}


def _is(named: dict[str, str], key: tuple[str, str, int]) -> bool:
    return (named["method"], named["path"], named["status"]) == (key[0], key[1], str(key[2]))


def _is_the_same_from_everybody(server: RunningServer) -> None:
    """Asked many times, whichever worker answers. A scrape itself is counted too, behind its answer."""
    texts = [_of_s3(scrape(server)) for _ in range(12)]
    assert len(set(texts)) == 1


def _of_s3(text: str) -> str:
    names = ("bleepstore_s3_", "bleepstore_bytes_", "bleepstore_object_", "bleepstore_http_requests_total")
    lines = [line for line in text.splitlines() if line.startswith(names) and 'path="/metrics"' not in line]
    return "\n".join(lines)
