"""What several views ask of a request: the object it is about, or the answer that there is none."""

from __future__ import annotations

from email.utils import formatdate

from app.domain.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion
from app.domain.types import Version, Versioning
from app.s3.request import S3Request

DELETE_MARKER = "x-amz-delete-marker"
VERSION_ID = "x-amz-version-id"


def require_object(request: S3Request) -> Version:
    """The version the request is about, for rules that need one. It is an object: a delete marker is answered as such.

    Raises: NoSuchKey (with the marker's id, where a current marker hides the key), NoSuchVersion, MethodNotAllowed
    (a marker named by its id). Source: specs/versioning.md.
    """
    version, named = request.version, request.version_id
    if version is None:
        if named is not None:
            raise NoSuchVersion(Key=request.key, VersionId=named)
        raise NoSuchKey(Key=request.key)
    if not version.is_delete_marker:
        return version
    headers = ((DELETE_MARKER, "true"), (VERSION_ID, version.version_id))
    if named is None:
        raise NoSuchKey(headers=headers, Key=request.key)
    last_modified = ("Last-Modified", formatdate(version.modified_ms // 1000, usegmt=True))
    raise MethodNotAllowed(
        headers=(*headers, last_modified, ("Allow", "DELETE")), Method=request.method, ResourceType="DeleteMarker"
    )


def version_header(request: S3Request, version: Version) -> list[tuple[str, str]]:
    """`x-amz-version-id` of an existing version, as reads and changes of it send it: never on unversioned buckets."""
    if request.bucket.versioning is Versioning.UNVERSIONED:
        return []
    return [(VERSION_ID, version.version_id)]
