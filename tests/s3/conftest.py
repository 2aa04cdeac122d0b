"""A server with several users, which the tests of a session share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.names import canonical_id
from tests.s3 import raw
from tests.servers import RunningServer, boto_client


@dataclass(frozen=True)
class Person:
    """A user: canonical id, the keys, and a boto3 client that signs with them."""

    id: str
    keys: tuple[str, str]
    s3: Any


@dataclass(frozen=True)
class Crowd:
    server: RunningServer
    root: Person
    alice: Person
    bob: Person

    def request(
        self, method: str, target: str, body: bytes = b"", *, by: Person | None = None, **options: Any
    ) -> raw.Reply:
        """A raw request, anonymous unless `by` is given."""
        keys = None if by is None else by.keys
        return raw.request(self.server, method, target, body, keys=keys, is_anonymous=by is None, **options)


def _person(server: RunningServer, id_: str, access_key: str, secret_key: str) -> Person:
    return Person(id_, (access_key, secret_key), boto_client(server.endpoint, access_key, secret_key))


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """root, alice and bob on a server of their own. Use bucket names of your own."""
    users = [
        {"name": name, "id": canonical_id(name), "access_key": f"{name}-access-key", "secret_key": f"{name}-secret-key"}
        for name in ("alice", "bob")
    ]
    server = RunningServer(
        tmp_path_factory.mktemp("crowd") / "data", environ={"BLEEPSTORE_AUTH_USERS": json.dumps(users)}
    )
    try:
        server.start()
        people = [_person(server, user["id"], user["access_key"], user["secret_key"]) for user in users]
        root = _person(server, canonical_id("root"), server.access_key, server.secret_key)
        yield Crowd(server, root, *people)
    finally:
        server.kill9()
