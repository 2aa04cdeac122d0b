"""Every S3 request goes through here, whichever server code received it.

parse -> rule -> authenticate -> look up -> authorise -> view; an S3 error at any step becomes the answer. Nothing is
read from the body, and no 100 Continue sent, before the caller is known to be allowed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from app.auth import access
from app.auth.sigv4 import Authenticated, Proof
from app.core import content, lookup
from app.core.store import Store
from app.domain.errors import (
    AccessDenied,
    InternalError,
    InvalidArgument,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
)
from app.domain.names import HOST_ID, check_key, is_version_id, new_request_id
from app.domain.types import ANONYMOUS, FileSpan, Lookup, Principal
from app.s3 import preflight, xml
from app.s3.body import RequestPayload, Wire
from app.s3.headers import ENCRYPTED_AT_REST, refuse_protections
from app.s3.request import Headers, Query, S3Request, S3Response, Target
from app.s3.routing import Needs, Router, Rule
from app.s3.target import parse_target

_WRITE_CONDITIONS = ("If-None-Match", "If-Match", "x-amz-if-match-size", "x-amz-if-match-last-modified-time")

# The operations whose answers say how the object's bytes are encrypted.
_OF_OBJECT_BYTES = frozenset(
    {
        "PutObject",
        "GetObject",
        "HeadObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
    }
)

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
    """One parse of a request, and the rule it leads to. `proof`: of a request that came before, byte for byte."""

    target: Target
    query: Query
    rule: Rule
    proof: Proof | None = None


@dataclass(slots=True)
class Outcome:
    """What is known of a request when it ends; `record` gets it once the last byte is sent or given up."""

    request_id: str
    method: str
    operation: str = "Unknown"
    bucket: str = ""
    key: str = ""
    principal: Principal = ANONYMOUS
    remote_address: str = ""
    status: int = 500
    code: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    started: float = field(default_factory=time.perf_counter)


class Authenticates(Protocol):
    """`app.auth.sigv4.Authenticator`, or `Unchecked` where an operator has switched it off."""

    def authenticate(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Authenticated: ...

    def proof(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Proof | None: ...

    def verify(self, proof: Proof) -> Authenticated | None: ...


class Recorder(Protocol):
    def __call__(self, outcome: Outcome, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """`domains` for virtual-host style. With `enforces_access` off nothing is refused to anybody."""

    domains: Sequence[str] = ()
    enforces_access: bool = True


class Pipeline:
    def __init__(
        self,
        router: Router,
        authenticator: Authenticates,
        store: Store,
        settings: Settings,
        record: Recorder,
    ) -> None:
        self.router = router
        self._authenticator = authenticator
        self._store = store
        self._settings = settings
        self._record = record

    def route(self, incoming: Incoming) -> Routed | None:
        """Where a request goes that names an object, and has a rule; None for all others. Decides nothing."""
        headers = incoming.headers
        try:
            target, query = parse_target(incoming.raw_target, headers.get("host") or "", self._settings.domains)
            if target.key is None:
                return None
            return Routed(target, query, self.router.match(incoming.method, target, query, headers))
        except S3Error:
            return None

    def remember(self, incoming: Incoming) -> Routed | None:
        """As `route`, with what the request signed where that can be kept: for bytes that are expected again."""
        routed = self.route(incoming)
        if routed is None or not routed.query.is_plain:
            return None
        target, headers = routed.target, incoming.headers
        try:
            proof = self._authenticator.proof(incoming.method, target.raw_path, target.raw_query, headers.values)
        except S3Error:
            return None
        return routed._replace(proof=proof)

    def handle(self, incoming: Incoming, routed: Routed | None = None) -> tuple[S3Response, Callable[[int], None]]:
        """The answer, and what is to be called with the number of body bytes sent when sending has ended.

        `routed` is what `route` or `remember` gave for this request, where one was asked.
        """
        outcome = Outcome(new_request_id(), incoming.method, remote_address=incoming.remote_address)
        try:
            response = self._answer(incoming, outcome, routed)
        except S3Error as error:
            response = self._refusal(error, incoming, outcome)
        except Exception:
            _log.exception("request.failed", extra={"request_id": outcome.request_id})
            response = self._refusal(InternalError(), incoming, outcome)
        outcome.status = response.status
        _complete(response, incoming.method, outcome.request_id)

        def finish(sent_bytes: int) -> None:
            outcome.bytes_out = sent_bytes
            self._record(outcome, time.perf_counter() - outcome.started)

        return response, finish

    def _answer(self, incoming: Incoming, outcome: Outcome, routed: Routed | None) -> S3Response:
        headers = incoming.headers
        rule: Rule | None
        no_rule: S3Error | None = None
        authenticated: Authenticated | None = None
        if routed is not None:
            target, query, rule, proof = routed
            if proof is not None:
                authenticated = self._authenticator.verify(proof)
            outcome.bucket, outcome.key = target.bucket or "", target.key or ""
        else:
            target, query = parse_target(incoming.raw_target, headers.get("host") or "", self._settings.domains)
            outcome.bucket, outcome.key = target.bucket or "", target.key or ""
            if incoming.method == "OPTIONS":
                raise preflight.refusal(headers)
            # A request without a rule is still authenticated first: a stranger learns nothing but that he is one.
            rule, no_rule = self._match(incoming.method, target, query, headers)
        if authenticated is None:
            authenticated = self._authenticator.authenticate(
                incoming.method, target.raw_path, target.raw_query, headers.values
            )
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
            remote_address=incoming.remote_address,
            is_secure=incoming.is_secure,
            is_signed=not authenticated.principal.is_anonymous,
            enforces_access=self._settings.enforces_access,
        )
        request.looked_up = _look_up(request)
        authorise(request)
        if target.key is not None:
            refuse_protections(headers, encrypted_at_rest=self._store.encrypted_at_rest)
        try:
            response = rule.view(request)
        finally:
            outcome.bytes_in = request.received_bytes
        if self._store.encrypted_at_rest and rule.operation in _OF_OBJECT_BYTES:
            response.headers.append(ENCRYPTED_AT_REST)
        return response

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


def authorise(request: S3Request) -> None:
    """Raises: AccessDenied; NoSuchKey or NoSuchVersion instead, for callers who may know that the object is absent."""
    expected = request.headers.get("x-amz-expected-bucket-owner")
    looked_up = request.looked_up
    if expected is not None and looked_up is not None and expected != looked_up.bucket.owner_id:
        raise AccessDenied
    if not request.enforces_access:
        _require_version(request)
        return
    bucket = None if looked_up is None else looked_up.bucket
    version = request.version
    if version is not None and version.is_delete_marker and bucket is not None:
        # What a marker hides is known to those who may list; the view gives the marker's own answer.
        if access.may_list(request.principal, bucket):
            return
        raise AccessDenied
    if access.permits(request.principal, request.rule.action_for(request.query), bucket, version):
        return
    if version is None and bucket is not None and access.may_list(request.principal, bucket):
        _require_version(request)
    raise AccessDenied


def _require_version(request: S3Request) -> None:
    if request.rule.needs not in (Needs.VERSION, Needs.CONTENT) or request.version is not None:
        return
    if request.version_id is not None:
        raise NoSuchVersion(Key=request.key, VersionId=request.version_id)
    raise NoSuchKey(Key=request.key)


def look_up_source(request: S3Request, bucket: str, key: str, version_id: str | None) -> Lookup:
    """The source of a copy, with its bytes where they are inline. It needs its own permission.

    Raises: NoSuchBucket, NoSuchKey, NoSuchVersion, AccessDenied, InvalidRequest (a delete marker named by its id).
    """
    found = lookup.version(request.store, bucket, key, version_id, with_bytes=True)
    expected = request.headers.get("x-amz-source-expected-bucket-owner")
    if expected is not None and expected != found.bucket.owner_id:
        raise AccessDenied
    version = found.version
    if version is None or (version.is_delete_marker and version_id is None):
        if request.enforces_access and not access.may_list(request.principal, found.bucket):
            raise AccessDenied
        raise (NoSuchKey if version_id is None else NoSuchVersion)(Key=key)
    if version.is_delete_marker:
        raise InvalidArgument(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
    action = "s3:GetObject" if version_id is None else "s3:GetObjectVersion"
    if request.enforces_access and not access.permits(request.principal, action, found.bucket, version):
        raise AccessDenied
    return found


def may(request: S3Request, action: str) -> bool:
    """Whether the caller may do another bucket-level action than the rule's, on the request's bucket."""
    return not request.enforces_access or access.permits(request.principal, action, request.bucket)


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
