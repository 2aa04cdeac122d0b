"""A browser's form (multipart/form-data): its fields, and its file as a `Payload` that streams.

Fields come by name and with or without a filename, as clients send them; what comes behind the file is passed over.
Source: "POST Object", AWS S3 API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_options_header
from werkzeug.sansio import multipart

from app.domain.errors import (
    EntityTooLarge,
    EntityTooSmall,
    IncompleteBody,
    InvalidArgument,
    MalformedPOSTRequest,
    MaxPostPreDataLengthExceeded,
    PreconditionFailed,
)
from app.domain.names import shown
from app.domain.payload import Expected, Payload
from app.s3.headers import FORM_TYPE, is_form

FIELDS_MAX_BYTES = 20 * 1024  # all that comes before the file, as at AWS
BOUNDARY_MAX_CHARS = 200
PIECE_MAX_BYTES = 1 << 18


class Form(NamedTuple):
    """`fields` by lower-case name; the file is still to come."""

    fields: dict[str, str]
    filename: str
    file: FilePayload


def read_form(payload: Payload, content_type: str | None) -> Form:
    """Receive the fields, up to where the file begins.

    Raises: PreconditionFailed (no such form), MalformedPOSTRequest, MaxPostPreDataLengthExceeded, InvalidArgument (no
    file), and what the payload raises.
    """
    if not is_form(content_type):
        raise PreconditionFailed(
            f"Bucket POST must be of the enclosure-type {FORM_TYPE}", Condition="Bucket POST must be of that type"
        )
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= BOUNDARY_MAX_CHARS or not boundary.isascii():
        raise MalformedPOSTRequest("The form has no boundary.")
    decoder = multipart.MultipartDecoder(boundary.encode())
    return _Reader(payload, decoder).read()


class _Reader:
    def __init__(self, payload: Payload, decoder: multipart.MultipartDecoder) -> None:
        self._payload = payload
        self._decoder = decoder
        self._fields: dict[str, str] = {}
        self._name: str | None = None
        self._value = bytearray()
        self._received_bytes = 0

    def read(self) -> Form:
        try:
            while True:
                event = self._decoder.next_event()
                if isinstance(event, multipart.NeedData):
                    self._receive()
                elif isinstance(event, multipart.Field | multipart.File):
                    name = (event.name or "").lower()
                    if name == "file":
                        filename = event.filename if isinstance(event, multipart.File) else ""
                        return Form(self._fields, filename or "", FilePayload(self._payload, self._decoder))
                    self._name = name
                elif isinstance(event, multipart.Data):
                    self._value += event.data
                    if not event.more_data:
                        self._keep()
        except ValueError:
            raise MalformedPOSTRequest from None

    def _receive(self) -> None:
        received = self._payload.receive(FIELDS_MAX_BYTES)
        if not received:
            raise InvalidArgument(
                "POST requires exactly one file upload per request.", ArgumentName="file", ArgumentValue="0"
            )
        self._received_bytes += len(received)
        # What came of the file with it is not the fields'.
        if self._received_bytes > 2 * FIELDS_MAX_BYTES:
            raise MaxPostPreDataLengthExceeded
        self._decoder.receive_data(self._payload.decode(received))

    def _keep(self) -> None:
        name, self._name = self._name, None
        try:
            value = self._value.decode()
        except UnicodeDecodeError:
            raise MalformedPOSTRequest(f"The field {shown(name or '')} is no UTF-8.") from None
        self._value = bytearray()
        if name is None:
            return
        if name in self._fields:
            raise MalformedPOSTRequest(f"The field {shown(name)} is given twice.")
        self._fields[name] = value
        if sum(len(name) + len(value) for name, value in self._fields.items()) > FIELDS_MAX_BYTES:
            raise MaxPostPreDataLengthExceeded


class FilePayload:
    """The form's file. `size_bytes` is not known before it has ended."""

    is_held_back = False  # the fields have been asked for
    size_bytes: int | None = None

    def __init__(self, payload: Payload, decoder: multipart.MultipartDecoder) -> None:
        self.expected = Expected()
        self.min_bytes = 0
        self.max_bytes: int | None = None
        self._payload = payload
        self._decoder = decoder
        self._ready = bytearray()
        self._decoded_bytes = 0
        self._has_ended = False
        self._scratch: memoryview | None = None
        self._take_events()

    @property
    def received_bytes(self) -> int:
        return getattr(self._payload, "received_bytes", 0)

    @property
    def is_ended(self) -> bool:
        return self._payload.is_ended and not self._ready

    @property
    def is_whole(self) -> bool:
        return self._payload.is_whole and not self._ready

    def receive(self, max_bytes: int) -> bytes:
        while not self._ready:
            received = self._payload.receive(max_bytes)
            if not received:
                return b""
            self._feed(self._payload.decode(received))
        return self._take(max_bytes)

    def decode(self, received: bytes) -> bytes:
        return received

    def wait(self) -> bool:
        return bool(self._ready) or self._payload.wait()

    def read_into(self, room: memoryview) -> int | None:
        if not self._ready:
            if self._scratch is None:
                self._scratch = memoryview(bytearray(PIECE_MAX_BYTES))
            count = self._payload.read_into(self._scratch)
            if count is None:
                return None
            self._feed(bytes(self._scratch[:count]))
        piece = self._take(len(room))
        room[: len(piece)] = piece
        return len(piece)

    def finish(self) -> Mapping[str, str]:
        """Raises: IncompleteBody where the form's end did not come, EntityTooSmall."""
        self._payload.finish()
        if not self._has_ended:
            raise IncompleteBody
        if self._decoded_bytes < self.min_bytes:
            raise EntityTooSmall(ProposedSize=str(self._decoded_bytes), MinSizeAllowed=str(self.min_bytes))
        return {}

    def limit(self, min_bytes: int, max_bytes: int | None) -> None:
        """What the length has to be. Raises: EntityTooLarge, where more is here already."""
        self.min_bytes, self.max_bytes = min_bytes, max_bytes
        self._check_size()

    def _feed(self, data: bytes) -> None:
        if self._has_ended:
            return
        self._decoder.receive_data(data)
        self._take_events()
        self._check_size()

    def _take_events(self) -> None:
        try:
            while not self._has_ended:
                event = self._decoder.next_event()
                if isinstance(event, multipart.NeedData):
                    return
                if isinstance(event, multipart.Data):
                    self._ready += event.data
                    self._decoded_bytes += len(event.data)
                    self._has_ended = not event.more_data
        except ValueError:
            raise MalformedPOSTRequest from None

    def _take(self, max_bytes: int) -> bytes:
        piece = bytes(self._ready[:max_bytes])
        del self._ready[:max_bytes]
        return piece

    def _check_size(self) -> None:
        if self.max_bytes is not None and self._decoded_bytes > self.max_bytes:
            raise EntityTooLarge(ProposedSize=str(self._decoded_bytes), MaxSizeAllowed=str(self.max_bytes))
