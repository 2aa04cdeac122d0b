"""A server of these tests' own: what they compare before and after is touched by nobody else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.names import canonical_id
from tests.security.auth_matrix import Scene
from tests.servers import RunningServer
from tests.signing import Keys

USERS = ("alice", "bob")


def user_keys(name: str) -> Keys:
    return Keys(f"{name}-access-key", f"{name}-secret-key")


def users_setting() -> str:
    users = [(name, user_keys(name)) for name in USERS]
    return json.dumps([
        {"name": name, "id": canonical_id(name), "access_key": keys.access_key, "secret_key": keys.secret_key}
        for name, keys in users
    ])  # fmt: skip


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers, and the users alice and bob beside root."""
    # No sweep takes away what tests count before and after.
    environ = {"BLEEPSTORE_AUTH_USERS": users_setting(), "BLEEPSTORE_STORAGE_GARBAGE_GRACE_S": "86400"}
    server = RunningServer(tmp_path_factory.mktemp("guarded") / "data", workers=2, environ=environ)
    try:
        yield server.start()
    finally:
        server.kill9()


@pytest.fixture(scope="package")
def root(guarded: RunningServer) -> Keys:
    return Keys(guarded.access_key, guarded.secret_key)


@pytest.fixture(scope="package")
def client(guarded: RunningServer) -> Any:
    return guarded.client()


@pytest.fixture
def scene(guarded: RunningServer, client: Any) -> Scene:
    return make_scene(guarded, client)


def make_scene(server: RunningServer, client: Any) -> Scene:
    """A fresh bucket with an object and an open upload that has a part."""
    bucket = f"scene-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="there", Body=b"as it was")
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="there")["UploadId"]
    client.upload_part(Bucket=bucket, Key="there", UploadId=upload_id, PartNumber=1, Body=b"a part as it was")
    return Scene(server.port, Keys(server.access_key, server.secret_key), bucket, "there", upload_id)
