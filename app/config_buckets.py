"""`server.default_buckets`: buckets that a start makes where they are not there, "photos,logs:versioned,site:download"."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import InvalidBucketName
from app.domain.names import check_bucket_name
from app.settings import TextList, shown

DEFAULT_BUCKETS_MAX = 1_000
VERSIONED, PRIVATE = "versioned", "none"
# Access for everybody, by a bucket policy.
PUBLIC = ("public", "download", "upload")


@dataclass(frozen=True, slots=True)
class DefaultBucket:
    name: str
    is_versioned: bool = False
    access: str = ""  # one of PUBLIC; "" is the owner's alone


@dataclass(frozen=True, slots=True)
class DefaultBuckets:
    """Names separated by commas, or a YAML list of them, each perhaps with options: NAME:versioned:download."""

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
        if option not in (VERSIONED, PRIVATE, *PUBLIC):
            raise ValueError(f"{name}: expected {VERSIONED}, {PRIVATE}, {', '.join(PUBLIC)}{shown(option)}")
    given = [option for option in options if option != VERSIONED]
    if len(given) > 1:
        raise ValueError(f"{name}: {given[0]} and {given[1]} do not go together")
    return DefaultBucket(name, VERSIONED in options, given[0] if given and given[0] != PRIVATE else "")
