"""DeleteObjects: up to 1,000 keys in one request, each with an outcome of its own."""

from __future__ import annotations

from app.auth.access import has_policy
from app.core import objects
from app.domain.errors import AccessDenied, InvalidRequest, NoSuchVersion, S3Error, S3NotImplemented
from app.domain.names import check_key, is_version_id
from app.domain.types import Condition, Removed
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.permission import may
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs

bp = S3Blueprint("delete_objects")


@bp.post("/<bucket>", subresource="delete", action="s3:DeleteObject", needs=Needs.BUCKET)
def delete_objects(request: S3Request) -> S3Response:
    expected = request.payload.expected
    if expected.content_md5 is None and expected.checksum_algorithm is None:
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    document = xml.read_delete(read_all(request.payload, xml.DELETE_MAX_BYTES))
    permitted = _Permitted(request)

    refused = [_refusal(item, permitted) for item in document.items]
    doomed = [
        (item.key, item.version_id, _condition(item))
        for item, refusal in zip(document.items, refused, strict=True)
        if refusal is None
    ]
    owner_id = request.principal.id or request.bucket.owner_id
    removed = iter(objects.delete_objects(request.store, request.bucket.name, owner_id, doomed))
    outcomes = [
        _outcome(item, next(removed) if refusal is None else refusal)
        for item, refusal in zip(document.items, refused, strict=True)
    ]
    shown = [outcome for outcome in outcomes if isinstance(outcome, xml.NotDeleted) or not document.quiet]
    return xml_response(xml.delete_result(shown))


def _outcome(item: xml.DeleteItem, removed: Removed | S3Error) -> xml.Deleted | xml.NotDeleted:
    """One key's outcome; its failure is no other key's."""
    if isinstance(removed, S3Error):
        return xml.NotDeleted(item.key, item.version_id, removed)
    marker_id = removed.version_id if removed.is_delete_marker else None
    return xml.Deleted(item.key, item.version_id, removed.is_delete_marker, marker_id)


class _Permitted:
    """Which keys the caller may delete: asked once, but where a policy may say something else of each."""

    def __init__(self, request: S3Request) -> None:
        self._request = request
        self._by_key = has_policy(request.bucket)
        self._any_version = self._by_key or may(request, "s3:DeleteObjectVersion")

    def delete(self, key: str, version_id: str | None) -> bool:
        action = "s3:DeleteObject" if version_id is None else "s3:DeleteObjectVersion"
        if self._by_key:
            return may(self._request, action, key)
        return version_id is None or self._any_version


def _refusal(item: xml.DeleteItem, permitted: _Permitted) -> S3Error | None:
    """Why an item is not even tried, if it is not."""
    try:
        _check(item, permitted)
    except S3Error as error:
        return error
    return None


def _check(item: xml.DeleteItem, permitted: _Permitted) -> None:
    """Raises: the item's refusal."""
    check_key(item.key)
    if item.version_id is not None and not is_version_id(item.version_id):
        raise NoSuchVersion
    if not permitted.delete(item.key, item.version_id):
        raise AccessDenied
    if item.version_id is not None and _condition(item) is not None:
        raise S3NotImplemented("Conditional deletes of a version are not implemented.")


def _condition(item: xml.DeleteItem) -> Condition | None:
    if item.etag is None and item.size_bytes is None and item.modified_s is None:
        return None
    return Condition(
        if_match=None if item.etag is None else (item.etag,),
        if_match_size_bytes=item.size_bytes,
        if_match_modified_s=item.modified_s,
    )
