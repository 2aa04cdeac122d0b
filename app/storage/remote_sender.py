"""What a writer has gathered on its way to the service: whole, or in parts of which some are under way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from app.domain.errors import EntityTooLarge, S3Error
from app.storage.remote_calls import Calls
from app.storage.remote_memory import PART_BYTES
from app.storage.remote_upstream import Upload, Upstream

ABORT_ATTEMPTS_MAX = 2  # what stays is found by clean_up


class Sender:
    """Of one blob. Use by one thread at a time; the parts that it sends beside that have threads of their own."""

    def __init__(self, calls: Calls, upstream: Upstream, name: str) -> None:
        self._calls = calls
        self._upstream = upstream
        self._name = name  # of the object upstream
        self._upload: Upload | None = None  # begun, and neither complete nor aborted
        self._parts = 0
        self._sent_bytes = 0  # and those that are being sent
        self._flights: deque[_Flight] = deque()
        self._is_given_up = False

    @property
    def has_begun(self) -> bool:
        return self._upload is not None

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def require_size(self, size_bytes: int) -> None:
        """Raises: EntityTooLarge."""
        limit_bytes = self._upstream.parts_max * PART_BYTES
        if size_bytes > limit_bytes:
            raise EntityTooLarge(ProposedSize=str(size_bytes), MaxSizeAllowed=str(limit_bytes))

    def put(self, content: memoryview) -> None:
        """The whole blob. Raises: as `Calls.run`."""
        self._calls.run("put", self._upstream.put, self._name, content)

    def begin(self) -> None:
        """Raises: as `Calls.run`."""
        if self._upload is None:
            self._upload = self._calls.run("begin", self._upstream.begin, self._name)

    def wait_for_a_turn(self) -> None:
        """Until another part may be sent. Raises: the error of one that failed."""
        self._land(self._upstream.flights_max - 1)

    @property
    def has_a_turn(self) -> bool:
        """Whether another part may be sent without waiting."""
        return len(self._flights) < self._upstream.flights_max or not self._flights[0].is_under_way

    def send(self, content: memoryview, *, is_last: bool = False) -> None:
        """The next part, from here. Raises: EntityTooLarge, and as `Calls.run`."""
        self._next_part(content, is_last=is_last)()

    def send_beside(self, content: memoryview, after: Callable[[], None]) -> None:
        """The next part, while the caller goes on; `after` is called once its memory is free. Raises: EntityTooLarge."""
        self._flights.append(_Flight(self._next_part(content), after))

    def complete(self) -> None:
        """Make the parts one object. Raises: the error of a part that failed, and as `Calls.run`."""
        self._land(0)
        assert self._upload is not None, "parts have been sent"
        self._calls.run("complete", self._upload.complete, self._sent_bytes)
        self._upload = None

    def discard(self) -> None:
        """Waits for the attempts that are under way, if there are any: what came after the abort would stay."""
        self._is_given_up = True
        while self._flights:
            self._flights.popleft().end()
        upload, self._upload = self._upload, None
        if upload is not None:
            try:
                self._calls.run("abort", upload.abort, attempts_max=ABORT_ATTEMPTS_MAX)
            except S3Error:
                pass  # the error that led here matters more; clean_up aborts it later

    def _next_part(self, content: memoryview, *, is_last: bool = False) -> Callable[[], None]:
        """What sends it, from any thread."""
        self.require_size(self._sent_bytes + len(content))
        upload = self._upload
        assert upload is not None, "begin comes first"
        self._sent_bytes += len(content)
        self._parts += 1
        number = self._parts

        def attempt() -> None:
            if self._is_given_up:
                raise ValueError("this writer is closed")
            upload.put_part(number, content, is_last)

        return lambda: self._calls.run("put_part", attempt)

    def _land(self, flights_max: int) -> None:
        """Wait until no more parts than these are on their way. Raises: the error of one that failed."""
        while len(self._flights) > flights_max:
            error = self._flights.popleft().end()
            if error is not None:
                raise error


class _Flight:
    """One part on its way, in a thread of its own. `after` is called when it has ended, however it ended."""

    def __init__(self, send: Callable[[], None], after: Callable[[], None]) -> None:
        self._error: Exception | None = None
        # The thread alone knows what it sends: this object lives on, and the memory belongs to somebody else by then.
        self._thread = threading.Thread(target=self._run, args=(send, after), name="part", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            after()
            raise

    @property
    def is_under_way(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> Exception | None:
        """Wait for it; its error."""
        self._thread.join()
        return self._error

    def _run(self, send: Callable[[], None], after: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:
            self._error = error.with_traceback(None)  # its frames know the memory too
        finally:
            after()
