"""Refusals by the name that a failed CHECK puts into the engine's error message."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    ConditionalRequestConflict,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
)
from app.metadata.base import BlobCondemned

REPEATED = "repeated"
NOTHING_TO_DO = "nothing_to_do"

_ERRORS: dict[str, Callable[[], S3Error]] = {
    "no_such_bucket": NoSuchBucket,
    "bucket_exists": BucketAlreadyExists,
    "bucket_owned": BucketAlreadyOwnedByYou,
    "bucket_not_empty": BucketNotEmpty,
    "no_such_key": NoSuchKey,
    "no_such_version": NoSuchVersion,
    "no_such_upload": NoSuchUpload,
    "is_delete_marker": MethodNotAllowed,
    "precondition_failed": PreconditionFailed,
    "stale_revision": ConditionalRequestConflict,
    "blob_condemned": BlobCondemned,
}


class Refused(Exception):
    """A mutation that changed nothing. `name` is the refusal's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def refusal_in(message: str) -> str | None:
    """The refusal that an error message of the engine names, if it is one."""
    name = message.rpartition(" ")[2]
    return name if name in _ERRORS or name in (REPEATED, NOTHING_TO_DO) else None


def s3_error(name: str) -> S3Error:
    return _ERRORS[name]()
