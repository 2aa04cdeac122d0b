"""R-10 over HTTP: a body that is not what its request says of it is refused by name, and nothing of it stays.

Seen to fail: tests/mutants/test_body_mutants.py.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.inventory import blob_files, inventory
from tests.reliability.wrong_bodies import BODY, TABLE, Row
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, sign


@pytest.mark.parametrize("inline_max_bytes", [65_536, 8], ids=["inline", "as a file"])
def test_a_body_that_is_not_what_it_is_said_to_be_is_refused(start_server: StartServer, inline_max_bytes: int) -> None:
    """R-10: 100 % with the right error, as an object and as a part; what was there stays."""
    server = start_server("--storage.inline_max_bytes", str(inline_max_bytes), workers=2)
    check_wrong_bodies(server)


def check_wrong_bodies(server: RunningServer) -> None:
    client, keys = server.client(), Keys(server.access_key, server.secret_key)
    bucket, targets = _place(client)
    before, blobs = inventory(client), blob_files(server.data_dir)
    wrong = [row for row in TABLE if row.expected is not None]
    assert len(wrong) >= 40
    for target in targets:
        for row in wrong:
            answer = _ask(server.port, row.make(target, keys))
            assert row.expected is not None
            assert (answer.status, answer.code) == (row.expected.status, row.expected.code), row.name
    assert inventory(client) == before
    assert blob_files(server.data_dir) == blobs
    assert client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"as it was"


@pytest.mark.parametrize("row", [row for row in TABLE if row.expected is None], ids=lambda row: row.name)
def test_a_body_that_is_what_it_is_said_to_be_is_stored(server: Any, s3: Any, row: Row) -> None:
    """R-10: so it was the difference that was refused."""
    bucket, targets = _place(s3)
    keys = Keys(server.access_key, server.secret_key)
    for target in targets:
        answer = _ask(server.port, row.make(target, keys))
        assert answer.status == 200, answer.code
        assert answer.header("etag") == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == BODY


def test_documents_are_held_to_their_digests_too(server: Any, s3: Any) -> None:
    """R-10: a deletion whose body changed on the way deletes nothing."""
    bucket, _ = _place(s3)
    document = b"<Delete><Object><Key>there</Key></Object></Delete>"
    other = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    keys = Keys(server.access_key, server.secret_key)
    drafts = {
        "BadDigest": Draft("POST", f"/{bucket}?delete", [("Content-MD5", other)], document),
        "InvalidRequest": Draft("POST", f"/{bucket}?delete", [], document),
        "XAmzContentSHA256Mismatch": Draft(
            "POST", f"/{bucket}?delete", [("Content-MD5", _md5(document))], document, payload_hash="0" * 64
        ),
        "IncompleteBody": Draft("POST", f"/{bucket}?delete", [("Content-MD5", _md5(document)), ("Content-Length", "99")], document),
    }  # fmt: skip
    for code, draft in drafts.items():
        answer = _ask(server.port, sign(draft, keys, unsigned=["content-length"]).wire())
        assert (answer.status, answer.code) == (400, code)
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == b"as it was"


def _place(client: Any) -> tuple[str, tuple[str, str]]:
    bucket = f"digests-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="there", Body=b"as it was")
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="there")["UploadId"]
    return bucket, (f"/{bucket}/there", f"/{bucket}/there?partNumber=1&uploadId={upload_id}")


def _ask(port: int, request: bytes) -> Answer:
    with Wire(port) as wire:
        wire.send(request)
        wire.sock.shutdown(socket.SHUT_WR)
        return wire.answer("PUT")


def _md5(document: bytes) -> str:
    return base64.b64encode(hashlib.md5(document).digest()).decode()
