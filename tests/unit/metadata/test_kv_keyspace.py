"""The memory keyspace and the key layout: order, checks, bounds."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from app.domain.errors import SlowDown
from app.domain.types import ListQuery, NewBucket
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Batch, Conflict, Entry
from app.metadata.kv.memory import MemoryKeyspace
from app.metadata.kv.memory_keys import CHUNK_MAX, SortedKeys
from app.metadata.kv.plumbing import ATTEMPTS_MAX
from app.metadata.kv.store import KeyValueStore
from tests.contract.metadata.scene import Scene, inline

TEXTS = st.text(st.sampled_from("a\x00\x01/\U0010ffff"), max_size=5) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)
S = b"scope"


@given(TEXTS, TEXTS)
def test_escaped_texts_keep_order_and_prefixes(one: str, two: str) -> None:
    """I6."""
    assert (layout.ended(one) < layout.ended(two)) == (one.encode() < two.encode())
    assert layout.ended(one).startswith(layout.text(two)) == one.startswith(two)
    assert layout.split_text(layout.ended(one) + b"tail\x00\x01") == (one, b"tail\x00\x01")


@given(TEXTS, TEXTS)
def test_behind_a_prefix_lies_everything_that_does_not_begin_with_it(prefix: str, key: str) -> None:
    start = b"c" + layout.text(prefix)
    within = start <= b"c" + layout.ended(key) < layout.behind(start)
    assert within == key.startswith(prefix)


def test_a_commit_with_a_failed_check_writes_nothing() -> None:
    keyspace = MemoryKeyspace()
    keyspace.commit(S, Batch({}, {b"a": b"1"}))
    entry = keyspace.get(S, b"a")
    assert entry is not None
    for checks in ({b"a": None}, {b"b": entry.token}, {b"a": entry.token, b"b": 0}):
        with pytest.raises(Conflict):
            keyspace.commit(S, Batch(dict(checks), {b"a": b"2", b"c": b"3"}))
    assert keyspace.get(S, b"a") == entry
    assert keyspace.get(S, b"c") is None


def test_a_token_never_comes_back() -> None:
    keyspace, tokens = MemoryKeyspace(), []
    for _ in range(3):
        keyspace.commit(S, Batch({}, {b"a": b"same"}))
        entry = keyspace.get(S, b"a")
        assert entry is not None
        tokens.append(entry.token)
        keyspace.commit(S, Batch({}, {b"a": None}))
    assert len(set(tokens)) == 3


def test_scopes_are_apart_and_scans_are_bounded() -> None:
    keyspace = MemoryKeyspace()
    for number in range(5):
        keyspace.commit(S, Batch({}, {b"k%d" % number: b""}))
    keyspace.commit(b"other", Batch({}, {b"k2": b"x"}))
    assert [key for key, _ in keyspace.scan(S, b"k1", b"k4", 10)] == [b"k1", b"k2", b"k3"]
    assert [key for key, _ in keyspace.scan(S, b"k1", b"k4", 2)] == [b"k1", b"k2"]
    assert list(keyspace.scan(S, b"k1", b"k4", 0)) == list(keyspace.scan(b"none", b"", b"z", 9)) == []


def test_sorted_keys_stay_sorted_over_many_chunks() -> None:
    keys, held, rng = SortedKeys(), set[bytes](), random.Random(1)
    for _ in range(CHUNK_MAX * 8):
        key = b"%04d" % rng.randrange(6_000)
        if key in held:
            held.remove(key)
            keys.remove(key)
        else:
            held.add(key)
            keys.add(key)
    for start in (b"", b"0000", b"2999", b"5999", b"9"):
        assert list(keys.from_(start)) == sorted(key for key in held if key >= start)
    for key in sorted(held):
        keys.remove(key)
    assert list(keys.from_(b"")) == []


def test_a_change_that_meets_conflicts_without_end_is_slow_down() -> None:
    class Contended(MemoryKeyspace):
        commits = 0

        def commit(self, scope: bytes, batch: Batch) -> None:
            self.commits += 1
            raise Conflict

    keyspace, pauses = Contended(), list[float]()
    store = KeyValueStore(keyspace, inline_max_bytes=1, sleep=pauses.append)
    with pytest.raises(SlowDown):
        store.create_bucket(NewBucket("b", "o" * 64, "r", 1), "op")
    assert keyspace.commits == len(pauses) == ATTEMPTS_MAX


def test_a_listing_with_a_delimiter_seeks_over_whole_prefixes() -> None:
    """R-26 in numbers of rows: 20 prefixes over 20,000 keys."""

    class Counting(MemoryKeyspace):
        rows = 0

        def scan(self, scope: bytes, start: bytes, end: bytes, limit: int) -> Sequence[tuple[bytes, Entry]]:
            found = super().scan(scope, start, end, limit)
            self.rows += len(found)
            return found

    keyspace = Counting()
    scene = Scene(KeyValueStore(keyspace, inline_max_bytes=1))
    bucket = scene.bucket()
    for number in range(20_000):
        scene.put(bucket, f"{number % 20:02}/{number}", inline(b""))
    keyspace.rows = 0
    page = scene.store.list_current(ListQuery(bucket, delimiter="/"))
    assert page.common_prefixes == tuple(f"{number:02}/" for number in range(20))
    assert keyspace.rows <= 20 * 8
