"""Listings: which statement answers a query, and the page made of what it gives (walks.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import compress, islice, repeat
from typing import Any, Final, NamedTuple, TypeVar

from app.domain.types import ListedVersion, ListQuery, Page, Upload, UploadQuery, Version, VersionQuery
from app.metadata.sql import rows, walks
from app.metadata.sql.mutation import Params
from app.metadata.sql.rows import UPLOAD_COLUMNS, VERSION_COLUMNS

T = TypeVar("T")
V = TypeVar("V", bound=ListedVersion)
Row = Sequence[Any]
Read = Callable[[str, Params], Sequence[Sequence[Any]]]

KEY_MAX_BYTES: Final = 1_024
_LAST_CHARACTER: Final = "\U0010ffff"
# Behind every key there can be: longer than any, of nothing but the last character.
BEHIND_ALL: Final = _LAST_CHARACTER * (KEY_MAX_BYTES // 4 + 1)

_VERSION_ROW: Final = tuple(VERSION_COLUMNS.split(", "))
_FLAT_CURRENT: Final = walks.flat_current(_VERSION_ROW)
_FLAT_SHOWN: Final = walks.flat_current(walks.WITH_OWNER)
_FLAT_SHOWN_BARE: Final = walks.flat_current(walks.CURRENT_SHOWN)
_WALK_CURRENT: Final = walks.walk_current(_VERSION_ROW)
_WALK_SHOWN: Final = walks.walk_current(walks.WITH_OWNER)
_WALK_SHOWN_BARE: Final = walks.walk_current(walks.CURRENT_SHOWN)
_FLAT_VERSIONS: Final = walks.flat_versions(_VERSION_ROW)
_FLAT_VERSIONS_SHOWN: Final = walks.flat_versions(walks.VERSION_SHOWN)
_WALK_VERSIONS: Final = walks.walk_versions(_VERSION_ROW)
_WALK_VERSIONS_SHOWN: Final = walks.walk_versions(walks.VERSION_SHOWN)
_WALK_UPLOADS: Final = walks.walk_uploads(tuple(UPLOAD_COLUMNS.split(", ")))

# What `schema.LISTED_CHECKSUM` and `schema.LISTED_CLASS` leave unsaid: algorithm and type of a checksum; a storage class.
_KINDS: Final[dict[int | str | None, Sequence[str | None]]] = {
    None: (None, None),
    0: ("CRC64NVME", "FULL_OBJECT"),
    1: ("CRC32", "FULL_OBJECT"),
}
_USUAL_CLASS: Final = "STANDARD"


class CurrentRow(NamedTuple):
    """A `Listed`: made in a fraction of the time that a Version takes."""

    key: str
    modified_ms: int
    size_bytes: int
    etag: str
    checksum_algorithm: str | None
    checksum_type: str | None
    storage_class: str
    owner_id: str


# As CurrentRow._make, without its look at the number of columns.
_CURRENT_ROW: Final[Callable[[Row], CurrentRow]] = partial(tuple.__new__, CurrentRow)


class VersionRow(NamedTuple):
    """A `ListedVersion`."""

    key: str
    modified_ms: int
    size_bytes: int
    etag: str
    checksum_algorithm: str | None
    checksum_type: str | None
    storage_class: str
    owner_id: str
    version_id: str
    is_current: bool
    is_delete_marker: bool


def successor(prefix: str) -> str | None:
    """The first text behind everything that begins with `prefix`; None where there is none.

    By code points, whose order is that of UTF-8 bytes (I6), so that the result is a text again.
    """
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following == 0xD800:
        following = 0xE000  # surrogates are no characters
    return stem[:-1] + chr(following)


def list_current(read: Read, bucket_id: int, query: ListQuery) -> Page[Version]:
    make = _whole(query)
    return _current(
        read, bucket_id, query, _FLAT_CURRENT, _WALK_CURRENT, lambda rows: map(make, zip(*rows, strict=False))
    )


def list_current_briefly(read: Read, bucket_id: int, query: ListQuery) -> Page[CurrentRow]:
    flat = _FLAT_SHOWN if query.with_owners else _FLAT_SHOWN_BARE
    walk = _WALK_SHOWN if query.with_owners else _WALK_SHOWN_BARE
    return _current(read, bucket_id, query, flat, walk, _current_rows)


def list_versions(read: Read, bucket_id: int, query: VersionQuery) -> Page[Version]:
    return _versions(read, bucket_id, query, _FLAT_VERSIONS, _WALK_VERSIONS, _whole(query))


def list_versions_briefly(read: Read, bucket_id: int, query: VersionQuery) -> Page[VersionRow]:
    return _versions(read, bucket_id, query, _FLAT_VERSIONS_SHOWN, _WALK_VERSIONS_SHOWN, _version_row)


def list_uploads(read: Read, bucket_id: int, query: UploadQuery) -> Page[Upload]:
    if query.limit < 1:
        return Page(())
    params = _params(bucket_id, query)
    seed = None
    if query.after_upload_id is not None and _is_inside(query):
        place = read(walks.CREATION_OF, {"bucket_id": bucket_id, "key": query.after, "id": query.after_upload_id})
        seed = place[0][0] if place else None
    params |= {
        "seed_cut": None if seed is None else 0,
        "seed_key": query.after,
        "seed_ms": seed,
        "seed_id": query.after_upload_id,
    }
    found = read(_WALK_UPLOADS, params)
    return _page(found[0], query.limit, lambda row: rows.upload(query.bucket, row[1:]), lambda row: row.upload_id)


def _current(
    read: Read, bucket_id: int, query: ListQuery, flat: str, walk: str, make: Callable[[list[list[Any]]], Iterable[T]]
) -> Page[T]:
    """Of the arrays that a statement of `walks` gave, one entry or prefix longer than the page where there is more."""
    if query.limit < 1:
        return Page(())
    found = read(walk if query.delimiter else flat, _params(bucket_id, query))
    common, *arrays = found[0]
    prefixes: list[str] = [] if common is None else json.loads(common)
    columns: list[list[Any]] = [json.loads(array) for array in arrays]
    keys: list[str] = columns[0]
    is_truncated = len(keys) + len(prefixes) > query.limit
    if is_truncated:
        # Both are in order, and so what is behind the page is the last one of either.
        surplus = prefixes if prefixes and (not keys or prefixes[-1] > keys[-1]) else keys
        surplus.pop()
    # The other columns may be one longer than the keys now: `make` ends where the keys end.
    return Page(tuple(make(columns)), tuple(prefixes), is_truncated, max((*keys[-1:], *prefixes[-1:]), default=""))


def _current_rows(columns: list[list[Any]]) -> Iterable[CurrentRow]:
    """Of the columns of `walks.CURRENT_SHOWN`, with the owners behind them or without."""
    keys, modified, sizes, etags, checksums, classes, *owners = columns
    algorithms, types = _checksums(checksums)
    shown = (class_ or _USUAL_CLASS for class_ in classes) if any(classes) else repeat(_USUAL_CLASS)
    owner_ids = owners[0] if owners else repeat("")
    return map(_CURRENT_ROW, zip(keys, modified, sizes, etags, algorithms, types, shown, owner_ids, strict=False))


def _checksums(said: list[int | str | None]) -> tuple[Iterable[str | None], Iterable[str | None]]:
    """Algorithms and types. Mostly a page has one of each."""
    kinds = {each: _KINDS.get(each) or str(each).split(" ") for each in set(said)}
    if len(kinds) == 1:
        algorithm, type_ = kinds[said[0]]
        return repeat(algorithm), repeat(type_)
    return [kinds[each][0] for each in said], [kinds[each][1] for each in said]


def _versions(
    read: Read, bucket_id: int, query: VersionQuery, flat: str, walk: str, make: Callable[[Row], V]
) -> Page[V]:
    if query.limit < 1:
        return Page(())
    params = _params(bucket_id, query)
    seed = None
    if query.after_version_id is not None and _is_inside(query):
        place = read(walks.SEQUENCE_OF, {"bucket_id": bucket_id, "key": query.after, "id": query.after_version_id})
        seed = place[0][0] if place else None
    params |= {"seed_cut": None if seed is None else 0, "seed_key": query.after, "seed_sequence": seed}
    found = read(walk if query.delimiter or seed is not None else flat, params)
    return _page(found[0], query.limit, make, lambda row: row.version_id)


def _whole(query: ListQuery | VersionQuery) -> Callable[[Row], Version]:
    return lambda row: rows.version(query.bucket, row[0], row[1:])


def _version_row(row: Row) -> VersionRow:
    *shown, is_current, is_marker = row
    return VersionRow._make((*shown, is_current == 1, is_marker == 1))


def _params(bucket_id: int, query: ListQuery | VersionQuery | UploadQuery) -> dict[str, Any]:
    return {
        "bucket_id": bucket_id,
        "prefix_bytes": len(query.prefix.encode()),
        "delimiter_bytes": len(query.delimiter.encode()),
        "delimiter": query.delimiter or None,
        "start": _start(query),
        "end": successor(query.prefix) or BEHIND_ALL,
        "past": successor(query.delimiter) or query.delimiter + BEHIND_ALL,
        "nul": "\0",
        "limit": query.limit + 1,
    }


def _start(query: ListQuery | VersionQuery | UploadQuery) -> str:
    """The first key that may be on the page."""
    if query.after < query.prefix:
        return query.prefix
    if _is_common_prefix(query):
        stem = query.after[: -len(query.delimiter)]
        return stem + (successor(query.delimiter) or query.delimiter + BEHIND_ALL)
    return query.after + "\0" if query.after else ""


def _is_common_prefix(query: ListQuery | VersionQuery | UploadQuery) -> bool:
    if not query.delimiter or not query.after.startswith(query.prefix):
        return False
    at = query.after.find(query.delimiter, len(query.prefix))
    return at >= 0 and at + len(query.delimiter) == len(query.after)


def _is_inside(query: VersionQuery | UploadQuery) -> bool:
    """Whether the rest of key `after` belongs to this listing."""
    return query.after.startswith(query.prefix) and not _is_common_prefix(query)


def _page(found: Sequence[Any], limit: int, make: Callable[[Row], T], id_of: Callable[[T], str] | None) -> Page[T]:
    """Of the arrays that a statement of `walks` gave, one entry longer than the page where there is more."""
    is_common: list[int] | None = None if found[0] is None else json.loads(found[0])
    columns: list[list[Any]] = [json.loads(array) for array in found[1:]]
    shown: list[str] = columns[0]
    page = islice(zip(*columns, strict=True), limit)
    prefixes: tuple[str, ...] = ()
    ends_on_entry = True
    if is_common is None or not any(is_common):
        entries = tuple(map(make, page))
    else:
        commons = is_common[:limit]
        prefixes = tuple(compress(shown, commons))
        entries = tuple(make(row) for row, is_prefix in zip(page, commons, strict=True) if not is_prefix)
        ends_on_entry = not commons[-1]
    last = shown[min(limit, len(shown)) - 1] if shown else ""
    last_id = id_of(entries[-1]) if id_of is not None and entries and ends_on_entry else None
    return Page(entries, prefixes, len(shown) > limit, last, last_id)
