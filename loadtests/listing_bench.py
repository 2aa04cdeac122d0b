"""How long listings of a large bucket take in the SQLite engine: R-26's bars and a few more.

    python loadtests/listing_bench.py [--keys 1000000] [--prefixes 1000] [--pages 50] [--path DIR]

The database is built with the engine's own schema by one statement (publishing a million keys one by one measures
something else), then read through the store as the server does. Prints a table; exits with 1 when a bar is missed:
that of common prefixes by the 99th percentile, that of whole pages by the median. On a busy machine look at the CPU time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.domain.types import Listed, ListQuery, NewBucket, Page, VersionQuery
from app.metadata.sql.connections import open_writer
from app.metadata.sql.schema import ROOT_ID
from app.metadata.sql.sqlite import SqliteStore

BUCKET = "bench"
PREFIXES_BAR_MS = 50.0
PAGE_BAR_MS = 15.0

_FILL = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :keys)
INSERT INTO versions (sequence, bucket_id, key, version_id, is_current, is_marker, owner_id, modified_ms, size_bytes,
    etag, is_inline, blob, attributes, checksum_algorithm, checksum_value, checksum_type)
SELECT :first + i, :bucket_id, printf('folder-%06d/object-%09d.bin', i % :prefixes, i), 'null', 1, 0, :owner_id,
    1700000000000 + i, 1024, printf('%032x', i), 0, printf('%032x', i),
    '[[["Content-Type","application/octet-stream"]],[],"STANDARD",null]', 'CRC64NVME', 'AAAAAAAAAAA=', 'FULL_OBJECT'
FROM n ORDER BY i % :prefixes, i
"""


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.path) as directory:
        store = _filled(str(Path(directory) / "metadata.db"), arguments.keys, arguments.prefixes)
        try:
            return 0 if _measure(store, arguments.prefixes, arguments.pages) else 1
        finally:
            store.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--prefixes", type=int, default=1_000)
    parser.add_argument("--pages", type=int, default=50, help="how often each question is asked")
    parser.add_argument("--path", default=None, help="directory for the database, on the disk in question")
    return parser.parse_args()


def _filled(path: str, keys: int, prefixes: int) -> SqliteStore:
    store = SqliteStore.from_path(path)
    store.migrate()
    store.open()
    bucket = store.create_bucket(NewBucket(BUCKET, ROOT_ID, "us-east-1", 1_700_000_000_000), "0" * 32)
    begin = time.perf_counter()
    connection = open_writer(path, "normal")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        _FILL,
        {"keys": keys, "prefixes": prefixes, "bucket_id": bucket.id, "owner_id": ROOT_ID, "first": bucket.id + 1},
    )
    connection.execute("UPDATE plan SET sequence = sequence + ?", (keys,))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    size_mib = Path(path).stat().st_size / (1 << 20)
    print(f"{keys:,} keys in {prefixes:,} prefixes: {size_mib:.0f} MiB, built in {time.perf_counter() - begin:.1f} s")
    return store


def _measure(store: SqliteStore, prefixes: int, pages: int) -> bool:
    print(f"{'question':54} {'entries':>8} {'p50 ms':>8} {'p99 ms':>8} {'cpu ms':>8}  bar")
    middle = f"folder-{prefixes // 2:06d}/"
    questions: list[tuple[str, float | None, Callable[[], Page[Listed]]]] = [
        (
            f"{min(prefixes, 1000)} common prefixes by '/'",
            PREFIXES_BAR_MS,
            lambda: store.list_current(ListQuery(BUCKET, delimiter="/"), brief=True),
        ),
        (
            "1,000 keys from the start, no delimiter",
            PAGE_BAR_MS,
            lambda: store.list_current(ListQuery(BUCKET), brief=True),
        ),
        (
            "1,000 keys from the middle, no delimiter",
            PAGE_BAR_MS,
            lambda: store.list_current(ListQuery(BUCKET, after=middle), brief=True),
        ),
        (
            "1,000 keys of one prefix by '/'",
            PAGE_BAR_MS,
            lambda: store.list_current(ListQuery(BUCKET, prefix=middle, delimiter="/"), brief=True),
        ),
        (
            "1,000 versions, no delimiter",
            None,
            lambda: store.list_versions(VersionQuery(BUCKET), brief=True),
        ),
        (
            "versions: common prefixes by '/'",
            None,
            lambda: store.list_versions(VersionQuery(BUCKET, delimiter="/"), brief=True),
        ),
    ]
    good = True
    for name, bar_ms, ask in questions:
        times_ms, cpu_ms, page = _times_ms(ask, pages)
        p50, p99 = times_ms[len(times_ms) // 2], times_ms[int(len(times_ms) * 0.99)]
        missed = bar_ms is not None and (p99 if bar_ms == PREFIXES_BAR_MS else p50) > bar_ms
        good = good and not missed
        verdict = "" if bar_ms is None else f"{bar_ms:.0f} {'MISSED' if missed else 'held'}"
        count = len(page.entries) + len(page.common_prefixes)
        print(f"{name:54} {count:>8,} {p50:>8.2f} {p99:>8.2f} {cpu_ms:>8.2f}  {verdict}")
    return good


def _times_ms(ask: Callable[[], Page[Listed]], times: int) -> tuple[list[float], float, Page[Listed]]:
    """Wall times ascending, mean CPU time, and the answer; one question before does not count."""
    page = ask()
    taken: list[float] = []
    cpu_begin = time.thread_time()
    for _ in range(times):
        begin = time.perf_counter()
        page = ask()
        taken.append((time.perf_counter() - begin) * 1000)
    return sorted(taken), (time.thread_time() - cpu_begin) * 1000 / times, page


if __name__ == "__main__":
    sys.exit(main())
