"""Log lines: one per event whatever a client sends, in both formats, at the right level, and without secrets."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.observe.logging import TEXT_CHARS_MAX, EventHandler, configure, request_log

REQUEST: dict[str, Any] = {
    "request_id": "4442587FB7D0A2F9",
    "operation": "PutObject",
    "bucket": "photos",
    "key": "a.txt",
    "status": 200,
    "code": "",
    "bytes_in": 5,
    "bytes_out": 0,
    "seconds": 0.0012341,
    "principal": "root",
    "remote_address": "127.0.0.1",
}


def logged(log_format: str, level: str = "info", **changes: Any) -> str:
    lines: list[bytes] = []
    request_log(level, log_format, lines.append)(**REQUEST | changes)
    assert len(lines) <= 1
    return b"".join(lines).decode()


def handled(log_format: str, message: str, **options: Any) -> str:
    stream = io.BytesIO()
    logger = logging.Logger("bleepstore.test")  # noqa: LOG001  # of this test alone
    logger.addHandler(EventHandler(log_format, stream))
    logger.error(message, **options)
    return stream.getvalue().decode()


def test_a_request_is_one_text_line_of_fields() -> None:
    time, rest = logged("text").split(" ", 1)
    assert time.endswith("Z")
    assert len(time) == len("2026-02-22T12:00:00.000Z")
    assert rest == (
        "info request.finished request_id=4442587FB7D0A2F9 operation=PutObject bucket=photos key=a.txt status=200 "
        "bytes_in=5 bytes_out=0 ms=1.234 principal=root remote_address=127.0.0.1\n"
    )


def test_a_request_is_one_json_object() -> None:
    event = json.loads(logged("json", code="NoSuchKey", status=404))
    assert event["event"] == "request.finished"
    assert (event["status"], event["code"], event["ms"], event["key"]) == (404, "NoSuchKey", 1.234, "a.txt")


@given(key=st.text())
def test_no_key_forges_a_line_or_a_field(key: str) -> None:
    text, as_json = logged("text", key=key), logged("json", key=key)
    for line in (text, as_json):
        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert all(char.isprintable() for char in line[:-1])
    assert json.loads(as_json).get("key", "") == key
    after = text.split(" key=", 1)[1] if key else ""
    if after.startswith('"'):
        assert json.JSONDecoder().raw_decode(after)[0] == key
    elif key:
        assert after.split(" ", 1)[0] == key


@pytest.mark.parametrize("key", ["a\r\nb", "a status=200", 'a"b', "\x1b[31mred", "a\u202eb", "\udcff", "a\u2028b"])
def test_what_could_mislead_a_reader_is_quoted_and_escaped(key: str) -> None:
    assert f"key={json.dumps(key)} " in logged("text", key=key)


def test_a_long_text_is_cut() -> None:
    assert len(logged("text", key="k" * 100_000)) < TEXT_CHARS_MAX + 400
    assert json.loads(logged("json", key="k" * 100_000))["key"] == "k" * TEXT_CHARS_MAX + "…"


def test_above_its_level_a_request_is_logged_only_when_the_server_failed() -> None:
    assert logged("text", level="warning") == ""
    assert logged("text", level="error", status=404) == ""
    assert " error request.finished " in logged("text", level="error", status=503)


def test_events_of_the_standard_library_carry_their_fields() -> None:
    line = handled("text", "sweep.finished", extra={"deleted": 3, "reason": "it was time"})
    assert line.endswith(' error sweep.finished deleted=3 reason="it was time"\n')
    assert json.loads(handled("json", "sweep.finished", extra={"deleted": 3}))["deleted"] == 3


def test_prose_of_a_library_becomes_a_field() -> None:
    assert 'error log.message logger=bleepstore.test message="Booting worker"' in handled("text", "Booting worker")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_stays_on_the_line(log_format: str) -> None:
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        line = handled(log_format, "request.failed", exc_info=True)
    assert line.count("\n") == 1
    assert "ValueError: one\\\\ntwo" in line or "ValueError: one\\ntwo" in line


def test_the_servers_own_logger_is_configured_too(capfd: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    logging.getLogger("gunicorn.error").info("Listening at: %s", "somewhere")
    logging.getLogger("bleepstore.core").debug("hidden")
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["message"] for event in events] == ["Listening at: somewhere"]
