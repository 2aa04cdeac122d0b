"""Buckets that a start makes where they are not there. What is there is left as it is, whoever has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.core import bucket_policy
from app.core.buckets import BucketWish, create_bucket
from app.core.store import Store
from app.domain.errors import BucketAlreadyExists, BucketAlreadyOwnedByYou, NoSuchBucket
from app.domain.names import new_op_id
from app.domain.types import Versioning


class DefaultWish(Protocol):
    """`access` for everybody, as `bucket_policy.canned` names it; "" for none."""

    @property
    def name(self) -> str: ...
    @property
    def is_versioned(self) -> bool: ...
    @property
    def access(self) -> str: ...


def ensure(store: Store, wishes: Iterable[DefaultWish], owner_id: str) -> None:
    """See that the buckets are there. Safe to repeat, to kill, and beside itself.

    Versioning is switched on where it never was: a suspended one stays suspended, for somebody wanted that. The policy
    comes with the bucket's creation only: whoever took it away later wanted that too.
    Raises: what `create_bucket` raises but for buckets that are there.
    """
    for wish in wishes:
        name = wish.name
        try:
            versioning = store.metadata.bucket(name).versioning
        except NoSuchBucket:
            versioning = Versioning.UNVERSIONED
            policy = bucket_policy.canned(wish.access, name) if wish.access else None
            try:
                create_bucket(store, BucketWish(name, owner_id, policy=policy))
            except (BucketAlreadyOwnedByYou, BucketAlreadyExists):
                pass  # another process was as quick
        if wish.is_versioned and versioning is Versioning.UNVERSIONED:
            store.metadata.set_versioning(name, Versioning.ENABLED, new_op_id())
