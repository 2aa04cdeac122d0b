"""Small objects: read, write and delete in several mixtures."""

from __future__ import annotations

from collections import deque
from typing import Any

from locust import task

from loadtests.scenarios.client import S3User, scenario

OWN_KEYS_MAX = 10_000  # of one user; from then on it overwrites


class SmallObjects(S3User):
    """Reads what was seeded; writes and deletes what is its own."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._size = self.ground.settings.object_bytes
        self._own: deque[str] = deque()
        self._written = 0

    def get_seeded(self) -> None:
        self.get("object", self.random_seeded(), self._size)

    def head_seeded(self) -> None:
        self.head("object", self.random_seeded(), self._size)

    def put_own(self) -> None:
        if len(self._own) < OWN_KEYS_MAX:
            self._written += 1
            key = f"{self.folder}{self._written:08d}"
        else:
            key = self._own.popleft()
        self.put("object", key, self._size)
        self._own.append(key)

    def get_own(self) -> None:
        if not self._own:
            self.put_own()
        self.get("object", self._own[-1], self._size)

    def delete_own(self) -> None:
        if not self._own:
            self.put_own()
        self.delete("object", self._own.popleft())


@scenario("mixed")
class Mixed(SmallObjects):
    """What an application does to its store: it reads above all, writes some and deletes a little less."""

    @task(45)
    def read(self) -> None:
        self.get_seeded()

    @task(30)
    def look(self) -> None:
        self.head_seeded()

    @task(15)
    def write(self) -> None:
        self.put_own()

    @task(10)
    def remove(self) -> None:
        self.delete_own()


@scenario("read-heavy")
class ReadHeavy(SmallObjects):
    """A cache or a web site's files: nine in ten are reads."""

    @task(90)
    def read(self) -> None:
        self.get_seeded()

    @task(5)
    def look(self) -> None:
        self.head_seeded()

    @task(5)
    def write(self) -> None:
        self.put_own()


@scenario("write-heavy")
class WriteHeavy(SmallObjects):
    """Logs, events, uploads of devices: written once, read seldom, removed some time."""

    @task(80)
    def write(self) -> None:
        self.put_own()

    @task(15)
    def remove(self) -> None:
        self.delete_own()

    @task(5)
    def read(self) -> None:
        self.get_own()
