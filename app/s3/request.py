"""What a view takes and gives. Plain objects: no Flask here, so a view runs in Flask, in a test and on the short way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from app.core.store import Store
from app.domain.errors import InternalError, NoSuchKey
from app.domain.payload import Payload
from app.domain.types import Body, Bucket, Lookup, Principal, Tags, Version

if TYPE_CHECKING:
    from app.s3.routing import Rule


# Parameters of Signature Version 4; known on every method.
SIGNATURE_PARAMETERS = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
    }
)


# What may lead a read to another answer than the whole object.
_OF_PART_READS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"})


class Headers:
    """Request headers by lower-case name, latin-1 decoded, blanks around the value removed, in the order they came.

    `values` has each name once; several values of one name are joined with a comma, as HTTP has it. `get` is its `get`.
    `asks_for_all`: nothing here makes a read conditional or one of a part.
    """

    __slots__ = ("_items", "amz_names", "asks_for_all", "get", "values")

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._items = [(name.lower(), value.strip(" \t")) for name, value in items]
        values: dict[str, str] = {}
        for name, value in self._items:
            values[name] = f"{values[name]},{value}" if name in values else value
        self.values: Mapping[str, str] = values
        self.get = values.get
        self.amz_names = tuple(name for name in values if name.startswith("x-amz-"))
        self.asks_for_all = _OF_PART_READS.isdisjoint(values)

    def get_all(self, name: str) -> list[str]:
        return [value for each, value in self._items if each == name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def with_prefix(self, prefix: str) -> list[tuple[str, str]]:
        """(name without the prefix, value) of every header that begins so, in order, values of one name joined.

        `prefix` begins with "x-amz-".
        """
        return [(name[len(prefix) :], self.values[name]) for name in self.amz_names if name.startswith(prefix)]

    def added(self, items: Iterable[tuple[str, str]]) -> Headers:
        """A copy with those of `items` whose name is not here yet."""
        return Headers(self._items + [(name, value) for name, value in items if name.lower() not in self.values])


class Query:
    """Query parameters, decoded once. A parameter without "=" has the value ""; of a repeated one the first counts.

    `is_plain`: there are none but those that sign a request. `in_headers` are those that stand for x-amz-* headers.
    """

    __slots__ = ("_values", "get", "in_headers", "is_plain")

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        values: dict[str, str] = {}
        for name, value in items:
            values.setdefault(name, value)
        self._values = values
        self.get = values.get
        self.is_plain = all(name.lower() in SIGNATURE_PARAMETERS for name in values)
        self.in_headers = () if self.is_plain else tuple(_headers_in(values))

    @classmethod
    def of_signature(cls, algorithm: str, credential: str, date: str, expires: str, signed_headers: str) -> Self:
        """The same of a presigned query that holds nothing else, without a look at each name."""
        query = cls.__new__(cls)
        query._values = {
            "X-Amz-Algorithm": algorithm,
            "X-Amz-Credential": credential,
            "X-Amz-Date": date,
            "X-Amz-Expires": expires,
            "X-Amz-SignedHeaders": signed_headers,
        }
        query.get = query._values.get
        query.is_plain, query.in_headers = True, ()
        return query

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def _headers_in(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """x-amz-* parameters of a presigned URL. Checksums do not count: JavaScript SDK v3 signs the CRC of an empty body."""
    for name, value in values.items():
        lower = name.lower()
        if (
            lower.startswith("x-amz-")
            and lower not in SIGNATURE_PARAMETERS
            and not lower.startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))
        ):
            # A header is latin-1, one character a byte; a decoded parameter is text.
            yield lower, value.encode().decode("latin-1")


class Target(NamedTuple):
    """The request target, parsed once: signature, policy and handler all read this.

    `raw_path` and `raw_query` are as received (absolute-form reduced to its path). `bucket` and `key` are decoded;
    None where the request names none.
    """

    raw_path: str
    raw_query: str
    bucket: str | None
    key: str | None


@dataclass(slots=True)
class S3Request:
    """One authenticated and authorised request. `looked_up` is there for rules that name a bucket."""

    method: str
    target: Target
    query: Query
    headers: Headers
    make_payload: Callable[[], Payload]  # when a view first asks for it: most requests have no body
    principal: Principal
    request_id: str
    rule: Rule
    store: Store
    remote_address: str = ""
    is_secure: bool = False
    looked_up: Lookup | None = None
    is_signed: bool = False
    enforces_access: bool = True
    authenticate_form: Callable[[Mapping[str, str]], Principal] | None = None
    posted: tuple[Principal, str] | None = None  # who signed a form, and the key in it
    body_tags: Tags | None = None  # those that a view has read from the body, for a policy that asks
    object_bytes: int | None = None  # of the object that the view has written
    _payload: Payload | None = None

    @property
    def payload(self) -> Payload:
        if self._payload is None:
            self._payload = self.make_payload()
        return self._payload

    @property
    def received_bytes(self) -> int:
        """Of the body, from the wire, as far as anybody has read it."""
        return 0 if self._payload is None else getattr(self._payload, "received_bytes", 0)

    @property
    def bucket(self) -> Bucket:
        """The bucket the request names, as the pipeline found it."""
        if self.looked_up is None:
            raise InternalError
        return self.looked_up.bucket

    @property
    def key(self) -> str:
        if self.target.key is None:
            raise NoSuchKey
        return self.target.key

    @property
    def version(self) -> Version | None:
        """What the key, with `versionId` where it was given, led to: for rules that need it. A marker counts."""
        return None if self.looked_up is None else self.looked_up.version

    def policy_value(self, name: str, version: Version | None) -> tuple[str, ...] | None:
        """See app/s3/circumstances.py, which is loaded by the first policy that asks."""
        from app.s3 import circumstances

        return circumstances.value(self, name, version)

    @property
    def version_id(self) -> str | None:
        return self.query.get("versionId")


@dataclass(slots=True)
class S3Response:
    """Headers are (name, value) in the order to be sent; values latin-1. `content_length` is needed for HEAD only:
    elsewhere it follows from the body, and an iterator must come with it.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Body = b""
    content_length: int | None = None


def xml_response(document: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> S3Response:
    return S3Response(status, [("Content-Type", "application/xml"), *(headers or {}).items()], document)
