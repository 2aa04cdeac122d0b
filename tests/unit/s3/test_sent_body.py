"""A body on its way out: what it holds is given back once, whoever reads it."""

from __future__ import annotations

import os
from pathlib import Path

from app.domain.types import FileSpan
from app.s3.request import S3Response
from app.s3.sending import SentBody


def _opened(path: Path, content: bytes) -> int:
    path.write_bytes(content)
    return os.open(path, os.O_RDONLY)


def test_a_file_that_is_read_in_pieces_is_closed_once(tmp_path: Path) -> None:
    """Closed twice, the second time would close whatever another request has opened meanwhile."""
    sent: list[int] = []
    body = SentBody(S3Response(body=FileSpan(_opened(tmp_path / "a", b"0123456789"), 2, 5)), sent.append)
    assert b"".join(body) == b"23456"
    others = _opened(tmp_path / "b", b"another request's")  # gets the number that has become free
    try:
        body.close()
        assert os.read(others, 100) == b"another request's"
    finally:
        os.close(others)
    assert sent == [5]


def test_a_file_that_nobody_reads_is_closed(tmp_path: Path) -> None:
    file = _opened(tmp_path / "a", b"0123456789")
    body = SentBody(S3Response(body=FileSpan(file, 0, 10)), lambda _: None)
    body.close()
    body.close()
    again = _opened(tmp_path / "a", b"")
    os.close(again)
    assert again == file


def test_a_file_that_is_read_in_part_is_closed(tmp_path: Path) -> None:
    file = _opened(tmp_path / "a", bytes(3_000_000))
    sent: list[int] = []
    body = SentBody(S3Response(body=FileSpan(file, 0, 3_000_000)), sent.append)
    pieces = iter(body)
    assert len(next(pieces)) + len(next(pieces)) == 2 << 20
    body.close()
    again = _opened(tmp_path / "a", b"")
    os.close(again)
    assert again == file
    assert sent == [1 << 20], "what was handed over last may not have gone out"
