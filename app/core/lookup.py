"""What the wire asks before it lets a request through."""

from __future__ import annotations

from app.core.store import Store
from app.domain.types import Bucket, Lookup


def bucket(store: Store, name: str) -> Bucket:
    """Raises: NoSuchBucket."""
    return store.metadata.bucket(name)


def version(store: Store, bucket_name: str, key: str, version_id: str | None, *, with_bytes: bool = False) -> Lookup:
    """The bucket and the current version of a key, or the one named, from one snapshot; inline bytes if asked for.

    Raises: NoSuchBucket.
    """
    return store.metadata.look_up(bucket_name, key, version_id, inline=with_bytes)
