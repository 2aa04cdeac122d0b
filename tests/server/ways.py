"""Two servers on like data, one for each way of a request: what both are asked, and what must not tell them apart.

The second one's data is a copy of the first one's, so version ids, upload ids and dates are the same, and both get the
same bytes. What a server makes up per request is replaced by its name before answers are compared.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server.conftest import eventually
from tests.server.wire import TIMEOUT_S, Answer, Truncated, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, presign

# What each answer has of its own: an id, the time, and versions and uploads that the request made.
_HEADERS = re.compile(
    rb"^(Date|Last-Modified|x-amz-request-id|x-amz-version-id|x-amz-copy-source-version-id): (?!null\r)[^\r]*", re.MULTILINE | re.IGNORECASE
)  # fmt: skip
_ELEMENTS = re.compile(
    rb"<(RequestId|LastModified|Initiated|UploadId|UploadIdMarker|NextUploadIdMarker|VersionId|DeleteMarkerVersionId|"
    rb"CopySourceVersionId|VersionIdMarker|NextVersionIdMarker|ServerTime)>(?!null<)[^<]*<"
)
_OWN_FIELDS = ("time", "ms", "request_id", "pid")
_COMPARED_EVENTS = ("request.", "response.", "connection.")
_SAMPLE = re.compile(
    r"^(bleepstore_(?:s3_operations_total|bytes_\w+_total|s3_request_duration_seconds_count)\S*) (\S+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Case:
    """What a client sends on a fresh connection. A step is sent when the one before it was answered, by 100 Continue at best.

    `status` is the last answer's; 0: there is none; None: any. `ends`: the client says that it sends nothing more.
    """

    name: str
    status: int | None
    steps: tuple[bytes, ...]
    method: str = "GET"
    ends: bool = False


@dataclass(frozen=True)
class Heard:
    """All bytes that came back but for what is each answer's own, and whether the connection brings another answer then."""

    received: bytes
    statuses: tuple[int, ...]
    is_open: bool


@dataclass
class Ways:
    short: RunningServer
    long: RunningServer
    tls: ssl.SSLContext | None = None

    @property
    def servers(self) -> tuple[RunningServer, RunningServer]:
        return self.short, self.long

    def differences(self, cases: Sequence[Case]) -> list[str]:
        """What tells the ways apart, and which answers are not the expected ones."""
        found = []
        for case in cases:
            by_short, by_long = (ask(server, case) for server in self.servers)
            if by_short != by_long:
                found.append(f"{case.name}:\n    short: {_shown(by_short)}\n    long:  {_shown(by_long)}")
            elif case.status is not None and (by_short.statuses or (0,))[-1] != case.status:
                found.append(f"{case.name}: {case.status} expected, {_shown(by_short)}")
        return found + self.differences_in_log() + self.differences_in_metrics()

    def streams_differ(self, wire: bytes) -> str:
        """ "" where a client that sends this and no more hears the same."""
        by_short, by_long = (normalised(stream_of(server.port, wire, self.tls)) for server in self.servers)
        return "" if by_short == by_long else f"{wire[:600]!r}\n    short: {by_short!r}\n    long:  {by_long!r}"

    def replies_differ(self, case: Case, times: int) -> str:
        """ "" where a client that sends the case's one step again after each answer hears the same."""
        by_short, by_long = (normalised(replies(server, case, times)) for server in self.servers)
        return "" if by_short == by_long else f"{case.name}\n    short: {by_short!r}\n    long:  {by_long!r}"

    def differences_in_log(self) -> list[str]:
        """Events of both logs, in order, but for what is each event's own."""
        if eventually(lambda: events(self.short) == events(self.long)):
            return []
        by_short, by_long = (events(server) for server in self.servers)
        first = next((pair for pair in zip(by_short, by_long, strict=False) if pair[0] != pair[1]), ("", ""))
        return [f"the logs have {len(by_short)} and {len(by_long)} events:\n    {first[0]}\n    {first[1]}"]

    def differences_in_metrics(self) -> list[str]:
        if eventually(lambda: samples(self.short, self.tls) == samples(self.long, self.tls)):
            return []
        by_short, by_long = (samples(server, self.tls) for server in self.servers)
        names = sorted(set(by_short) | set(by_long))
        return [
            f"{name}: {by_short.get(name)} and {by_long.get(name)}"
            for name in names
            if by_short.get(name) != by_long.get(name)
        ]


@contextlib.contextmanager
def both_ways(home: Path, seed: Any, *flags: str, certificate: Path | None = None) -> Iterator[Ways]:
    """`seed(server)` fills the first one, while it is alone, without TLS. `certificate` is in one file with its key."""
    settings = ["--server.log_format", "json", "--server.log_level", "debug", *flags]
    same = {"PYTHONHASHSEED": "0"}  # Flask lists the methods of a path in the order of a set
    short = RunningServer(home / "short", settings, same | {"BLEEPSTORE_SERVER_SHORT_WAY": "true"})
    long = RunningServer(home / "long", settings, same | {"BLEEPSTORE_SERVER_SHORT_WAY": "false"})
    ways = Ways(short, long, None if certificate is None else ssl.create_default_context(cafile=str(certificate)))
    try:
        seed(short.start())
        short.terminate()
        short.log_path.unlink()
        shutil.copytree(home / "short", home / "long")
        for server in ways.servers:
            if certificate is not None:
                server.scheme = "https"
                server.args = [
                    *settings,
                    "--server.tls.cert_file",
                    str(certificate),
                    "--server.tls.key_file",
                    str(certificate),
                ]
            server.start()
        yield ways
    finally:
        for server in ways.servers:
            server.kill9()


# -- One exchange ------------------------------------------------------------------------------------------------


class _Recording(Wire):
    """Keeps all that comes."""

    heard = b""

    def _received(self) -> bytes:
        received = super()._received()
        self.heard += received
        return received


def ask(server: RunningServer, case: Case) -> Heard:
    statuses = []
    with _Recording(server.port) as wire:
        for answer in _answers(wire, case):
            statuses.append(answer.status)
        received = wire.heard
        return Heard(normalised(received), tuple(statuses), not case.ends and _brings_another(server, wire))


def _answers(wire: _Recording, case: Case) -> Iterator[Answer]:
    """Those to each step, until one is final."""
    try:
        for step in case.steps:
            wire.send(step)
            if case.ends and step is case.steps[-1]:
                wire.sock.shutdown(socket.SHUT_WR)
            answer = wire.answer(case.method)
            yield answer
            if answer.status >= 200:
                return
        if case.steps:
            yield wire.answer(case.method)
    except (Truncated, ConnectionError):
        return


def replies(server: RunningServer, case: Case, times: int) -> bytes:
    """All that comes back until an answer does not come."""
    with _Recording(server.port) as wire, contextlib.suppress(Truncated, ConnectionError):
        for _ in range(times):
            wire.send(case.steps[0])
            while wire.answer(case.method).status < 200:
                pass
    return wire.heard


def _brings_another(server: RunningServer, wire: _Recording) -> bool:
    probe = presign(Draft("GET", "/plain/empty"), Keys(server.access_key, server.secret_key))
    try:
        wire.send(probe.wire())
        return wire.answer().status == 200
    except (Truncated, ConnectionError):
        return False


def stream_of(port: int, wire: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """All that comes back to a client that has sent everything, until the server ends the connection.

    Over TLS nobody says that he sends nothing more: the last request has to ask for the end.
    """
    received = b""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    with tls.wrap_socket(plain, server_hostname="localhost") if tls else plain as connection:
        try:
            connection.sendall(wire)
            if tls is None:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before the end; what was said of it can be read
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                received += piece
    return received


def normalised(received: bytes) -> bytes:
    return _ELEMENTS.sub(rb"<\1>~<", _HEADERS.sub(rb"\1: ~", received))


def _shown(heard: Heard) -> str:
    return f"{heard.statuses}, {'open' if heard.is_open else 'closed'}: {heard.received[:2_000]!r}"


# -- What is written down ----------------------------------------------------------------------------------------


def events(server: RunningServer) -> list[dict[str, Any]]:
    found = []
    for line in server.log().splitlines():
        fields = json.loads(line) if line.startswith("{") else {"event": "response.none", "line": line}
        if str(fields["event"]).startswith(_COMPARED_EVENTS):
            found.append({name: value for name, value in fields.items() if name not in _OWN_FIELDS})
    return found


def samples(server: RunningServer, tls: ssl.SSLContext | None = None) -> dict[str, float]:
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    text = stream_of(server.port, request, tls).decode()
    return {match[1]: float(match[2]) for match in _SAMPLE.finditer(text)}
