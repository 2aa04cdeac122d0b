"""Tags of objects and buckets: what S3 allows, and their form in the x-amz-tagging header.

Source: "Categorizing your objects using tags" and "Using cost allocation S3 bucket tags", AWS S3 user guide.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote_to_bytes

from app.domain.errors import BadRequest, InvalidArgument, InvalidTag
from app.domain.types import Tags

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
TAG_KEY_MAX = 128  # characters
TAG_VALUE_MAX = 256  # characters

_SIGNS = frozenset("_.:/=+-@")
_CATEGORIES = frozenset("LMNZ")  # letters, their marks, numbers and separators of every script


def validate_tags(tags: Tags, max_count: int = OBJECT_TAGS_MAX) -> Tags:
    """The tags given. Raises: BadRequest above `max_count`, InvalidTag for a key or value that S3 does not allow."""
    if len(tags) > max_count:
        noun = "Object tags" if max_count == OBJECT_TAGS_MAX else "Bucket tag count"
        raise BadRequest(f"{noun} cannot be greater than {max_count}")
    seen: set[str] = set()
    for key, value in tags:
        if not 1 <= len(key) <= TAG_KEY_MAX or not _has_allowed_characters(key):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > TAG_VALUE_MAX or not _has_allowed_characters(value):
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.lower().startswith("aws:"):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        if key in seen:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        seen.add(key)
    return tags


def parse_tagging_header(header: str) -> Tags:
    """The object tags of "a=b&c=d", validated: URL query parameters in UTF-8, "+" a blank.

    Raises: InvalidArgument for what is no UTF-8, and what `validate_tags` raises.
    """
    pairs = (pair.partition("=") for pair in header.split("&") if pair)
    return validate_tags(tuple((_decoded(name), _decoded(value)) for name, _, value in pairs))


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
    except UnicodeError:
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            ArgumentName="x-amz-tagging",
        ) from None


def _has_allowed_characters(text: str) -> bool:
    if text.isascii() and text.isalnum():
        return True
    return all(char in _SIGNS or unicodedata.category(char)[0] in _CATEGORIES for char in text)
