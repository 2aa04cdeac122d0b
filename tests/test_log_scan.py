"""The look at logs finds what it is made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.log_scan import PIECE_BYTES, leaks, secrets_in


@pytest.mark.parametrize(
    "text",
    [
        f"path=/b/k?X-Amz-Signature={'0a' * 32}",
        "path=/b/k?AWSAccessKeyId=me&Expires=1&Signature=abc%3D",
        "token=Bearer abcdefgh",
        "said my-secret-key again",
        "X-Amz-Security-Token=x",
    ],
)
def test_it_finds_secrets_wherever_they_are(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log"
    for before in (0, PIECE_BYTES - 20, 3 * PIECE_BYTES):
        log.write_text("x" * before + f"\n{text}\n")
        found, length = leaks(log, ["my-secret-key"])
        assert found
        assert length == log.stat().st_size
        assert leaks(log, ["my-secret-key"], length + 1_000) == ([], length + 1_000 - 512)


def test_ordinary_lines_are_none(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("operation=PutObject key=Signature code=SignatureDoesNotMatch principal=me\n")
    assert leaks(log, ["my-secret-key"])[0] == []
    signature = "X-Amz-Signature=" + "0a" * 32
    log.write_text(f'key="a \\"?{signature}" status=404\nkey=b?{signature} status=404\n{{"key": "c?{signature}"}}\n')
    assert leaks(log, ["my-secret-key"])[0] == []
    log.write_text(f'key="a" path=b?{signature} key="c"\n')
    assert leaks(log, ["my-secret-key"])[0]


def test_it_knows_what_a_server_was_given() -> None:
    environ = {
        "BLEEPSTORE_AUTH_SECRET_KEY": "long-secret",
        "BLEEPSTORE_AUTH_USERS": '[{"name": "a", "secret_key": "another-secret"}]',
        "BLEEPSTORE_OBSERVABILITY_METRICS_TOKEN": "a-long-token",
        "PATH": "/usr/bin",
    }
    assert secrets_in(environ) == ["long-secret", "a-long-token", "another-secret"]
