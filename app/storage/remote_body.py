"""The bytes of a blob as they come from a storage service: counted, and gone on with where a connection breaks."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.errors import InternalError
from app.storage.base import CHUNK_MAX_BYTES
from app.storage.remote_calls import Attempts, Calls, Kind, Trouble, UpstreamError
from app.storage.remote_upstream import Download

CHUNK_TIMEOUT_S = 60.0  # for a chunk that comes in drops, each of them in time

_TOO_SLOW = Trouble(Kind.AWAY, "TooSlow")
_ENDS_EARLY = Trouble(Kind.WRONG, "EndsEarly")


class RemoteBody:
    """An iterator over the bytes [start, end) of one blob, in chunks of at most CHUNK_MAX_BYTES, exactly.

    A stream that breaks or ends early is opened again from where it was. The attempts are bounded, and counted anew
    after every chunk that came whole. Opened when it is made. Use by one thread at a time, which need not be the same.
    """

    def __init__(
        self, calls: Calls, open_range: Callable[[int, int | None], Download], start: int, end: int | None
    ) -> None:
        """`end` is beyond `start`, or None for the blob's own end. Raises: BlobMissing, InternalError and as `Calls.run`."""
        self._calls = calls
        self._open_range = open_range
        self._attempts = Attempts(calls, "get")
        self._position = start
        self._stream: Download | None = calls.run("get", open_range, start, end)
        self._end = size_bytes = self._stream.size_bytes
        if end is not None and end <= size_bytes:
            self._end = end
        elif end is not None:
            self.close()
            raise InternalError(f"A blob has {size_bytes} bytes, asked for [{start}, {end}).")

    @property
    def left_bytes(self) -> int:
        return self._end - self._position

    def __iter__(self) -> RemoteBody:
        return self

    def __next__(self) -> bytes:
        """Raises: InternalError when the service ends early again and again; ServiceUnavailable when it is too slow."""
        wanted = min(CHUNK_MAX_BYTES, self.left_bytes)
        if not wanted:
            self.close()
            raise StopIteration
        self._attempts.renew()
        until_s = self._calls.monotonic() + CHUNK_TIMEOUT_S
        pieces: list[bytes] = []
        while wanted:
            if self._calls.monotonic() > until_s:
                self.close()
                self._calls.refuse("get", _TOO_SLOW, 1)
            piece = self._read(wanted)
            pieces.append(piece)
            wanted -= len(piece)
            self._position += len(piece)
        if not self.left_bytes:
            self._finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._end = self._position

    def _read(self, count: int) -> bytes:
        while True:
            try:
                if self._stream is None:
                    self._stream = self._calls.once("get", self._open_range, self._position, self._end)
                piece = self._stream.read(count)
                if not piece:
                    raise UpstreamError(_ENDS_EARLY)
                return piece
            except Exception as error:
                self._drop()
                self._attempts.after(error)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _finish(self) -> None:
        """See the end of the answer, so that its connection can be used again; what comes there does not matter."""
        stream = self._stream
        if stream is not None:
            try:
                stream.read(1)
            except Exception as error:
                if self._calls.trouble(error) is None:
                    raise
        self._drop()
