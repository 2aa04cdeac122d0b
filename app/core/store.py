"""What every verb of the core works on: the two interfaces, a clock, and the operator's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.core.helpers import Helpers
from app.core.placement import Placement
from app.metadata.base import MetadataStore
from app.storage.base import ObjectStorage

PART_MIN_BYTES = 5 << 20
PART_MAX_BYTES = 5 << 30
SINGLE_PUT_MAX_BYTES = 5 << 30
COPY_MAX_BYTES = 5 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    max_object_size_bytes: int = 53_687_091_200_000
    inline_max_bytes: int = 65_536  # 0: every object is a blob
    garbage_grace_s: int = 60
    orphan_grace_s: int = 3_600
    condemned_keep_s: int = 86_400
    upload_expiry_s: int = 7 * 86_400


class Directory(Protocol):
    """The people a grant can name: canonical user ids and the names they are shown by."""

    def exists(self, user_id: str) -> bool: ...

    def display_name(self, user_id: str) -> str:
        """The empty text for an id that nobody has (any more)."""

    def is_user(self, id_or_name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class KnownUsers:
    """A directory that is complete when it is made: id -> name."""

    names: Mapping[str, str] = field(default_factory=dict)

    def exists(self, user_id: str) -> bool:
        return user_id in self.names

    def display_name(self, user_id: str) -> str:
        return self.names.get(user_id, "")

    def is_user(self, id_or_name: str) -> bool:
        return id_or_name in self.names or id_or_name in self.names.values()


@dataclass(frozen=True, slots=True)
class Store:
    metadata: MetadataStore
    storage: ObjectStorage
    now_ms: Callable[[], int]
    limits: Limits = Limits()
    region: str = "us-east-1"  # empty: buckets may name any
    directory: Directory = KnownUsers()
    encrypted_at_rest: bool = False  # by what lies below, as the operator declares
    helpers: Helpers = field(default_factory=Helpers)
    placement: Placement | None = None  # of a storage that is several

    def storage_for(self, bucket: str) -> ObjectStorage:
        """Where a bucket's new bytes go now. In the hub's thread. Raises: NoSuchBucket, ServiceUnavailable."""
        return self.storage if self.placement is None else self.placement.storage_for(self.metadata.bucket(bucket))
