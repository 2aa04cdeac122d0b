"""A backup program that keeps packs of medium size, in the manner of restic."""

from __future__ import annotations

import hashlib
from typing import Any

from locust import task

from loadtests.scenarios.client import S3User, scenario

PACKS = 8  # of one snapshot
PACKS_KEPT = 24
CHECKED = 2
SNAPSHOT_BYTES = 512


@scenario("backup")
class Backup(S3User):
    """One repository each: packs that are not there yet, then the snapshot; a listing and some packs are verified, old ones go."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._size = self.ground.settings.medium_bytes
        self._packs: list[str] = []
        self._snapshots = 0
        self._made = 0

    @task
    def back_up(self) -> None:
        for _ in range(PACKS):
            self._store_pack()
        self._snapshots += 1
        self.put("snapshot", f"{self.folder}snapshots/{self._snapshots:06d}", SNAPSHOT_BYTES)
        self._verify()
        while len(self._packs) > PACKS_KEPT:
            self.delete("pack", self._packs.pop(0))

    def _store_pack(self) -> None:
        """Named by a digest, so a pack that is there already is not written again."""
        self._made += 1
        digest = hashlib.sha256(f"{self.folder}{self._made}".encode()).hexdigest()
        key = f"{self.folder}data/{digest[:2]}/{digest}"
        self.ask("HEAD", "pack that is not there", key, expect=404)
        self.put("pack", key, self._size)
        self._packs.append(key)

    def _verify(self) -> None:
        """The listing names every pack, and some are read as a whole."""
        expected = set(self._packs)
        query = [("list-type", "2"), ("prefix", f"{self.folder}data/")]
        self.ask("GET", "list of packs", query=query, check=lambda answer: expected <= set(answer.texts("Key")))
        for key in self.dice.sample(self._packs, CHECKED):
            self.get("pack", key, self._size)
