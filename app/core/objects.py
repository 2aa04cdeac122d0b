"""PutObject, DeleteObject and what they share with copies and uploads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.core import intake
from app.core.store import SINGLE_PUT_MAX_BYTES, Store
from app.domain.acl import Acl
from app.domain.errors import S3Error
from app.domain.names import new_op_id, new_version_id
from app.domain.payload import Payload
from app.domain.types import (
    Attributes,
    Checksum,
    Condition,
    Content,
    NewVersion,
    Published,
    Removal,
    Removed,
    Tags,
)
from app.metadata.base import OutcomeUnknown


class NewObject(NamedTuple):
    """What a client says about an object it writes, beside the bytes."""

    bucket: str
    key: str
    owner_id: str
    attributes: Attributes = Attributes()
    tags: Tags = ()
    acl: Acl | None = None


class Stored(NamedTuple):
    published: Published
    etag: str
    size_bytes: int
    checksum: Checksum | None


def put_object(store: Store, new: NewObject, payload: Payload, condition: Condition | None) -> Stored:
    """Receive the body, make it durable, publish it in one commit (I2, I3).

    Raises: what `intake.take_in` and `MetadataStore.publish` raise.
    """
    limits = store.limits
    received = intake.take_in(
        store,
        store.storage_for(new.bucket),
        payload,
        max_bytes=min(SINGLE_PUT_MAX_BYTES, limits.max_object_size_bytes),
        inline_max_bytes=limits.inline_max_bytes,
        algorithm=None,
    )
    published = publish(
        store, new, received.size_bytes, received.md5_hex, received.content, received.checksum, condition
    )
    return Stored(published, received.md5_hex, received.size_bytes, received.checksum)


def publish(
    store: Store,
    new: NewObject,
    size_bytes: int,
    etag: str,
    content: Content,
    checksum: Checksum | None,
    condition: Condition | None,
    *,
    is_fresh: bool = True,
) -> Published:
    """Publish content as a new version. A fresh blob whose publication is refused for certain is deleted at once."""
    version = NewVersion(
        bucket=new.bucket,
        key=new.key,
        version_id=new_version_id(),
        owner_id=new.owner_id,
        created_ms=store.now_ms(),
        size_bytes=size_bytes,
        etag=etag,
        content=content,
        attributes=new.attributes,
        tags=new.tags,
        acl=new.acl,
        checksum=checksum,
    )
    try:
        return store.metadata.publish(version, condition, new_op_id())
    except OutcomeUnknown:
        raise
    except S3Error:
        if is_fresh:
            intake.give_up(store, content.blob)
        raise


def delete_object(
    store: Store, bucket: str, key: str, version_id: str | None, owner_id: str, condition: Condition | None
) -> Removed:
    """Raises: what `MetadataStore.remove` raises."""
    removal = Removal(bucket, key, version_id, new_version_id(), owner_id, store.now_ms())
    return store.metadata.remove(removal, condition, new_op_id())


def delete_objects(
    store: Store, bucket: str, owner_id: str, doomed: Sequence[tuple[str, str | None, Condition | None]]
) -> Sequence[Removed | S3Error]:
    """`delete_object` of many (key, version id, condition): in their order what each gives or is refused with."""
    now_ms = store.now_ms()
    return store.metadata.remove_all(
        [
            (Removal(bucket, key, version_id, new_version_id(), owner_id, now_ms), condition, new_op_id())
            for key, version_id, condition in doomed
        ]
    )
