"""Signature Version 2, in the Authorization header or in a presigned query, for clients that still send it.

It signs neither the host nor the body, by HMAC-SHA-1: a server takes it only where its operator says so.
Source: "Signing and Authenticating REST Requests", AWS S3 developer guide (API version 2006-03-01).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from urllib.parse import unquote

from app.auth import payload_mode
from app.auth.canonical import ALGORITHM
from app.auth.claims import read_moment, require_no_skew, untimely
from app.auth.credentials import Credential
from app.auth.payload_mode import PayloadMode, read_mode
from app.auth.sigv4 import Authenticated, Authenticator, check_token
from app.domain.dates import iso_date
from app.domain.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    SignatureDoesNotMatch,
)
from app.domain.names import bucket_of_host
from app.domain.types import Principal

SCHEME = "AWS "
PARAMETERS = ("AWSAccessKeyId", "Expires", "Signature")
EXPIRES_CHARS_MAX = 12  # of seconds since the epoch

# What of a query is part of the resource that is signed; the response-… ones by their decoded values.
_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId",
        "versioning", "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
    }
)  # fmt: skip

Pairs = Sequence[tuple[str, str | None]]  # decoded; None without "="


class EitherVersion(Authenticator):
    """Takes requests of Version 2 as well as those of Version 4.

    `domains` are those of virtual-host style. Of `subresources`, all that there are, Version 2 signs those of its time;
    whoever holds a URL could add any other to it, so those it does not serve.
    """

    def __init__(
        self,
        find_credential: Callable[[str], Credential | None],
        region: str,
        signing_hosts: Sequence[str],
        now_s: Callable[[], float],
        domains: Sequence[str] = (),
        subresources: Collection[str] = (),
    ) -> None:
        super().__init__(find_credential, region, signing_hosts, now_s)
        self._unsigned = frozenset(subresources) - _SUBRESOURCES
        self._domains = tuple(domains)

    def authenticate(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Authenticated:
        """As for Version 4. Raises: the same."""
        authorization = headers.get("authorization")
        in_query = "AWSAccessKeyId=" in raw_query and "Signature=" in raw_query and "X-Amz-Algorithm=" not in raw_query
        in_header = authorization is not None and authorization.startswith(SCHEME)
        if not in_query and not in_header:
            return super().authenticate(method, raw_path, raw_query, headers)
        if in_query and authorization is not None:
            raise InvalidArgument(
                "Only one auth mechanism allowed; only the Signature query string parameter or the Authorization header "
                "should be specified",
                ArgumentName="Authorization",
            )
        query = _pairs(raw_query)
        for name, _ in query:
            if name in self._unsigned:
                raise InvalidRequest(f"Signature Version 2 does not sign {name}. Please use {ALGORITHM}.")
        mode = _mode(headers)
        check_token(headers, [(name, value or "") for name, value in query])
        if authorization is not None:
            access_key, signature = _of_header(authorization)
            date = self._header_date(headers)
        else:
            access_key, expires, signature = (_single(query, name) for name in PARAMETERS)
            date = self._expiry(expires)
            headers = _with_query(headers, query)
        bucket = bucket_of_host(headers.get("host", ""), self._domains)
        resource = raw_path if bucket is None else f"/{bucket}{raw_path}"
        texts = [_string_to_sign(method, date, headers, each) for each in _resources(resource, query)]
        return Authenticated(self._verified(access_key, signature, texts), mode, None, authorization is None)

    def authenticate_form(self, fields: Mapping[str, str]) -> Principal:
        if "x-amz-algorithm" in fields or "awsaccesskeyid" not in fields:
            return super().authenticate_form(fields)
        check_token(fields, ())
        return self._verified(fields["awsaccesskeyid"], fields.get("signature", ""), [fields["policy"].encode()])

    def _verified(self, access_key: str, signature: str, texts: Sequence[bytes]) -> Principal:
        """Unknown access keys take the same way to the end. Raises: SignatureDoesNotMatch, InvalidAccessKeyId."""
        credential = self._find_credential(access_key)
        secret = (credential or self._nobody).secret_key.encode()
        is_signed = False
        for text in texts:
            is_right = hmac.compare_digest(_sign(secret, text), signature.encode("utf-8", "replace"))
            is_signed = is_signed or is_right
        if credential is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
        if not is_signed:
            raise SignatureDoesNotMatch(
                AWSAccessKeyId=access_key,
                StringToSign=texts[0].decode("utf-8", "replace"),
                SignatureProvided=signature,
                StringToSignBytes=texts[0].hex(" "),
            )
        return credential.principal

    def _header_date(self, headers: Mapping[str, str]) -> str:
        """What the string to sign has for the date. Raises: AccessDenied, RequestTimeTooSkewed."""
        amz_date = headers.get("x-amz-date")
        text = headers.get("date", "") if amz_date is None else amz_date
        moment_s = read_moment(text.strip(" \t"))
        if moment_s is None:
            raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
        require_no_skew(text, moment_s, self._now_s())
        return text if amz_date is None else ""

    def _expiry(self, expires: str) -> str:
        """Raises: AccessDenied."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= EXPIRES_CHARS_MAX):
            raise AccessDenied("Invalid date (should be seconds since epoch): Expires")
        now_s = self._now_s()
        if now_s > int(expires):
            raise untimely("Request has expired", now_s, {"Expires": iso_date(int(expires) * 1_000)})
        return expires


def _of_header(authorization: str) -> tuple[str, str]:
    access_key, colon, signature = authorization.removeprefix(SCHEME).strip(" \t").rpartition(":")
    if not (colon and access_key and signature):
        raise InvalidArgument(
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature", ArgumentName="Authorization"
        )
    return access_key, signature


def _single(query: Pairs, name: str) -> str:
    values = [value for each, value in query if each == name]
    if len(values) != 1 or not values[0]:
        raise AccessDenied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters, once each"
        )
    return values[0]


def _mode(headers: Mapping[str, str]) -> PayloadMode:
    """The body is not signed; it may have chunks all the same, and a checksum behind them."""
    value = headers.get(payload_mode.HEADER)
    mode = payload_mode.UNSIGNED if value is None else read_mode(value.strip(" \t"))
    if mode.has_signatures:
        raise InvalidRequest(f"{payload_mode.HEADER} promises chunk signatures, which Signature Version 2 has not.")
    return mode


def _with_query(headers: Mapping[str, str], query: Pairs) -> dict[str, str]:
    """Signers move headers into a presigned query; one that is sent as well counts."""
    moved = {
        name.lower(): value or ""
        for name, value in query
        if name.lower().startswith("x-amz-") or name.lower() in ("content-type", "content-md5")
    }
    return moved | dict(headers)


def _string_to_sign(method: str, date: str, headers: Mapping[str, str], resource: str) -> bytes:
    amz = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name.startswith("x-amz-"))
    head = (method, headers.get("content-md5", "").strip(), headers.get("content-type", "").strip(), date)
    # Headers as they came, a character a byte; names in a query are UTF-8 once they are decoded.
    return ("\n".join(head) + f"\n{amz}").encode("latin-1", "replace") + resource.encode("utf-8", "replace")


def _resources(path: str, query: Pairs) -> list[str]:
    """The resource as signers have it, who do not agree: they drop the "=" of an empty value or leave it, and some end a
    bucket without a key with a slash that the request has not."""
    paths = [path, f"{path}/"] if path.count("/") == 1 and len(path) > 1 else [path]
    named = sorted(((name, value) for name, value in query if name in _SUBRESOURCES), key=lambda pair: pair[0])
    made = ["&".join(name if value is None else f"{name}={value}" for name, value in named)]
    if any(value == "" for _, value in named):
        made.append("&".join(name if not value else f"{name}={value}" for name, value in named))
    return [f"{each}?{text}" if text else each for each in paths for text in made]


def _pairs(raw_query: str) -> list[tuple[str, str | None]]:
    """Not as a form: a plus sign is one."""
    pairs = []
    for each in raw_query.split("&") if raw_query else ():
        name, mark, value = each.partition("=")
        pairs.append((unquote(name), unquote(value) if mark else None))
    return pairs


def _sign(secret: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.new(secret, text, hashlib.sha1).digest())


__all__ = ["PARAMETERS", "EitherVersion"]
