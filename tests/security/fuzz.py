"""S-24: requests that begin as right ones, and are changed before or after they are signed; and what may come back.

Everything follows from a seed, so that a request which hurts can be made again.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import socket
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.s3.routing import Rule
from app.s3.service_paths import SERVICE_PATHS
from app.s3.views import unconfigured
from tests.security.auth_matrix import MODES, RULES, Mode, Scene, draft_of, wire_of
from tests.security.conftest import make_scene
from tests.security.odd_names import KEYS, NO_NAMES
from tests.security.xml_attacks import ROOTS
from tests.server.wire import TIMEOUT_S
from tests.servers import RunningServer
from tests.signing import Draft, Keys, Signed, anonymous, presign, sign

RECEIVED_MAX_BYTES = 8 << 20

_PARAMETERS = sorted(
    {name for rule in RULES for name in (*rule.parameters, rule.subresource) if name}
    | {
        "partNumber",
        "uploadId",
        "versionId",
        "x-id",
        "list-type",
        "X-Amz-Security-Token",
        "x-amz-acl",
        "select-type",
        "v",
    }
)
_HEADERS = (
    "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Content-MD5", "Content-Type",
    "Content-Encoding", "Cache-Control", "Expires", "Expect", "Transfer-Encoding", "Content-Length", "Connection", "Date",
    "x-amz-acl", "x-amz-grant-read", "x-amz-grant-full-control", "x-amz-tagging", "x-amz-tagging-directive", "x-amz-metadata-directive",
    "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-copy-source-if-modified-since", "x-amz-mp-object-size",
    "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-meta-a", "x-amz-meta-", "x-amz-checksum-crc32", "x-amz-checksum-sha256",
    "x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode", "x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-if-match-size",
    "x-amz-decoded-content-length", "x-amz-expected-bucket-owner", "x-amz-object-ownership", "x-amz-object-attributes", "x-amz-max-parts",
    "x-amz-part-number-marker", "x-amz-server-side-encryption", "x-amz-object-lock-mode", "x-amz-bypass-governance-retention", "x-amz-mfa",
    "x-amz-if-match-last-modified-time", "x-amz-optional-object-attributes", "x-amz-bucket-object-lock-enabled", "x-amz-security-token",
)  # fmt: skip
_VALUES = (
    "", "0", "-1", "1", "00", "+1", "1e9", "9" * 10, "9" * 19, "9" * 400, "0x10", "NaN", "true", "false", "null", "None", "*", '"*"', '"', "W/\"a\"",
    '""', "bytes=0-0", "bytes=-0", "bytes=5-1", "bytes=-" + "9" * 30, "bytes=0-,1-", "bytes=a-b", "bytes=" + "1-2," * 300, "lines=1-2",
    "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 99 Zzz 0000 99:99:99 GMT", "2026-02-30T25:61:61Z", "20260101T000000Z",
    "private", "public-read", 'id="' + "0" * 64 + '"', 'uri="http://acs.amazonaws.com/groups/global/AllUsers"', 'emailAddress="a@b"', "id=,id=",
    "a=b&a=b", "a=b&c", "=", "&&&", "%", "%zz", "%00", "%ff", "a" * 300, "REPLACE", "COPY", "GLACIER", "AES256", "aws:kms", "CRC32", "crc64nvme", "COMPOSITE",
    "FULL_OBJECT", "ETag,Checksum,ObjectParts,ObjectSize,StorageClass", "AAAAAA==", "d" * 32, "chunked", "gzip, chunked", "100-continue", "close", "url",
    "/", "//", "/{bucket}/there", "/{bucket}/there?versionId=null", "/{bucket}/there?versionId=", "{bucket}", "http://{bucket}/x", "\xff\xfe", "\u00e9",
)  # fmt: skip
_DOCUMENTS = {
    "CreateBucketConfiguration": "<LocationConstraint>us-east-1</LocationConstraint><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>",
    "AccessControlPolicy": "<Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee><ID>x</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>",
    "Tagging": "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>",
    "VersioningConfiguration": "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>",
    "OwnershipControls": "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>",
    "Delete": "<Quiet>false</Quiet><Object><Key>a</Key><VersionId>null</VersionId><ETag>e</ETag><Size>1</Size><LastModifiedTime>Thu, 01 Jan 1970 00:00:00 GMT</LastModifiedTime></Object>",
    "CompleteMultipartUpload": "<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>",
}  # fmt: skip
_DIGESTED = ("DeleteObjects",)
_BUILT = tuple(rule for rule in RULES if rule not in unconfigured.bp.rules)

_STATUS_LINE = re.compile(rb"(?:^|\r\n\r\n|(?<=>))HTTP/1\.1 (\d{3}) ")
_REQUEST_ID = re.compile(rb"\r\nx-amz-request-id: [0-9A-F]{16}\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Attempt:
    """What is sent on one connection. `name` says how it came about."""

    name: str
    wire: bytes


class Fuzzer:
    """An endless supply of attempts on a scene."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._dice = random.Random(seed)

    def attempts(self, count: int) -> Iterator[Attempt]:
        for number in range(count):
            rules = _BUILT if self._dice.random() < 0.7 else RULES
            rule, mode = self._dice.choice(rules), self._dice.choice(MODES)
            signed = self._signed(self._spoiled(draft_of(rule, self._scene, mode), mode, rule))
            wire = wire_of(signed, mode)
            how = "before signing"
            if self._dice.random() < 0.25:
                wire, how = self._bitten(wire), "bytes changed"
            yield Attempt(f"{number}: {rule.operation}, {mode.name}, {how}", wire)

    # -- Before signing ------------------------------------------------------------------------------------------

    def _spoiled(self, draft: Draft, mode: Mode, rule: Rule) -> Draft:
        """Up to four changes to target, headers and body. Often what is sent is signed and understood."""
        dice = self._dice
        if rule.operation in ROOTS and not mode.is_streaming and dice.random() < 0.9:
            draft = draft.copy(body=self._document(ROOTS[rule.operation]), payload_hash=None)
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            change = dice.choice(
                (self._other_key, self._more_parameters, self._more_parameters, self._more_headers, self._more_headers)
            )
            draft = change(draft, rule)
        if rule.operation in _DIGESTED and dice.random() < 0.9:
            draft.headers.append(("Content-MD5", base64.b64encode(hashlib.md5(draft.body).digest()).decode()))
        return draft

    def _other_key(self, draft: Draft, rule: Rule) -> Draft:
        path, mark, query = draft.target.partition("?")
        bucket, name = self._scene.bucket, self._dice.choice(KEYS)
        # The service's own answers have no request id.
        other = "/" if f"/{name}" in SERVICE_PATHS else f"/{quote(name, safe='')}"
        path = self._dice.choice((
            f"/{bucket}/{quote(name, safe='/')}", f"/{bucket}/{self._dice.choice(NO_NAMES)}", other, path + "/", path[:-1] or "/",
            f"/{bucket}", "/", f"//{bucket}", f"/{bucket}/{self._raw_text()}",
        ))  # fmt: skip
        return draft.copy(target=path + mark + query)

    def _more_parameters(self, draft: Draft, rule: Rule) -> Draft:
        value = quote(self._value(), safe="") if self._dice.random() < 0.9 else self._dice.choice(NO_NAMES)
        name = self._dice.choice(_PARAMETERS) if self._dice.random() < 0.9 else quote(self._text(8), safe="")
        if rule.parameters and self._dice.random() < 0.7:
            name = self._dice.choice(sorted(rule.parameters))
        mark = "&" if "?" in draft.target else "?"
        return draft.copy(target=f"{draft.target}{mark}{name}{self._dice.choice(('=', ''))}{value}")

    def _more_headers(self, draft: Draft, rule: Rule) -> Draft:
        value = re.sub("[\0-\x1f\x7f]", " ", self._value()).encode().decode("latin-1")
        return draft.copy(headers=[*draft.headers, (self._dice.choice(_HEADERS), value)])

    def _document(self, root: str) -> bytes:
        """A right document with some of its elements or texts changed, doubled or gone."""
        document = f"<{root}>{_DOCUMENTS[root]}</{root}>"
        for _ in range(self._dice.randrange(4)):
            pieces = re.split(r"(<[^>]*>)", document)
            at = self._dice.randrange(len(pieces))
            change = self._dice.randrange(4)
            if change == 0:
                pieces[at] = ""
            elif change == 1:
                pieces.insert(at, pieces[at])
            elif change == 2:
                pieces[at] = self._value().replace("<", "&lt;") if "<" not in pieces[at] else pieces[at]
            else:
                other = self._dice.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            document = "".join(pieces)
        return document.encode("utf-8", "replace")

    def _value(self) -> str:
        pick = self._dice.random()
        if pick < 0.6:
            return self._dice.choice(_VALUES).replace("{bucket}", self._scene.bucket)
        return self._dice.choice(KEYS) if pick < 0.8 else self._text(60)

    def _text(self, length_max: int) -> str:
        alphabet = string.printable[:94] + "\u00e9\u20ac\U0001f600\x00\x01\r\n\t"
        return "".join(self._dice.choices(alphabet, k=self._dice.randrange(1, length_max)))

    def _raw_text(self) -> str:
        """Nothing escaped, as a careless client sends it."""
        return re.sub(r"\s", "+", self._text(40)).encode().decode("latin-1")

    def _signed(self, draft: Draft) -> Signed:
        keys = self._scene.keys
        pick = self._dice.random()
        if pick < 0.7:
            return sign(draft, keys)
        if pick < 0.85:
            return presign(draft.copy(payload_hash=draft.declared_hash), keys)
        if pick < 0.9:
            return sign(draft, Keys(self._text(20).strip().encode("ascii", "replace").decode() or "x", "secret"))
        return anonymous(draft)

    # -- After signing -------------------------------------------------------------------------------------------

    def _bitten(self, wire: bytes) -> bytes:
        """Bytes flipped, cut, doubled, moved or put in; mostly in the head."""
        dice, data = self._dice, bytearray(wire)
        for _ in range(dice.randrange(1, 4)):
            end = max(1, min(len(data), 700))
            start, stop = sorted((dice.randrange(end), dice.randrange(end)))
            change = dice.randrange(7)
            if change == 0 and data:
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            elif change == 1:
                data[start:start] = dice.choice(
                    (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"%", b"\xff", b"\r\n\r\n", b"\r\n ")
                )
            elif change == 2:
                del data[start : start + dice.randrange(1, 30)]
            elif change == 3:
                data[stop:stop] = data[start : start + dice.randrange(1, 80)]
            elif change == 4:
                del data[dice.randrange(len(data) + 1) :]
            elif change == 5:
                lines = bytes(data).split(b"\r\n")
                dice.shuffle(lines)
                data = bytearray(b"\r\n".join(lines))
            else:
                lines = bytes(data).split(b"\r\n")
                lines.insert(dice.randrange(len(lines)), dice.choice(lines))
                data = bytearray(b"\r\n".join(lines))
        return bytes(data)


def check_nothing_hurts(server: RunningServer, client: Any, count: int, *, threads: int = 4) -> None:
    """0 internal errors, 0 workers that end, and the server serves on."""
    workers = server.worker_pids()

    def run(seed: int) -> list[str]:
        scene = make_scene(server, client)
        client.put_object(Bucket=scene.bucket, Key="anchor")  # nobody names it, so the bucket cannot be deleted
        return [
            f"{attempt.name}: {fault}\n    {attempt.wire[:600]!r}"
            for attempt in Fuzzer(scene, seed).attempts(count // threads)
            for fault in faults_in(answers_of(server.port, attempt.wire))
        ]

    with ThreadPoolExecutor(threads) as pool:
        found = [fault for faults in pool.map(run, range(threads)) for fault in faults]
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:20])
    assert server.worker_pids() == workers
    assert "Traceback" not in server.log()
    assert client.list_buckets()["Buckets"]


def answers_of(port: int, wire: bytes) -> bytes:
    """All that comes back until the server has nothing to say any more to a client that has sent everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(wire)
            connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before the end; what was said of it can be read
        received = bytearray()
        try:
            while len(received) < RECEIVED_MAX_BYTES and (piece := connection.recv(1 << 16)):
                received += piece
        except ConnectionResetError:
            pass
        return bytes(received)


def faults_in(received: bytes) -> list[str]:
    """What is wrong with these answers: there must be none that is an internal error, nameless, or not HTTP."""
    if received and not received.startswith(b"HTTP/1.1 "):
        return [f"no HTTP: {received[:80]!r}"]
    faults = []
    for status in (int(match[1]) for match in _STATUS_LINE.finditer(received)):
        if status not in _STATUSES:
            faults.append(f"status {status}")
    head = received.partition(b"\r\n\r\n")[0] + b"\r\n"
    if received and not head.startswith(b"HTTP/1.1 100 ") and not _REQUEST_ID.search(head):
        faults.append("no request id")
    return faults


_STATUSES = frozenset({100, 200, 204, 206, 304, 400, 403, 404, 405, 408, 409, 411, 412, 413, 416, 501, 503})
