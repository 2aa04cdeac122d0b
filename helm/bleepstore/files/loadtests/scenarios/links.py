"""Presigned URLs as applications hand them out: to upload, to download under another name, and not for ever."""

from __future__ import annotations

import time
from typing import Any

from locust import task

from app.auth.credentials import Credential
from app.auth.signing import presign
from app.domain.types import Principal
from loadtests.scenarios.client import Answer, S3User, scenario
from loadtests.scenarios.options import size_text

TYPE = "image/jpeg"
EXPIRED_S = 3_600


@scenario("presigned")
class Presigned(S3User):
    """A browser with links. (All scenarios presign; this one uses what links can say, and links that must be refused.)"""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        settings = self.ground.settings
        self._size = settings.object_bytes
        self._picture = f"{self.folder}picture"
        self._path = f"/{settings.bucket}/{self.random_seeded()}"
        self._expired = presign(
            "GET", settings.endpoint + self._path, Credential(settings.access_key, settings.secret_key, Principal(id="")),
            expires_s=60, region=settings.region, now_s=time.time() - EXPIRED_S,
        ).removeprefix(settings.endpoint)  # fmt: skip

    @task(2)
    def upload(self) -> None:
        """The link binds the content type."""
        body = self.ground.body(self._picture, self._size)
        self.ask("PUT", f"by link {size_text(self._size)}", self._picture, headers={"content-type": TYPE}, body=body)

    @task(6)
    def download(self) -> None:
        """The link says under which name and type the file is saved."""
        key = self.random_seeded()
        body = self.ground.body(key, self._size)
        disposition = 'attachment; filename="picture 1.jpg"'
        query = [("response-content-disposition", disposition), ("response-content-type", TYPE)]

        def is_saved_so(answer: Answer) -> bool:
            told = (answer.headers.get("content-disposition"), answer.headers.get("content-type"))
            return told == (disposition, TYPE) and answer.content == body

        self.ask("GET", f"by link {size_text(self._size)}", key, query=query, check=is_saved_so)

    @task(1)
    def use_expired(self) -> None:
        self.ask("GET", "by expired link", target=self._expired, expect=403, check=_is("AccessDenied"))

    @task(1)
    def use_altered(self) -> None:
        """A link to one object does not open another one."""
        target = self.ground.presigner.target("GET", self._path).replace("?", "x?", 1)
        self.ask("GET", "by altered link", target=target, expect=403, check=_is("SignatureDoesNotMatch"))


def _is(code: str) -> Any:
    return lambda answer: answer.refusal.endswith(f" {code}")
