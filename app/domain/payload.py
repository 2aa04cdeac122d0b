"""A request's body as the core sees it, and what the client said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.domain.digests import Digests, header_name, is_checksum
from app.domain.errors import BadDigest, InvalidRequest, XAmzContentSHA256Mismatch
from app.domain.types import Checksum


class Expected(NamedTuple):
    """What the bytes must turn out to be. None: the client did not say.

    `checksum_algorithm` is S3's name; with it and no `checksum_value`, the value comes in a trailer.
    """

    content_md5: bytes | None = None
    payload_sha256: str | None = None  # lower-case hexadecimal
    checksum_algorithm: str | None = None
    checksum_value: str | None = None


class Payload(Protocol):
    """Taken in by one of two ways, not by both in turn unless the first has given all that it received.

    Small: `receive` waits for the network and gives pieces, `decode` only computes.
    Large: `wait` waits for the network, on the hub; `read_into` takes what has arrived, in any thread.
    `size_bytes` is the payload's declared size without any framing, None where the client declared none.
    """

    @property
    def size_bytes(self) -> int | None: ...

    @property
    def expected(self) -> Expected: ...

    def receive(self, max_bytes: int) -> bytes:
        """The next bytes from the wire, b"" at the end. Raises: RequestTimeout, IncompleteBody."""

    def decode(self, received: bytes) -> bytes:
        """The payload in what was received, in order; may be b"". Safe in a thread, one call at a time.

        Raises: SignatureDoesNotMatch, IncompleteBody, InvalidRequest (broken framing), MalformedTrailerError.
        """

    def wait(self) -> bool:
        """Until `read_into` has something to give; False at the end. Raises: RequestTimeout, IncompleteBody."""

    def read_into(self, room: memoryview) -> int | None:
        """Put decoded payload that is here already into `room`: how many bytes, which may be none; None where nothing is.

        Waits for milliseconds at most. Safe in a thread, one call at a time. Raises: as `receive` and `decode`.
        """

    @property
    def is_held_back(self) -> bool:
        """Whether the client sends nothing before it is asked to: the first `receive` or `wait` does that."""

    @property
    def is_ended(self) -> bool:
        """Whether `wait` and `read_into` have come to the end."""

    @property
    def is_whole(self) -> bool:
        """Whether all that was announced has been given by `receive`, which would give b"" now."""

    def finish(self) -> Mapping[str, str]:
        """After the end: the trailers, names in lower case. Raises: IncompleteBody unless all that was declared came (I10)."""


@dataclass(slots=True)
class BytesPayload:
    """A payload that is already here: for copies, jobs and tests."""

    data: bytes
    expected: Expected = Expected()
    is_held_back: bool = False
    _taken: int = 0

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @property
    def is_ended(self) -> bool:
        return self._taken == len(self.data)

    @property
    def is_whole(self) -> bool:
        return self.is_ended

    def receive(self, max_bytes: int) -> bytes:
        received = self.data[self._taken : self._taken + max_bytes]
        self._taken += len(received)
        return received

    def wait(self) -> bool:
        return not self.is_ended

    def read_into(self, room: memoryview) -> int | None:
        received = self.receive(len(room))
        room[: len(received)] = received
        return len(received) or None

    def decode(self, received: bytes) -> bytes:
        return received

    def finish(self) -> Mapping[str, str]:
        return {}


def verify(expected: Expected, digests: Digests, trailers: Mapping[str, str]) -> Checksum | None:
    """Compare a body that came whole with what the client said; the checksum it sent, if any.

    `digests` must have been asked for all that is expected, `trailers` come from `Payload.finish`.
    Raises: XAmzContentSHA256Mismatch, BadDigest; InvalidRequest for a trailer that is missing or no checksum.
    """
    if expected.payload_sha256 is not None and digests.sha256_hex() != expected.payload_sha256:
        raise XAmzContentSHA256Mismatch(
            ClientComputedContentSHA256=expected.payload_sha256, S3ComputedContentSHA256=digests.sha256_hex()
        )
    if expected.content_md5 is not None and digests.md5_bytes() != expected.content_md5:
        raise BadDigest("The Content-MD5 you specified did not match what we received.")
    algorithm = expected.checksum_algorithm
    if algorithm is None:
        return None
    value = expected.checksum_value
    if value is None:
        value = trailers.get(header_name(algorithm))
        if value is None or not is_checksum(algorithm, value):
            raise InvalidRequest(f"Value for {header_name(algorithm)} trailing header is invalid.")
    if digests.checksum(algorithm) != value:
        raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return Checksum(algorithm, value)
