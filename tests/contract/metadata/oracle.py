"""What a listing must give, said in the plainest way: filter, sort by bytes, roll up, slice. It is slow and obvious."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain.types import Page

T = TypeVar("T")
WALK_PAGES_MAX = 1_000


@dataclass(frozen=True)
class Item:
    """An entry, by its key and id, or (without an id) a common prefix."""

    name: str
    id: str | None


def utf8(text: str) -> bytes:
    return text.encode()


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """The common prefix that `key` is rolled up into, if it is."""
    if not delimiter or delimiter not in key[len(prefix) :]:
        return None
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]


def expected(
    rows: Sequence[tuple[str, str]], prefix: str, delimiter: str, after: str, after_id: str | None = None
) -> list[Item]:
    """All items of a listing of `rows`, which are (key, id) with each key's ids in their order."""
    passed_over = common_prefix(after, prefix, delimiter) == after and after.startswith(prefix)
    items: list[Item] = []
    for key, id_ in sorted(rows, key=lambda row: utf8(row[0])):
        if not key.startswith(prefix) or (passed_over and key.startswith(after)):
            continue
        if utf8(key) < utf8(after) or (key == after and not _is_behind(rows, key, id_, after_id)):
            continue
        rolled = common_prefix(key, prefix, delimiter)
        item = Item(key, id_) if rolled is None else Item(rolled, None)
        if item not in items:
            items.append(item)
    return items


def _is_behind(rows: Sequence[tuple[str, str]], key: str, id_: str, after_id: str | None) -> bool:
    """Whether a row of the key to go on inside lies behind `after_id`; an id that is gone has nothing behind it."""
    ids = [row_id for row_key, row_id in rows if row_key == key]
    if after_id is None:
        return not key  # the empty `after` excludes nothing, and no key is empty
    return after_id in ids and ids.index(id_) > ids.index(after_id)


def items_of(page: Page[T], name_and_id: Callable[[T], tuple[str, str]], has_ids: bool) -> list[Item]:
    """A page's entries and prefixes as one sequence; checks that each of the two is in order and that `last` fits."""
    entries = [Item(*name_and_id(entry)) for entry in page.entries]
    prefixes = [Item(name, None) for name in page.common_prefixes]
    assert [item.name for item in entries] == sorted((item.name for item in entries), key=utf8)
    assert [item.name for item in prefixes] == sorted({item.name for item in prefixes}, key=utf8)
    items = sorted(entries + prefixes, key=lambda item: utf8(item.name))
    if items:
        assert page.last == items[-1].name
        assert page.last_id == (items[-1].id if has_ids else None)
    return items


def walk(
    get_page: Callable[[str, str | None], Page[T]],
    name_and_id: Callable[[T], tuple[str, str]],
    all_items: Sequence[Item],
    *,
    limit: int,
    after: str,
    after_id: str | None = None,
    has_ids: bool = True,
) -> None:
    """Read every page and compare each with its slice of what is expected."""
    position = 0
    for _ in range(WALK_PAGES_MAX):
        page = get_page(after, after_id)
        items = items_of(page, name_and_id, has_ids)
        assert items == list(all_items[position : position + limit])
        position += len(items)
        assert page.is_truncated == (position < len(all_items))
        if not page.is_truncated:
            return
        after, after_id = page.last, page.last_id
    raise AssertionError("the listing never ends")
