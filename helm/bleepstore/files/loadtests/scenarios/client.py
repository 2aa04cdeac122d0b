"""One exchange with the server, and the user that every scenario builds on."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import gevent
from gevent.pool import Group
from geventhttpclient.client import HTTPClient
from locust import FastHttpUser, tag
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.exception import CatchResponseError, RescheduleTask

from loadtests.presigner import NOTHING
from loadtests.scenarios.ground import Ground
from loadtests.scenarios.options import size_text

RECEIVE_BYTES = 64 << 10
PAUSE_S = 0.5  # after a broken connection: a server that is away is not asked a thousand times a second
ETAG_SAMPLE = 1 / 64  # of small writes, whose MD5 is compared

Pairs = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """`status` is 0 where none came, and `error` says why."""

    status: int
    headers: Mapping[str, Any]
    content: bytes
    error: BaseException | None = None

    @property
    def refusal(self) -> str:
        """Status and S3's code: "404 NoSuchKey"."""
        code = re.search(rb"<Code>(\w+)</Code>", self.content)
        return f"{self.status} {code[1].decode()}" if code else str(self.error or self.status)

    def texts(self, tag: str) -> list[str]:
        """What stands in each element of that name, in order; for keys and ids that need no unescaping."""
        return re.findall(f"<{tag}>([^<]*)</{tag}>", self.content.decode())


def exchange(http: HTTPClient, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """One request; a broken connection is an answer too."""
    try:
        response = http.request(method, target, body, headers)
        return Answer(response.get_code(), response.info(), response.read())
    except FAILURE_EXCEPTIONS as error:
        return Answer(0, {}, b"", error)


Check = Callable[[Answer], bool]


def _anything(_: Answer) -> bool:
    return True


class S3User(FastHttpUser):
    """Asks, one request after the other, and has each counted under a name that groups it with its like.

    Requests go through the connection pool of `FastHttpUser` and not through its session, which parses the URL, keeps
    cookies and looks for redirects: a third of a small request's processor time.
    """

    abstract = True
    ground: ClassVar[Ground]  # set before users are made

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        number = next(self.ground.users)
        self.folder = f"{self.ground.run}{number}/"
        self.dice = random.Random(f"{self.ground.settings.seed}/{number}")
        self.http: HTTPClient = self.client.client.clientpool.get_client(self.ground.settings.endpoint)
        self.http.block_size = RECEIVE_BYTES
        self.http.default_headers["Host"] = self.ground.presigner.host

    def ask(
        self,
        method: str,
        name: str,
        key: str = "",
        *,
        query: Pairs = (),
        headers: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        target: str = "",
        expect: int = 200,
        check: Check = _anything,
    ) -> Answer:
        """Send a presigned request and report it. Without a key it is the bucket's; a `target` is signed already.

        `check` is false for a wrong answer. Raises: RescheduleTask after a failure, which ends the task.
        """
        if not target:
            path = f"/{self.ground.settings.bucket}/{key}" if key else f"/{self.ground.settings.bucket}"
            target = self.ground.presigner.target(method, path, query, headers)
        began_s = time.perf_counter()
        answer = exchange(self.http, method, target, headers, body)
        taken_s = time.perf_counter() - began_s
        exception: BaseException | None = answer.error
        if exception is None and answer.status != expect:
            exception = CatchResponseError(answer.refusal)
        elif exception is None and not check(answer):
            exception = CatchResponseError(f"{answer.status}, but not the answer that was expected")
        self.report(method, name, taken_s, length=len(answer.content), error=exception)
        if exception is not None:
            if answer.error is not None:
                gevent.sleep(PAUSE_S)
            raise RescheduleTask
        return answer

    def report(
        self, kind: str, name: str, taken_s: float, *, length: int = 0, error: BaseException | None = None
    ) -> None:
        """Into Locust's statistics, now that it is over."""
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=taken_s * 1e3, response_length=length, exception=error,
            context={}, start_time=time.time() - taken_s, response=None, url=None,
        )  # fmt: skip

    def together(self, calls: Sequence[Callable[[], object]]) -> None:
        """Make all calls at once, each over a connection of its own. Raises: RescheduleTask, when one failed."""

        def made(call: Callable[[], object]) -> bool:
            try:
                call()
            except RescheduleTask:
                return False
            return True

        group = Group()
        try:
            if not all(group.map(made, calls)):
                raise RescheduleTask
        finally:
            group.kill()  # where the user itself was stopped

    # What most scenarios do. Content is compared as a whole: it is known, and costs less than a digest.

    def put(self, what: str, key: str, size: int) -> None:
        body = self.ground.body(key, size)
        sampled = self.dice.random() < ETAG_SAMPLE
        self.ask("PUT", f"{what} {size_text(size)}", key, body=body, check=_has_md5_of(body) if sampled else _anything)

    def get(self, what: str, key: str, size: int) -> None:
        body = self.ground.body(key, size)
        self.ask("GET", f"{what} {size_text(size)}", key, check=lambda answer: answer.content == body)

    def head(self, what: str, key: str, size: int) -> None:
        self.ask("HEAD", what, key, check=lambda answer: answer.headers.get("content-length") == str(size))

    def delete(self, what: str, key: str) -> None:
        self.ask("DELETE", what, key, expect=204)

    def random_seeded(self) -> str:
        return self.ground.seeded_key(self.dice.randrange(self.ground.settings.keys))


UserClass = TypeVar("UserClass", bound=type[S3User])


def scenario(name: str) -> Callable[[UserClass], UserClass]:
    """Tag all tasks of a user class, so that --tags chooses it as its name does."""

    def tagged(user: UserClass) -> UserClass:
        tasks: list[Any] = user.tasks
        user.tasks = [tag(name)(task) for task in tasks]
        return user

    return tagged


def _has_md5_of(body: bytes) -> Check:
    return lambda answer: answer.headers.get("etag") == f'"{hashlib.md5(body).hexdigest()}"'
