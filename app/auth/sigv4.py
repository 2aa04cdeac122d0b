"""Who sent a request: Signature Version 4 in the Authorization header or in a presigned query, or nobody.

Pure: credentials and time come in from outside, nothing is read from the body.
Source: "Authenticating Requests (AWS Signature Version 4)", AWS S3 API reference.
"""

from __future__ import annotations

import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from app.auth import payload_mode
from app.auth.canonical import (
    canonical_path,
    canonical_request,
    query_pairs,
    sign,
    signing_key,
    string_to_sign,
)
from app.auth.chunked import ChunkSigner
from app.auth.claims import (
    SKEW_MAX_S,
    Claim,
    form_claim,
    header_claim,
    header_time,
    is_presigned,
    presigned_claim,
    usual_claim,
    usual_form,
)
from app.auth.credentials import Credential
from app.auth.payload_mode import PayloadMode, read_mode
from app.domain.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    S3Error,
    SignatureDoesNotMatch,
)
from app.domain.types import ANONYMOUS, Principal

SIGNING_KEYS_MAX = 16_384  # more than there can be users; some 400 bytes each

TellStage = Callable[[str, float], object]  # parse, key, canonical or compare took so many seconds


class Authenticated(NamedTuple):
    """`seed` starts the chain of chunk signatures; it is there exactly when `payload` has signatures."""

    principal: Principal
    payload: PayloadMode
    seed: ChunkSigner | None = None
    is_presigned: bool = False


class Proof(NamedTuple):
    """What a request signed, read from its bytes once: whether the signature is right is asked again each time.

    It is timely from `since_s` to `until_s`. Without a claim it signed nothing, and is anybody's.
    """

    claim: Claim | None
    text: bytes  # the string to sign
    payload: PayloadMode
    since_s: float
    until_s: float
    is_presigned: bool


class Stopwatch:
    """Tells how long the stages of one request took, one behind the other."""

    def __init__(self, tell: TellStage) -> None:
        self._tell = tell
        self._before_s = time.perf_counter()

    def passed(self, stage: str) -> None:
        now_s = time.perf_counter()
        self._tell(stage, now_s - self._before_s)
        self._before_s = now_s


class Authenticator:
    """Answers for one server. Requests may come from several threads at once if `find_credential` bears that."""

    def __init__(
        self,
        find_credential: Callable[[str], Credential | None],
        region: str,
        signing_hosts: Sequence[str],
        now_s: Callable[[], float],
    ) -> None:
        """`region` is the only one accepted in a scope; empty, any is.

        `signing_hosts` are names that clients may have signed in place of the Host received: those of a proxy or of
        a container's network.
        """
        self._find_credential = find_credential
        self._region = region
        self._signing_hosts = tuple(signing_hosts)
        self._now_s = now_s
        # Whoever names an unknown access key is checked against this secret, so that the answer takes as long.
        self._nobody = Credential("", secrets.token_hex(20), ANONYMOUS)
        self._signing_key = lru_cache(maxsize=SIGNING_KEYS_MAX)(_derive)
        self._tell_stage: TellStage | None = None
        self._timed_of = self._until_timed = 1

    def tell_stages(self, tell: TellStage, one_of: int) -> None:
        """Time the stages of one in so many requests whose signature is read anew."""
        self._tell_stage = tell
        self._timed_of = self._until_timed = one_of

    def authenticate(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Authenticated:
        """The caller, and how the body is to be read.

        `headers` are lower-case names and latin-1 values as received, those of one name joined by commas.
        Raises: SignatureDoesNotMatch, InvalidAccessKeyId, AccessDenied (expired, unsigned headers),
        RequestTimeTooSkewed, and for what cannot be understood the S3 error that names it.
        """
        authorization = headers.get("authorization")
        if authorization is None and not raw_query:
            return _anonymous(headers)
        watch = None if self._tell_stage is None else self._watch(self._tell_stage)
        claim = usual_claim(raw_query, headers, self._region, self._now_s()) if authorization is None else None
        in_query = claim is not None
        query: list[tuple[str, str]] = []
        if claim is None:
            query = query_pairs(raw_query) if raw_query else []
            in_query = is_presigned(query) if query else False
            if authorization is None and not in_query:
                return _anonymous(headers)
            if not in_query:
                claim = header_claim(authorization or "", headers, query, self._region, self._now_s())
            elif authorization is None:
                claim = presigned_claim(query, headers, self._region, self._now_s())
            else:
                raise InvalidArgument(
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                    "parameter or the Authorization header should be specified",
                    ArgumentName="Authorization",
                )
        mode = read_mode(claim.payload_hash)
        _check_signed(headers, claim.signed)
        check_token(headers, query)
        if watch is not None:
            watch.passed("parse")
        credential, key = self._verify(method, raw_path, headers, claim, watch)
        seed = None
        if mode.has_signatures:
            seed = ChunkSigner(key, claim.timestamp, claim.scope.text, claim.signature)
        return Authenticated(credential.principal, mode, seed, in_query)

    def proof(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Proof | None:
        """For a request whose very bytes are expected again; None for one that must be read anew each time.

        Without a body, signed in the header or by a query that holds nothing else. Raises: as `authenticate`.
        """
        authorization, now_s = headers.get("authorization"), self._now_s()
        if authorization is None and not raw_query:
            return Proof(None, b"", _anonymous(headers).payload, -math.inf, math.inf, is_presigned=False)
        if authorization is None:
            form, signature = usual_form(raw_query, self._region)
            if form is None or form.has_token:
                return None
            claim = form.claim(signature, headers, now_s)
            since_s, until_s = form.moment_s - SKEW_MAX_S, form.moment_s + form.expires_s
        elif raw_query:
            return None
        else:
            claim = header_claim(authorization, headers, (), self._region, now_s)
            moment_s = header_time(headers)[1]
            since_s, until_s = moment_s - SKEW_MAX_S, moment_s + SKEW_MAX_S
        mode = read_mode(claim.payload_hash)
        if mode.has_signatures:
            return None
        _check_signed(headers, claim.signed)
        check_token(headers, ())
        _, text = _signed_texts(method, canonical_path(raw_path), headers, claim)
        return Proof(claim, text, mode, since_s, until_s, authorization is None)

    def verify(self, proof: Proof) -> Authenticated | None:
        """The caller, where the credential, the time and the signature are right now; else None: `authenticate` says why."""
        claim, text, mode, since_s, until_s, is_presigned = proof
        if claim is None:
            return Authenticated(ANONYMOUS, mode)
        if not since_s <= self._now_s() <= until_s:
            return None
        credential = self._find_credential(claim.scope.access_key)
        if credential is None or not _is_signature(self._key_of(credential, claim), text, claim):
            return None
        return Authenticated(credential.principal, mode, None, is_presigned)

    def authenticate_form(self, fields: Mapping[str, str]) -> Principal:
        """Who signed the policy of a browser's form; `fields` by lower-case name. When it expires is the policy's to say.

        Raises: InvalidArgument (a field is missing), SignatureDoesNotMatch, InvalidAccessKeyId, InvalidToken, and what
        a scope is refused for.
        """
        scope, signature = form_claim(fields, self._region)
        check_token(fields, ())
        credential = self._find_credential(scope.access_key)
        checked = credential or self._nobody
        key = self._signing_key(checked.access_key, checked.generation, checked.secret_key, scope.date, scope.region)
        text = fields["policy"].encode()
        is_signed = hmac.compare_digest(sign(key, text), signature)
        if credential is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=scope.access_key)
        if not is_signed:
            raise SignatureDoesNotMatch(
                AWSAccessKeyId=scope.access_key,
                StringToSign=fields["policy"],
                SignatureProvided=signature,
                StringToSignBytes=text.hex(" "),
            )
        return credential.principal

    def _watch(self, tell: TellStage) -> Stopwatch | None:
        self._until_timed -= 1
        if self._until_timed:
            return None
        self._until_timed = self._timed_of
        return Stopwatch(tell)

    def _verify(
        self, method: str, raw_path: str, headers: Mapping[str, str], claim: Claim, watch: Stopwatch | None
    ) -> tuple[Credential, bytes]:
        """The credential, and the key that signed. Unknown access keys take the same way to the end."""
        scope = claim.scope
        credential = self._find_credential(scope.access_key)
        checked = credential or self._nobody
        key = self._key_of(checked, claim)
        if watch is not None:
            watch.passed("key")
        path = canonical_path(raw_path)
        request, text = _signed_texts(method, path, headers, claim)
        if watch is not None:
            watch.passed("canonical")
        is_signed = _is_signature(key, text, claim)
        if watch is not None:
            watch.passed("compare")
        for host in () if is_signed else self._signing_hosts:
            # Only the name may differ that a proxy changed; everything else was signed as it came.
            _, other = _signed_texts(method, path, {**headers, "host": host}, claim)
            is_signed = is_signed or _is_signature(key, other, claim)
        if is_signed and credential is not None:
            return credential, key
        mismatch = _mismatch(claim, request, text)
        raise mismatch if credential is not None else InvalidAccessKeyId(AWSAccessKeyId=scope.access_key)

    def _key_of(self, credential: Credential, claim: Claim) -> bytes:
        scope = claim.scope
        return self._signing_key(
            credential.access_key, credential.generation, credential.secret_key, scope.date, scope.region
        )


def _signed_texts(method: str, path: str, headers: Mapping[str, str], claim: Claim) -> tuple[bytes, bytes]:
    """The canonical request, and the string to sign."""
    request = canonical_request(method, path, claim.query, headers, claim.signed, claim.payload_hash)
    return request, string_to_sign(claim.timestamp, claim.scope.text, request)


def _derive(_access_key: str, _generation: int, secret_key: str, date: str, region: str) -> bytes:
    """A signing key, remembered by everything that it depends on and by whose it is."""
    return signing_key(secret_key, date, region)


def _anonymous(headers: Mapping[str, str]) -> Authenticated:
    value = headers.get(payload_mode.HEADER)
    if value is None:
        return _NOBODY
    mode = read_mode(value.strip(" \t"))
    if mode.has_signatures:
        raise InvalidRequest(f"{payload_mode.HEADER} promises chunk signatures, but the request is not signed.")
    return Authenticated(ANONYMOUS, mode)


_NOBODY = Authenticated(ANONYMOUS, payload_mode.UNSIGNED)


def _check_signed(headers: Mapping[str, str], signed: Sequence[str]) -> None:
    """Every x-amz-* header and the host must be signed: else a URL's holder could add a copy source or an ACL."""
    unsigned = []
    for name in headers:
        if name[:6] == "x-amz-" and name not in signed and name != payload_mode.HEADER:
            unsigned.append(name)
    if "host" not in signed:
        unsigned.append("host")
    if unsigned:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(unsigned)
        )


def check_token(headers: Mapping[str, str], query: Sequence[tuple[str, str]]) -> None:
    """No session tokens are issued here, so none can be valid."""
    if "x-amz-security-token" in headers or (
        query and any(name.lower() == "x-amz-security-token" for name, _ in query)
    ):
        raise InvalidToken


def _is_signature(key: bytes, text: bytes, claim: Claim) -> bool:
    return hmac.compare_digest(sign(key, text), claim.signature)


def _mismatch(claim: Claim, request: bytes, text: bytes) -> S3Error:
    return SignatureDoesNotMatch(
        AWSAccessKeyId=claim.scope.access_key,
        StringToSign=text.decode("utf-8", "replace"),
        SignatureProvided=claim.signature,
        StringToSignBytes=text.hex(" "),
        CanonicalRequest=request.decode("utf-8", "replace"),
        CanonicalRequestBytes=request.hex(" "),
    )
