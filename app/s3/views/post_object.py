"""PostObject: the upload of a browser's form, signed by the policy that is one of its fields."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from app.core import objects
from app.domain.errors import InvalidArgument
from app.domain.names import check_key, shown
from app.domain.tags import OBJECT_TAGS_MAX
from app.domain.types import Principal
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import expected_in
from app.s3.headers import refuse_protections
from app.s3.permission import authorise
from app.s3.request import Headers, Query, S3Request, S3Response, xml_response
from app.s3.views.writing import checksum_headers, new_object, version_id_header

if TYPE_CHECKING:
    from app.s3.form import Form

bp = S3Blueprint("post_object")

_FILENAME = "${filename}"
_HEADER_FIELDS = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires"}
)  # fmt: skip
_SIGNATURE_FIELDS = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"}
)
_SIGNED_WHEN = ("X-Amz-Algorithm", "X-Amz-Date")  # a presigned URL has them too, and policies ask for them
_STATUSES = {"200": 200, "201": 201, "204": 204}


@bp.post("/<bucket>", action="s3:PutObject")
def post_object(request: S3Request) -> S3Response:
    from app.s3.form import read_form  # most servers see no forms, and it loads Werkzeug

    form = read_form(request.payload, request.headers.get("content-type"))
    fields = form.fields
    fields["key"] = key = _key(form)
    principal = _sign_in(request, form)
    request.posted = (principal, key)
    posted = replace(
        request,
        target=request.target._replace(key=key),
        query=Query((name, fields[name.lower()]) for name in _SIGNED_WHEN if name.lower() in fields),
        headers=_headers(request, fields),
        principal=principal,
        is_signed=not principal.is_anonymous,
    )
    authorise(posted)
    check_key(key)
    refuse_protections(posted.headers, encrypted_at_rest=request.store.encrypted_at_rest)
    form.file.expected = expected_in(posted.headers)
    stored = objects.put_object(request.store, new_object(posted), form.file, None)
    request.object_bytes = stored.size_bytes
    headers = [
        ("ETag", f'"{stored.etag}"'), *checksum_headers(stored.checksum), *version_id_header(stored.published),
    ]  # fmt: skip
    return _answer(posted, fields, stored.etag, headers)


def _key(form: Form) -> str:
    key = form.fields.get("key")
    if not key:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ArgumentName="key",
            ArgumentValue="",
        )
    # Some browsers send the whole path.
    return key.replace(_FILENAME, form.filename.replace("\\", "/").rpartition("/")[2])


def _sign_in(request: S3Request, form: Form) -> Principal:
    """Who signed, once the fields are what he allowed; without a policy whoever sent the request."""
    fields = form.fields
    if not fields.get("policy"):
        if "x-amz-signature" in fields or "signature" in fields:
            raise InvalidArgument(
                "Bucket POST must contain a field named 'policy'.  If it is specified, please check the order of the "
                "fields.",
                ArgumentName="policy",
                ArgumentValue="",
            )
        return request.principal
    from app.auth import post_policy

    if request.authenticate_form is None:
        raise InvalidArgument("A form cannot be signed here.", ArgumentName="policy")
    principal = request.authenticate_form(fields)
    lengths = post_policy.check(fields["policy"], {**fields, "bucket": request.bucket.name}, time.time())
    form.file.limit(*lengths)
    return principal


def _headers(request: S3Request, fields: Mapping[str, str]) -> Headers:
    """The fields that are an upload's headers, beside the request's own that are about the connection."""
    items = [(name, request.headers.get(name) or "") for name in ("host", "user-agent", "referer")]
    for name, value in fields.items():
        if name == "acl":
            items.append(("x-amz-acl", value))
        elif name == "tagging":
            tags = xml.read_tagging(value.encode(), OBJECT_TAGS_MAX)
            items.append(("x-amz-tagging", urlencode(tags, quote_via=quote)))
        elif name in _HEADER_FIELDS or (name.startswith("x-amz-") and name not in _SIGNATURE_FIELDS):
            items.append((name, value))
    return Headers((name, _sendable(name, value)) for name, value in items)


def _sendable(name: str, value: str) -> str:
    """As a header would have come, which can hold no line break: it is sent back as one. A character a byte."""
    if any(char < " " or char == "\x7f" for char in value if char != "\t"):
        raise InvalidArgument("The field holds control characters.", ArgumentName=shown(name))
    return value.encode().decode("latin-1")


def _answer(posted: S3Request, fields: Mapping[str, str], etag: str, headers: list[tuple[str, str]]) -> S3Response:
    scheme = "https" if posted.is_secure else "http"
    path = f"{posted.target.raw_path.rstrip('/')}/{quote(posted.key)}"
    location = f"{scheme}://{posted.headers.get('host') or ''}{path}"
    redirect = _redirect(fields.get("success_action_redirect") or fields.get("redirect"), posted, etag)
    if redirect is not None:
        return S3Response(303, [("Location", redirect), *headers])
    status = _STATUSES.get(fields.get("success_action_status", ""), 204)
    headers.append(("Location", location))
    if status != 201:
        return S3Response(status, headers)
    document = xml.post_response(location, posted.bucket.name, posted.key, etag)
    return xml_response(document, 201, dict(headers))


def _redirect(target: str | None, posted: S3Request, etag: str) -> str | None:
    """Where the browser goes next, with what was made. What is no address of the web counts as not given, as at AWS."""
    if not target or not target.isascii() or not target.isprintable() or " " in target:
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    made = urlencode({"bucket": posted.bucket.name, "key": posted.key, "etag": f'"{etag}"'}, quote_via=quote)
    return parts._replace(query=f"{parts.query}&{made}" if parts.query else made).geturl()
