"""A bucket's policy: kept as the text that was put, and read strictly before it is."""

from __future__ import annotations

import json

from app.auth import access
from app.core.store import Store
from app.domain.errors import MalformedPolicy, NoSuchBucketPolicy
from app.domain.names import new_op_id
from app.domain.types import Bucket

# Access for everybody by its usual names: actions on the bucket, actions on its objects.
_SHOWS = ("s3:GetBucketLocation", "s3:ListBucket")
_UPLOADS = ("s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
_WRITES = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:PutObject")
_CANNED = {
    "download": (_SHOWS, ("s3:GetObject",)),
    "upload": (_UPLOADS, _WRITES),
    "public": ((*_SHOWS, "s3:ListBucketMultipartUploads"), (*_WRITES, "s3:GetObject")),
}


def put_policy(store: Store, bucket: Bucket, document: bytes) -> None:
    """Replace the bucket's policy. Raises: MalformedPolicy, NoSuchBucket."""
    from app.domain.policy_conditions import Malformed  # most servers have no policy
    from app.domain.policy_reading import parse

    try:
        text = parse(document, bucket.name, store.directory.is_user)
    except Malformed as error:
        raise MalformedPolicy(str(error)) from None
    store.metadata.put_document(bucket.name, access.POLICY_DOCUMENT, text, new_op_id())


def delete_policy(store: Store, bucket: Bucket) -> None:
    """Raises: NoSuchBucket."""
    store.metadata.put_document(bucket.name, access.POLICY_DOCUMENT, None, new_op_id())


def policy_text(bucket: Bucket) -> str:
    """As it was put. Raises: NoSuchBucketPolicy."""
    text = bucket.documents.get(access.POLICY_DOCUMENT)
    if text is None:
        raise NoSuchBucketPolicy(BucketName=bucket.name)
    return text


def is_public(bucket: Bucket) -> bool:
    """Whether the policy gives something to everybody. Raises: NoSuchBucketPolicy."""
    policy_text(bucket)
    policy = access.bucket_policy(bucket)
    return policy is not None and policy.is_public


def canned(name: str, bucket: str) -> str:
    """The policy by which everybody may "download", "upload", or do both ("public")."""
    from app.domain.policy_reading import ARN_PREFIX

    on_bucket, on_objects = _CANNED[name]
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": sorted(actions), "Resource": [resource]}
        for actions, resource in (
            (on_bucket, f"{ARN_PREFIX}{bucket}"),
            (on_objects, f"{ARN_PREFIX}{bucket}/*"),
        )
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
