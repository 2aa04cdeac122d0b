"""Listings: every page against the naive oracle."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings, strategies as st

from app.domain.types import (
    Attributes,
    Checksum,
    Listed,
    ListQuery,
    Page,
    UploadQuery,
    Version,
    Versioning,
    VersionQuery,
)
from tests.contract.metadata.base import Contract
from tests.contract.metadata.oracle import Item, expected, items_of, walk
from tests.contract.metadata.scene import Scene, inline

# U+E000 and U+FFFF sort before the astral characters in UTF-8 and behind them in UTF-16; NUL, DEL and U+10FFFF are the
# ends of the alphabet, where "the next key" and "the successor of a prefix" are easy to get wrong.
ALPHABET = "ab/\x00\x7f-\u07ff\ud7ff\ue000\uffff\U00010000\U0001f600\U0010ffff"
DELIMITERS = ["", "/", "//", "a", "ab", "/a/", "\x00", "\U0010ffff", "\U0010ffff\U0010ffff", "\uffff", "zz"]
KEYS = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=6) | st.text(min_size=1, max_size=4)
ANY_KEYS = KEYS.filter(lambda key: not any("\ud800" <= letter <= "\udfff" for letter in key))
SHARED_STORE = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors],
)


@dataclass
class Model:
    """What a bucket must hold: for every key its rows, newest first, as (version id, is a delete marker)."""

    scene: Scene
    bucket: str
    versioning: Versioning = Versioning.UNVERSIONED
    rows: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)

    def do(self, action: str, key: str) -> None:
        rows = self.rows.setdefault(key, [])
        if action == "put":
            self._add(rows, self.scene.put(self.bucket, key).version_id, False)
        elif action == "delete" and self.versioning is Versioning.UNVERSIONED:
            self.scene.delete(self.bucket, key)
            rows.clear()
        elif action == "delete":
            self._add(rows, str(self.scene.delete(self.bucket, key).version_id), True)
        elif action == "delete version" and rows:
            self.scene.delete(self.bucket, key, rows.pop(len(rows) // 2)[0])
        elif action in ("enable", "suspend"):
            self.versioning = Versioning.ENABLED if action == "enable" else Versioning.SUSPENDED
            self.scene.store.set_versioning(self.bucket, self.versioning, self.scene.op())

    def _add(self, rows: list[tuple[str, bool]], version_id: str, is_marker: bool) -> None:
        if self.versioning is not Versioning.ENABLED:
            rows[:] = [row for row in rows if row[0] != "null"]
        rows.insert(0, (version_id, is_marker))

    def current(self) -> list[tuple[str, str]]:
        return [(key, rows[0][0]) for key, rows in self.rows.items() if rows and not rows[0][1]]

    def versions(self) -> list[tuple[str, str]]:
        return [(key, version_id) for key, rows in self.rows.items() for version_id, _ in rows]


def shown(page: Page[Listed]) -> tuple[object, ...]:
    """Everything that a brief page has in common with one of whole rows; not the owners, who may be left out."""
    entries = [
        (
            row.key, row.modified_ms, row.size_bytes, row.etag, row.checksum_algorithm, row.checksum_type,
            row.storage_class,
        )
        for row in page.entries
    ]  # fmt: skip
    return entries, page.common_prefixes, page.is_truncated, page.last, page.last_id


def key_and_id(row: Version) -> tuple[str, str]:
    return row.key, row.version_id


@st.composite
def key_sets(draw: st.DrawFn) -> list[str]:
    """Keys of which many are prefixes of one another."""
    keys = draw(st.lists(ANY_KEYS, min_size=1, max_size=8))
    stems = draw(st.lists(st.tuples(st.sampled_from(keys), ANY_KEYS), max_size=8))
    return list(dict.fromkeys([*keys, *(stem + tail for stem, tail in stems), *(stem for stem, _ in stems)]))


@st.composite
def questions(draw: st.DrawFn, keys: list[str]) -> tuple[str, str, str]:
    """A prefix, a delimiter and an `after`: pieces of keys that exist, their neighbours, and strangers."""
    key = draw(st.sampled_from(keys))
    prefix = draw(st.just("") | st.integers(0, len(key)).map(lambda end: key[:end]) | ANY_KEYS)
    delimiter = draw(st.sampled_from(DELIMITERS) | st.sampled_from(key))
    near = draw(st.sampled_from(keys))
    ends = st.integers(0, len(near)).map(lambda end: near[:end])
    after = draw(
        st.just("") | st.just(near) | ends | ANY_KEYS | st.just(prefix + delimiter) | st.just(near + delimiter)
    )
    return prefix, delimiter, after


class ListingContract(Contract):
    @SHARED_STORE
    @given(data=st.data())
    def test_listings_equal_the_oracle_for_every_page_size(self, scene: Scene, data: st.DataObject) -> None:
        """R-25: current objects and versions after a random history, under random questions."""
        model = Model(scene, scene.bucket())
        keys = data.draw(key_sets())
        for key in keys:
            model.do("put", key)
        actions = st.sampled_from(["put", "put", "delete", "delete version", "enable", "enable", "suspend"])
        for action, key in data.draw(st.lists(st.tuples(actions, st.sampled_from(keys)), max_size=16)):
            model.do(action, key)
        for _ in range(3):
            prefix, delimiter, after = data.draw(questions(keys))
            limit = data.draw(st.integers(1, 5) | st.just(1_000))
            self._compare_current(model, ListQuery(model.bucket, prefix, delimiter, after, limit))
            query = VersionQuery(model.bucket, prefix, delimiter, after, limit=limit)
            ids = [version_id for version_id, _ in model.rows.get(after, [])]
            if ids and not (delimiter and after.endswith(delimiter)):
                query = dataclasses.replace(query, after_version_id=data.draw(st.sampled_from([*ids, None, "v" * 32])))
            self._compare_versions(model, query)

    @SHARED_STORE
    @given(data=st.data())
    def test_upload_listings_equal_the_oracle_for_every_page_size(self, scene: Scene, data: st.DataObject) -> None:
        bucket, keys = scene.bucket(), data.draw(key_sets())
        rows: list[tuple[str, int, str]] = []
        for key, step, id_ in data.draw(
            st.lists(st.tuples(st.sampled_from(keys), st.integers(-2, 2), st.text("abc", max_size=2)), max_size=12)
        ):
            scene.now_ms += step
            rows.append((key, scene.now_ms, scene.upload(bucket, key, id_ + scene.op())))
        ordered = [(key, id_) for key, _, id_ in sorted(rows)]
        for _ in range(3):
            prefix, delimiter, after = data.draw(questions(keys))
            ids = [id_ for key, id_ in ordered if key == after]
            after_id = None
            if ids and not (delimiter and after.endswith(delimiter)):
                after_id = data.draw(st.sampled_from([*ids, None]))
            limit = data.draw(st.integers(1, 5) | st.just(1_000))
            query = UploadQuery(bucket, prefix, delimiter, after, after_id, limit)
            walk(
                lambda after, id_, query=query: scene.store.list_uploads(  # type: ignore[misc]
                    dataclasses.replace(query, after=after, after_upload_id=id_)
                ),
                lambda upload: (upload.key, upload.upload_id),
                expected(ordered, prefix, delimiter, after, after_id),
                limit=limit, after=after, after_id=after_id,
            )  # fmt: skip

    def _compare_current(self, model: Model, query: ListQuery) -> None:
        walk(
            lambda after, _: model.scene.store.list_current(dataclasses.replace(query, after=after)),
            key_and_id,
            expected(model.current(), query.prefix, query.delimiter, query.after),
            limit=query.limit, after=query.after, has_ids=False,
        )  # fmt: skip
        store = model.scene.store
        for question in (query, dataclasses.replace(query, with_owners=False)):
            assert shown(store.list_current(question, brief=True)) == shown(store.list_current(query))

    def _compare_versions(self, model: Model, query: VersionQuery) -> None:
        walk(
            lambda after, id_: model.scene.store.list_versions(
                dataclasses.replace(query, after=after, after_version_id=id_)
            ),
            key_and_id,
            expected(model.versions(), query.prefix, query.delimiter, query.after, query.after_version_id),
            limit=query.limit, after=query.after, after_id=query.after_version_id,
        )  # fmt: skip
        store = model.scene.store
        assert shown(store.list_versions(query, brief=True)) == shown(store.list_versions(query))

    # -- examples that say what the property means ---------------------------------------------------------------

    def test_keys_come_in_the_order_of_their_utf8_bytes(self, scene: Scene) -> None:
        """I6. UTF-16 order would put U+1F600 before U+E000; a collation would put "a" before "B"."""
        bucket = scene.bucket(Versioning.ENABLED)
        keys = ["\x00", "B", "a", "a\x00", "a!", "aa", "\u00e9", "\ue000", "\uffff", "\U00010000", "\U0001f600"]
        for key in reversed(keys):
            scene.put(bucket, key)
            scene.upload(bucket, key)
        assert [row.key for row in scene.store.list_current(ListQuery(bucket)).entries] == keys
        assert [row.key for row in scene.store.list_versions(VersionQuery(bucket)).entries] == keys
        assert [row.key for row in scene.store.list_uploads(UploadQuery(bucket)).entries] == keys

    def test_a_page_of_nothing_is_empty_and_not_truncated(self, scene: Scene) -> None:
        bucket = scene.bucket()
        scene.put(bucket, "k")
        scene.upload(bucket, "k")
        for query in (
            ListQuery(bucket, limit=0),
            ListQuery(bucket, prefix="x"),
            ListQuery(bucket, delimiter="k", limit=0),
        ):
            page = scene.store.list_current(query)
            assert (page.entries, page.common_prefixes, page.is_truncated) == ((), (), False)
        assert not scene.store.list_versions(VersionQuery(bucket, limit=0)).is_truncated
        assert not scene.store.list_uploads(UploadQuery(bucket, limit=0)).is_truncated

    def test_a_page_filled_to_its_limit_is_not_truncated_when_nothing_follows(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        for key in ("a/1", "a/2", "b", "c/1", "c/hidden"):
            scene.put(bucket, key)
        scene.delete(bucket, "c/hidden")
        scene.put(bucket, "d")
        scene.delete(bucket, "d")
        page = scene.store.list_current(ListQuery(bucket, delimiter="/", limit=3))
        assert items_of(page, key_and_id, False)[-1] == Item("c/", None)
        assert page.common_prefixes == ("a/", "c/")
        assert not page.is_truncated

    def test_a_prefix_that_hides_only_markers_is_not_listed(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "a/1")
        scene.delete(bucket, "a/1")
        assert scene.store.list_current(ListQuery(bucket, delimiter="/")).common_prefixes == ()
        assert scene.store.list_versions(VersionQuery(bucket, delimiter="/")).common_prefixes == ("a/",)

    def test_after_a_common_prefix_goes_on_behind_all_its_keys(self, scene: Scene) -> None:
        bucket = scene.bucket()
        for key in ("a/", "a/1", "a/\U0010ffff\U0010ffff", "a0", "b"):
            scene.put(bucket, key)
        page = scene.store.list_current(ListQuery(bucket, delimiter="/", after="a/"))
        assert [row.key for row in page.entries] == ["a0", "b"]
        assert page.common_prefixes == ()
        page = scene.store.list_current(ListQuery(bucket, delimiter="/", after="a/1"))
        assert page.common_prefixes == ("a/",)
        page = scene.store.list_current(ListQuery(bucket, prefix="a/", delimiter="/", after="a/"))
        assert [row.key for row in page.entries] == ["a/1", "a/\U0010ffff\U0010ffff"]

    def test_versions_go_on_inside_a_key_behind_a_version(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        ids = [scene.put(bucket, "k").version_id for _ in range(4)][::-1]
        last = scene.put(bucket, "l").version_id
        page = scene.store.list_versions(VersionQuery(bucket, after="k", after_version_id=ids[1]))
        assert [row.version_id for row in page.entries] == [ids[2], ids[3], last]
        page = scene.store.list_versions(VersionQuery(bucket, after="k"))
        assert [row.version_id for row in page.entries] == [last]
        scene.delete(bucket, "k", ids[1])
        page = scene.store.list_versions(VersionQuery(bucket, after="k", after_version_id=ids[1]))
        assert [row.version_id for row in page.entries] == [last]

    def test_listings_carry_whole_rows_without_inline_bytes(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.put(bucket, "k", inline(b"body"))
        row = scene.current(bucket, "k")
        assert scene.store.list_current(ListQuery(bucket)).entries == (row,)
        assert scene.store.list_versions(VersionQuery(bucket)).entries == (row,)

    def test_brief_listings_show_of_each_row_what_is_in_it(self, scene: Scene) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        described = {
            "attributes": Attributes((("Content-Type", 'a"],"STANDARD",'),), (("m", "\u00e9\x00"),), "GLACIER")
        }
        checksum = Checksum("SHA256", "c3Vt-2", "COMPOSITE")
        rows = [
            scene.new(bucket, key)._replace(owner_id=owner_id, **more)
            for key, owner_id, more in (("a", "me", {}), ("b", "you", described), ("b", "me", {"checksum": checksum}))
        ]
        for row in rows:
            scene.store.publish(row, None, scene.op())
        scene.delete(bucket, "c")
        whole = scene.store.list_versions(VersionQuery(bucket))
        brief = scene.store.list_versions(VersionQuery(bucket), brief=True)
        assert shown(brief) == shown(whole)
        assert [row.storage_class for row in brief.entries] == ["STANDARD", "STANDARD", "GLACIER", "STANDARD"]
        assert [row.checksum_type for row in brief.entries] == [None, "COMPOSITE", None, None]
        assert [row.owner_id for row in brief.entries] == ["me", "me", "you", whole.entries[-1].owner_id]
        for mine, theirs in zip(brief.entries, whole.entries, strict=True):
            assert (mine.version_id, mine.is_current) == (theirs.version_id, theirs.is_current)
            assert mine.is_delete_marker is theirs.is_delete_marker
        current = scene.store.list_current(ListQuery(bucket), brief=True)
        assert shown(current) == shown(scene.store.list_current(ListQuery(bucket)))
        assert [(row.key, row.owner_id) for row in current.entries] == [("a", "me"), ("b", "me")]

    def test_a_listing_sees_every_acknowledged_write(self, scene: Scene) -> None:
        """R-24."""
        bucket = scene.bucket()
        for number in range(50):
            scene.put(bucket, f"k{number:02}")
            assert len(scene.store.list_current(ListQuery(bucket)).entries) == number + 1
        for number in range(50):
            scene.delete(bucket, f"k{number:02}")
            assert len(scene.store.list_current(ListQuery(bucket)).entries) == 49 - number

    def test_buckets_do_not_show_in_one_anothers_listings(self, scene: Scene) -> None:
        one, two = scene.bucket(), scene.bucket()
        scene.put(one, "k1")
        scene.put(two, "k2")
        scene.upload(two, "k3")
        assert [row.key for row in scene.store.list_current(ListQuery(one)).entries] == ["k1"]
        assert [row.key for row in scene.store.list_versions(VersionQuery(two)).entries] == ["k2"]
        assert scene.store.list_uploads(UploadQuery(one)).entries == ()
