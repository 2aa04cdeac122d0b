"""`server.default_buckets`: buckets that a start makes where they are not there, "photos,logs:versioned"."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import InvalidBucketName
from app.domain.names import check_bucket_name
from app.settings import TextList, shown

DEFAULT_BUCKETS_MAX = 1_000
VERSIONED, PRIVATE = "versioned", "none"
# What other images take behind the name: access for everybody, which bucket policies give.
_PUBLIC = ("public", "download", "upload")


@dataclass(frozen=True, slots=True)
class DefaultBucket:
    name: str
    is_versioned: bool = False


@dataclass(frozen=True, slots=True)
class DefaultBuckets:
    """Names separated by commas, or a YAML list of them, each perhaps with options: NAME:versioned."""

    def parse(self, value: object) -> tuple[DefaultBucket, ...]:
        wishes = tuple(_bucket(text) for text in TextList().parse(value))
        names = [wish.name for wish in wishes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is given twice")
        if len(wishes) > DEFAULT_BUCKETS_MAX:
            raise ValueError(f"expected at most {DEFAULT_BUCKETS_MAX} buckets")
        return wishes


def _bucket(text: str) -> DefaultBucket:
    name, *options = text.split(":")
    try:
        check_bucket_name(name)
    except InvalidBucketName:
        raise ValueError(f"expected names that S3 allows for buckets{shown(name)}") from None
    for option in options:
        if option in _PUBLIC:
            raise ValueError(f"{name}:{option}: access for everybody takes bucket policies, which are not there yet")
        if option not in (VERSIONED, PRIVATE):
            raise ValueError(f"{name}: expected the option {VERSIONED} or {PRIVATE}{shown(option)}")
    return DefaultBucket(name, VERSIONED in options)
