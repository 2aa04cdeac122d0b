"""S-05 as functions of a server: a key is what it is, bytes and nothing else, and no path is ever made of it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.exchange import exchange
from tests.security.file_watch import foreign_files, foreign_paths, watched_files
from tests.security.odd_names import KEYS, escaped, escaped_whole
from tests.server.wire import Answer
from tests.servers import RunningServer
from tests.signing import Draft, Keys, sign

LARGE_BYTES = 70_000  # over the inline limit: a file is written


def body_of(key: str) -> bytes:
    """Different for each key; every other one is large."""
    digest = hashlib.sha256(key.encode()).digest()
    return digest * (LARGE_BYTES // len(digest)) if digest[0] % 2 else digest


def check_keys_are_opaque(server: RunningServer, client: Any, keys: Sequence[str] = KEYS) -> None:
    """Every key is stored, found by each spelling, listed and deleted as itself, and no other key notices."""
    bucket = fresh_bucket(client)
    ask = Asking(server, bucket)
    for key, answer in ask.all("PUT", keys, escaped, body_of):
        assert answer.status == 200, f"PUT {key!r}: {answer.status} {answer.code}"
    for spelling in (escaped, escaped_whole):
        for key, answer in ask.all("GET", keys, spelling):
            assert answer.status == 200, f"GET {key!r}: {answer.status} {answer.code}"
            assert answer.body == body_of(key), f"{key!r} has another key's bytes"
    assert listed(client, bucket) == sorted(keys, key=str.encode)
    deleted, kept = keys[::3], [key for at, key in enumerate(keys) if at % 3]
    for key, answer in ask.all("DELETE", deleted, escaped):
        assert answer.status == 204, f"DELETE {key!r}: {answer.status} {answer.code}"
    for key, answer in ask.all("GET", keys, escaped):
        expected = (404, b"") if key in deleted else (200, body_of(key))
        assert (answer.status, answer.body if answer.status == 200 else b"") == expected, f"{key!r} after deletions"
    assert listed(client, bucket) == sorted(kept, key=str.encode)


def check_no_path_is_made_of_a_key(server: RunningServer, client: Any, work_dir: Path) -> None:
    """What the processes name to the kernel while odd keys are written, read, copied and deleted is the store's own."""
    bucket = fresh_bucket(client)
    marker = f"marked-{secrets.token_hex(8)}"
    keys = [key for each in KEYS if len(each.encode()) < 900 for key in (each, f"{each}{marker}", f"{marker}{each}")]
    ask = Asking(server, bucket)
    ask.all("PUT", ["warm"], escaped, lambda _: bytes(LARGE_BYTES))
    ask.all("GET", ["warm"], escaped)
    trace = work_dir / "trace"
    outside = _tree(server.data_dir.parent, server.data_dir)
    with watched_files(server.worker_pids(), trace):
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            for key, answer in ask.all(method, keys, escaped, body_of if method == "PUT" else None):
                assert answer.status in (200, 204), f"{method} {key!r}: {answer.status}"
    assert trace.stat().st_size > 0
    assert not (lines := foreign_paths(trace, server.data_dir)), f"{len(lines)} foreign paths:\n" + "\n".join(
        lines[:10]
    )
    assert marker not in trace.read_text(errors="replace")
    assert not foreign_files(server.data_dir)
    assert _tree(server.data_dir.parent, server.data_dir) == outside


class Asking:
    """Signed requests for keys of one bucket."""

    def __init__(self, server: RunningServer, bucket: str) -> None:
        self._server, self._bucket = server, bucket
        self._keys = Keys(server.access_key, server.secret_key)

    def all(
        self,
        method: str,
        keys: Sequence[str],
        spelling: Callable[[str], str],
        body: Callable[[str], bytes] | None = None,
    ) -> list[tuple[str, Answer]]:
        """Each key with the answer to `method` for it."""
        drafts = [
            Draft(method, f"/{self._bucket}/{spelling(key)}", body=b"" if body is None else body(key)) for key in keys
        ]
        answers = exchange(self._server.port, [(method, sign(draft, self._keys).wire()) for draft in drafts])
        return list(zip(keys, answers, strict=True))


def fresh_bucket(client: Any) -> str:
    name = f"names-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=name)
    return name


def listed(client: Any, bucket: str, **query: Any) -> list[str]:
    """The keys in the order of the listing."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _tree(root: Path, without: Path) -> set[str]:
    return {str(path) for path in root.rglob("*") if path != without and without not in path.parents}
