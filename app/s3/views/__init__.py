"""The S3 operations, one blueprint a resource. `BLUEPRINTS` is every rule of the server."""

from __future__ import annotations

from app.s3.blueprint import S3Blueprint
from app.s3.views import (
    attributes,
    bucket,
    bucket_acl,
    bucket_policy,
    bucket_tagging,
    copy,
    delete_objects,
    listing,
    multipart,
    object,  # noqa: A004  the resource's own name; nothing here builds on the builtin
    object_acl,
    object_tagging,
    ownership,
    post_object,
    service,
    unconfigured,
    versioning,
)

BLUEPRINTS: tuple[S3Blueprint, ...] = (
    service.bp,
    bucket.bp,
    bucket_acl.bp,
    bucket_policy.bp,
    bucket_tagging.bp,
    versioning.bp,
    ownership.bp,
    listing.bp,
    object.bp,
    copy.bp,
    delete_objects.bp,
    attributes.bp,
    multipart.bp,
    object_acl.bp,
    object_tagging.bp,
    post_object.bp,
    unconfigured.bp,
)
