"""For engines whose data outlives the process: what was acknowledged is there after reopening."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.types import BucketQuery, ListQuery, UploadQuery, Versioning
from app.metadata.base import CHANGES_PAGE_MAX, MetadataStore
from tests.contract.metadata.base import Contract
from tests.contract.metadata.scene import OWNER, START_MS, Scene, inline

Reopen = Callable[[], MetadataStore]


class DurableContract(Contract):
    """Needs one more fixture, `reopen`: a second open store over the data of `store`, which it has not closed."""

    def test_everything_acknowledged_is_there_after_reopening(self, scene: Scene, reopen: Reopen) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        scene.store.put_document(bucket, "acl", "x", scene.op())
        mark = scene.store.register_consumer("feed")
        scene.put(bucket, "k", inline(b"body"))
        gone = scene.put_blob(bucket, "gone")
        scene.delete(bucket, "gone", scene.ids(bucket, "gone")[0])
        scene.multipart(bucket, "m")
        scene.put_parts(bucket, "p", scene.upload(bucket, "p", "u"), [1, 2])
        assert scene.store.lease("sweep", "one", START_MS, 1_000)
        orphan = scene.blob()
        scene.store.condemn_orphans([orphan], scene.now_ms)
        before, after = [
            (
                store.list_buckets(BucketQuery(OWNER)),
                store.bucket(bucket),
                store.list_current(ListQuery(bucket)),
                store.look_up(bucket, "k", inline=True),
                store.list_uploads(UploadQuery(bucket)),
                list(store.parts("u", 1, 10_000, 10)),
                list(store.garbage(scene.now_ms + 1, 10)),
                list(store.changes(mark, CHANGES_PAGE_MAX)),
                list(store.unreferenced([gone, orphan])),
                store.lease("sweep", "two", START_MS, 1_000),
            )
            for store in (scene.store, reopen())
        ]
        assert before == after
        assert after[0].entries

    def test_ids_go_on_after_reopening(self, scene: Scene, reopen: Reopen) -> None:
        bucket = scene.bucket(Versioning.ENABLED)
        first = scene.put(bucket, "k")
        id_ = scene.store.bucket(scene.bucket(name="short")).id
        scene.delete_bucket("short")
        scene.store = reopen()
        assert scene.put(bucket, "k").sequence > first.sequence
        assert scene.store.bucket(scene.bucket(name="short")).id not in (id_, scene.store.bucket(bucket).id)
