"""Every S3 request goes through here, whichever server code received it.

parse -> rule -> authenticate -> look up -> authorise -> view; an S3 error at any step becomes the answer. Nothing is
read from the body, and no 100 Continue sent, before the caller is known to be allowed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.auth import access
from app.auth.sigv4 import Authenticated, Proof
from app.core import content, lookup
from app.core.store import Store
from app.domain.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InternalError,
    InvalidArgument,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
    S3NotImplemented,
)
from app.domain.names import HOST_ID, check_key, is_version_id, new_request_id
from app.domain.types import FileSpan, Lookup, Principal
from app.observe.repeats import PACKED_PER_S, QUICK_S
from app.s3 import preflight, xml
from app.s3.body import RequestPayload, Wire
from app.s3.headers import ENCRYPTED_AT_REST, refuse_protections
from app.s3.outcome import Counts, Ending, Handled, Outcome, Recorder, Repeat
from app.s3.permission import authorise
from app.s3.request import Headers, Query, S3Request, S3Response, Target
from app.s3.routing import Needs, Router, Rule
from app.s3.sending import describe
from app.s3.target import parse_target

if TYPE_CHECKING:
    from app.s3.proxies import TrustedProxies

_WRITE_CONDITIONS = ("If-None-Match", "If-Match", "x-amz-if-match-size", "x-amz-if-match-last-modified-time")

# The operations whose answers say how the object's bytes are encrypted.
_OF_OBJECT_BYTES = frozenset(
    {
        "PutObject",
        "PostObject",
        "GetObject",
        "HeadObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
    }
)

# mc signs these for no region, which no request of S3 does; a bucket may be called so all the same.
MINIO_ADMIN_PATHS = ("/minio/admin/", "/minio/kms/")
NO_MINIO_ADMIN = (
    "BleepStore does not have MinIO's admin API. Its own command line shows and checks what it has (bleepstore --help), its "
    "metrics are at /metrics and /minio/v2/metrics, and its health at /health."
)

_PLAIN_READS = frozenset({"GetObject", "HeadObject"})
_OF_PLAIN_READS = frozenset({"x-amz-date", "x-amz-content-sha256", "x-amz-checksum-mode"})

_log = logging.getLogger("bleepstore.s3")


class Incoming(NamedTuple):
    """A request as a server hands it over: nothing in it is decoded or believed yet."""

    method: str
    raw_target: str
    headers: Headers
    wire: Wire
    remote_address: str
    is_secure: bool


class Routed(NamedTuple):
    """One parse of a request, and the rule it leads to. `proof`: of a request that came before, byte for byte.

    `form` is there where a whole object is asked for and nothing else: the method, with " ENABLED" where its checksum is too.
    """

    target: Target
    query: Query
    rule: Rule
    form: str | None = None
    proof: Proof | None = None


class Authenticates(Protocol):
    """`app.auth.sigv4.Authenticator`, or `Unchecked` where an operator has switched it off."""

    def authenticate(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Authenticated: ...

    def proof(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Proof | None: ...

    def verify(self, proof: Proof) -> Authenticated | None: ...

    def authenticate_form(self, fields: Mapping[str, str]) -> Principal: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """`domains` for virtual-host style. With `enforces_access` off nothing is refused to anybody.

    `proxies` may say who a client is. With `traces` callers are asked for their trace, which takes a look at each head.
    """

    domains: Sequence[str] = ()
    enforces_access: bool = True
    proxies: TrustedProxies | None = None
    traces: bool = False


class Pipeline:
    _values: memoryview[float]  # where answers from memory are counted, once one is there

    def __init__(
        self,
        router: Router,
        authenticator: Authenticates,
        store: Store,
        settings: Settings,
        record: Recorder,
        counts: Counts | None = None,
    ) -> None:
        """`counts` counts what is answered, where somebody does; `record` is told of it behind that."""
        self.router = router
        self._authenticator = authenticator
        self._authenticate_form = authenticator.authenticate_form
        self._store = store
        self._settings = settings
        self._proxies = settings.proxies
        self._record = record
        self._counts = counts

    def route(self, method: str, raw_target: str, headers: Headers) -> Routed | None:
        """Where a request goes that names an object, and has a rule; None for all others. Decides nothing."""
        try:
            target, query = parse_target(raw_target, headers.get("host") or "", self._settings.domains)
            if target.key is None:
                return None
            rule = self.router.match(method, target, query, headers)
            check_key(target.key)
        except S3Error:
            return None
        # A request that is traced says more than its answer is remembered by.
        return Routed(target, query, rule, None if self._settings.traces else _form(rule, query, headers))

    def prove(self, routed: Routed, headers: Headers) -> Routed | None:
        """With what the request signed, where that can be kept: for bytes that are expected again."""
        if not routed.query.is_plain:
            return None
        target = routed.target
        try:
            proof = self._authenticator.proof(routed.rule.method, target.raw_path, target.raw_query, headers.values)
        except S3Error:
            return None
        return routed._replace(proof=proof)

    def repeat(self, routed: Routed, headers: Headers, remote_address: str) -> Repeat | None:
        """The answer to a plain read of what has been read like this before, and is in memory; never waits.

        Who asks, and whether that may be, is decided as in `handle`, which is to be asked where this gives None.
        """
        target, _, rule, form, proof = routed
        if form is None:
            return None
        started = time.perf_counter()
        bucket, key = target.bucket or "", target.key or ""
        looked_up = self._store.metadata.known(bucket, key, inline=rule.needs is Needs.CONTENT)
        if looked_up is None or looked_up.described is None or looked_up.version is None:
            return None
        described = looked_up.described.get(form)
        body = looked_up.version.content.inline if rule.needs is Needs.CONTENT else b""
        if described is None or body is None:
            return None
        try:
            principal = self._authenticate(rule.method, target, headers, proof).principal
        except S3Error:
            return None
        if self._settings.enforces_access and not access.permits(
            principal, rule.action, looked_up.bucket, looked_up.version, key
        ):
            return None
        if self._proxies is not None:
            remote_address = self._proxies.client(headers, remote_address)
        outcome = Outcome(
            new_request_id(), rule.method, rule.operation, bucket, key, principal, remote_address, 200, started=started
        )
        seconds = time.perf_counter() - started
        place = described.place
        if place > 0 and seconds <= QUICK_S:
            self._values[place] += 1.0 + seconds * PACKED_PER_S  # here, for a call costs as much again
        elif place and self._counts is not None:
            self._counts.again(place, seconds, len(body))
        return Repeat(described, body, outcome, self._record, seconds)

    def handle(self, incoming: Incoming, routed: Routed | None = None) -> tuple[S3Response, Ending]:
        """The answer, and what is to be told when sending begins and called when it has ended.

        `routed` is what `route` or `prove` gave for this request, where one was asked.
        """
        remote_address = incoming.remote_address
        if self._proxies is not None:
            remote_address = self._proxies.client(incoming.headers, remote_address)
        outcome = Handled(new_request_id(), incoming.method, remote_address=remote_address)
        if self._settings.traces:
            outcome.traceparent = incoming.headers.get("traceparent") or ""
        ending = Ending(outcome, self._counts, self._record)
        try:
            response = self._answer(incoming, outcome, routed)
        except S3Error as error:
            response = self._refusal(error, incoming, outcome)
        except Exception:
            _log.exception("request.failed", extra={"request_id": outcome.request_id})
            response = self._refusal(InternalError(), incoming, outcome)
        outcome.status = response.status
        _complete(response, incoming.method, outcome.request_id)
        return response, ending

    def _answer(self, incoming: Incoming, outcome: Handled, routed: Routed | None) -> S3Response:
        headers = incoming.headers
        rule: Rule | None
        no_rule: S3Error | None = None
        if routed is not None:
            target, query, rule, _, proof = routed
            outcome.bucket, outcome.key = target.bucket or "", target.key or ""
        else:
            proof = None
            target, query = parse_target(incoming.raw_target, headers.get("host") or "", self._settings.domains)
            outcome.bucket, outcome.key = target.bucket or "", target.key or ""
            if incoming.method == "OPTIONS":
                raise preflight.refusal(headers)
            # A request without a rule is still authenticated first: a stranger learns nothing but that he is one.
            rule, no_rule = self._match(incoming.method, target, query, headers)
        authenticated = self._authenticate(incoming.method, target, headers, proof)
        outcome.principal = authenticated.principal
        if authenticated.is_presigned and query.in_headers:
            headers = headers.added(query.in_headers)
            if "x-amz-copy-source" in headers:
                rule, no_rule = self._match(incoming.method, target, query, headers)
        if no_rule is not None or rule is None:
            if authenticated.principal.is_anonymous:
                raise AccessDenied
            raise no_rule or MethodNotAllowed()
        outcome.operation = rule.operation
        if target.key is not None:
            check_key(target.key)
        request = S3Request(
            incoming.method,
            target,
            query,
            headers,
            partial(RequestPayload, incoming.wire, authenticated, headers),
            authenticated.principal,
            outcome.request_id,
            rule,
            self._store,
            remote_address=outcome.remote_address,
            is_secure=incoming.is_secure,
            is_signed=not authenticated.principal.is_anonymous,
            enforces_access=self._settings.enforces_access,
            authenticate_form=self._authenticate_form,
        )
        request.looked_up = _look_up(request)
        outcome.has_bucket = request.looked_up is not None
        authorise(request)
        if target.key is not None:
            refuse_protections(headers, encrypted_at_rest=self._store.encrypted_at_rest)
        try:
            response = rule.view(request)
        finally:
            outcome.bytes_in = request.received_bytes
            outcome.object_bytes = request.object_bytes
            if request.posted is not None:
                outcome.principal, outcome.key = request.posted
        if self._store.encrypted_at_rest and rule.operation in _OF_OBJECT_BYTES:
            response.headers.append(ENCRYPTED_AT_REST)
        if routed is not None and routed.form is not None:
            self._keep_description(request, routed.form, response, outcome)
        return response

    def _keep_description(self, request: S3Request, form: str, response: S3Response, outcome: Handled) -> None:
        """For `repeat`, where the engine keeps what it has looked up."""
        found = request.looked_up
        if found is None or (found.described is not None and form in found.described):
            return
        known = self._store.metadata.known(found.bucket.name, request.key, inline=request.rule.needs is Needs.CONTENT)
        if known is not found or response.status != 200:
            return
        outcome.status = 200
        body_bytes = 0 if request.method == "HEAD" else response.content_length or 0
        place = 0
        if self._counts is not None:
            place = self._counts.repeat_place(outcome, body_bytes)
            self._values = self._counts.values
        described = describe(response, place)
        if described is not None:
            found.described = {**(found.described or {}), form: described}

    def _authenticate(self, method: str, target: Target, headers: Headers, proof: Proof | None) -> Authenticated:
        """What does not hold by its proof is told why."""
        authenticated = None if proof is None else self._authenticator.verify(proof)
        if authenticated is not None:
            return authenticated
        try:
            return self._authenticator.authenticate(method, target.raw_path, target.raw_query, headers.values)
        except AuthorizationHeaderMalformed:
            if target.raw_path.startswith(MINIO_ADMIN_PATHS):
                raise S3NotImplemented(NO_MINIO_ADMIN) from None
            raise

    def _match(self, method: str, target: Target, query: Query, headers: Headers) -> tuple[Rule | None, S3Error | None]:
        try:
            return self.router.match(method, target, query, headers), None
        except S3Error as error:
            return None, error

    def _refusal(self, error: S3Error, incoming: Incoming, outcome: Outcome) -> S3Response:
        outcome.code = error.code
        _add_context(error, incoming.headers, outcome)
        headers = list(error.headers)
        if error.status == 304:
            return S3Response(304, headers)
        if incoming.method == "HEAD":
            return S3Response(error.status, [*headers, ("Content-Type", "application/xml")])
        resource = incoming.raw_target.partition("?")[0]
        document = xml.error(error, resource=resource, request_id=outcome.request_id, host_id=HOST_ID)
        return S3Response(error.status, [*headers, ("Content-Type", "application/xml")], document)


def _form(rule: Rule, query: Query, headers: Headers) -> str | None:
    """See `Routed`."""
    if rule.operation not in _PLAIN_READS or not query.is_plain or not headers.asks_for_all:
        return None
    if not _OF_PLAIN_READS.issuperset(headers.amz_names):
        return None
    mode = headers.get("x-amz-checksum-mode")
    if mode is not None and mode.upper() != "ENABLED":
        return None
    return rule.method if mode is None else f"{rule.method} ENABLED"


def _add_context(error: S3Error, headers: Headers, outcome: Outcome) -> None:
    """What the error is about, where it was raised by somebody who knew only rows."""
    if isinstance(error, NoSuchBucket) and outcome.bucket:
        error.fields.setdefault("BucketName", outcome.bucket)
    elif isinstance(error, NoSuchKey | NoSuchVersion) and outcome.key:
        error.fields.setdefault("Key", outcome.key)
    elif isinstance(error, PreconditionFailed):
        named = next((name for name in _WRITE_CONDITIONS if name.lower() in headers), None)
        if named is not None:
            error.fields.setdefault("Condition", named)


def _look_up(request: S3Request) -> Lookup | None:
    needs, target = request.rule.needs, request.target
    version_id = request.version_id
    if target.key is not None and version_id is not None and not is_version_id(version_id):
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version_id)
    if needs is Needs.NOTHING or target.bucket is None:
        return None
    if needs is Needs.BUCKET or target.key is None:
        return Lookup(lookup.bucket(request.store, target.bucket), None)
    with_bytes = needs is Needs.CONTENT
    return lookup.version(request.store, target.bucket, target.key, version_id, with_bytes=with_bytes)


def _complete(response: S3Response, method: str, request_id: str) -> None:
    """What every answer carries. HEAD keeps the length of the body that it does not send."""
    response.headers.append(("x-amz-request-id", request_id))
    response.headers.append(("x-amz-id-2", HOST_ID))
    body = response.body
    if response.content_length is None:
        if isinstance(body, bytes):
            response.content_length = len(body)
        elif isinstance(body, FileSpan):
            response.content_length = body.length
    if method == "HEAD":
        content.close(response.body)
        response.body = b""
