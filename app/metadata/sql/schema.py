"""The tables, as numbered migrations. `PRAGMA user_version` says how many of them a file has had.

    plan            one row: the last sequence given out, and what the mutation at hand has found and decided
    buckets         bucket_documents
    versions        one row per object version or delete marker; inline_data holds the bytes of inline ones
    uploads         parts: the parts of a completed upload are its objects' content
    garbage         what lost a reference; condemned: blobs that no publish may take any more
    changes         consumers of them; empty while nobody is registered
    leases
    backends        names that references begin with
    bucket_usage    how many objects, versions and bytes a bucket has

Text is compared by its UTF-8 bytes everywhere (I6): SQLite's BINARY, the default; PostgreSQL's COLLATE "C".
A key may hold NUL, at which SQLite's substr, instr and length of TEXT stop: functions get CAST(key AS BLOB).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Every refusal is a CHECK of its own on plan.refusal, so that the error's message names it; see refusals.py.
REFUSALS: Final = (
    "no_such_bucket",
    "bucket_exists",
    "bucket_owned",
    "bucket_not_empty",
    "no_such_key",
    "no_such_version",
    "no_such_upload",
    "is_delete_marker",
    "precondition_failed",
    "stale_revision",
    "blob_condemned",
    "repeated",
    "nothing_to_do",
)

_PLAN = f"""
CREATE TABLE plan (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    refusal TEXT,
    bucket_id INTEGER,
    versioning TEXT,
    version_id TEXT,
    modified_ms INTEGER,
    target INTEGER,
    doomed INTEGER,
    superseded INTEGER,
    promoted INTEGER,
    is_marker INTEGER,
    adds_marker INTEGER,
    {", ".join(f"CONSTRAINT {name} CHECK (refusal IS NULL OR refusal <> '{name}')" for name in REFUSALS)}
)
"""

_BUCKETS = (
    """
    CREATE TABLE buckets (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        owner_id TEXT NOT NULL,
        region TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        versioning TEXT NOT NULL,
        generation INTEGER NOT NULL
    )
    """,
    "CREATE INDEX buckets_by_owner ON buckets (owner_id, name)",
    """
    CREATE TABLE bucket_documents (
        bucket_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (bucket_id, kind)
    ) WITHOUT ROWID
    """,
)

# What a row of `versions` is in, as a statement must say it to be answered from that index.
LISTED: Final = "is_current AND NOT is_marker"
HIDDEN: Final = "(NOT is_current OR is_marker)"

# A key's current row is the one with its highest sequence.
_VERSIONS = (
    """
    CREATE TABLE versions (
        sequence INTEGER PRIMARY KEY,
        bucket_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        version_id TEXT NOT NULL,
        is_current INTEGER NOT NULL,
        is_marker INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        etag TEXT NOT NULL,
        is_inline INTEGER NOT NULL,
        blob TEXT,
        upload_id TEXT,
        runs TEXT,
        attributes TEXT,
        tags TEXT,
        acl TEXT,
        checksum_algorithm TEXT,
        checksum_value TEXT,
        checksum_type TEXT
    )
    """,
    "CREATE UNIQUE INDEX versions_by_key ON versions (bucket_id, key, sequence DESC)",
    f"CREATE UNIQUE INDEX versions_listed ON versions (bucket_id, key) WHERE {LISTED}",
    "CREATE UNIQUE INDEX versions_noncurrent ON versions (bucket_id, key, version_id) WHERE NOT is_current",
    "CREATE INDEX versions_by_blob ON versions (blob) WHERE blob IS NOT NULL",
    "CREATE INDEX versions_by_upload ON versions (upload_id) WHERE upload_id IS NOT NULL",
    "CREATE TABLE inline_data (sequence INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
)

# An upload's state: open, completed; then gone to every caller: aborted, condemned (its parts are being deleted).
# Those that were open when their bucket was deleted stay so: without the bucket nobody reaches them.
_UPLOADS = (
    """
    CREATE TABLE uploads (
        upload_id TEXT NOT NULL PRIMARY KEY,
        bucket_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        initiator_id TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        state TEXT NOT NULL,
        revision INTEGER NOT NULL,
        parts_count INTEGER NOT NULL,
        attributes TEXT,
        tags TEXT,
        acl TEXT,
        checksum_algorithm TEXT,
        checksum_type TEXT,
        completed TEXT,
        runs TEXT
    )
    """,
    "CREATE INDEX uploads_listed ON uploads (bucket_id, key, created_ms, upload_id) WHERE state = 'open'",
    "CREATE INDEX uploads_stale ON uploads (created_ms, upload_id) WHERE state = 'open'",
    """
    CREATE TABLE parts (
        upload_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        blob TEXT NOT NULL,
        checksum_algorithm TEXT,
        checksum_value TEXT,
        checksum_type TEXT,
        PRIMARY KEY (upload_id, number)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX parts_by_blob ON parts (blob)",
)

_REST = (
    """
    CREATE TABLE garbage (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        ref TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    )
    """,
    "CREATE INDEX garbage_by_age ON garbage (created_ms, id)",
    "CREATE INDEX garbage_by_ref ON garbage (ref, kind)",
    "CREATE TABLE condemned (blob TEXT NOT NULL PRIMARY KEY, condemned_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX condemned_by_age ON condemned (condemned_ms)",
    """
    CREATE TABLE changes (
        sequence INTEGER PRIMARY KEY,
        op_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        version_id TEXT NOT NULL,
        committed_ms INTEGER NOT NULL
    )
    """,
    "CREATE TABLE consumers (name TEXT NOT NULL PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE leases (
        name TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        expires_ms INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "INSERT INTO plan (one, sequence) VALUES (1, 0)",
)

# From here on a row is in exactly one of versions_listed, which has the current objects, and versions_hidden, which has all
# else, newest first: a key's newest row is its entry in the former or else its first in the latter. So a row of a never
# versioned bucket is in one index by key. A second one would cost a page of the write-ahead log for each key written.
_ONE_INDEX_BY_KEY = (
    f"CREATE UNIQUE INDEX versions_hidden ON versions (bucket_id, key, sequence DESC) WHERE {HIDDEN}",
    "DROP INDEX versions_by_key",
)

# What a page of a listing shows, beside key, time and size, in the few bytes that it takes in an index: the digits of an
# ETag as bytes; the usual checksums as a number of no bytes, others in words; a storage class where it is not the usual one;
# whether the owner is root.
# The parts of this index are never changed either. It is not unique, for it has more than the key: that a key has one
# current row is what the plan of each mutation sees to, and `verifying` looks at.
LISTED_ETAG: Final = "CASE WHEN etag = lower(etag) THEN ifnull(unhex(etag), etag) ELSE etag END"
LISTED_CHECKSUM: Final = """
CASE checksum_algorithm || ' ' || checksum_type WHEN 'CRC64NVME FULL_OBJECT' THEN 0 WHEN 'CRC32 FULL_OBJECT' THEN 1
ELSE checksum_algorithm || ' ' || checksum_type END
"""
LISTED_CLASS: Final = "nullif(attributes ->> 2, 'STANDARD')"
# Root's canonical id, which is the same in every server: where there are no other users everything is root's, and else a
# page that shows owners reads the rows of the others' objects.
ROOT_ID: Final = "4a02dc76939eaf76a21730475fb3bba112ab523e861bbdba9b900811368290d7"
LISTED_IS_ROOTS: Final = f"owner_id = '{ROOT_ID}'"

# Rows lie in the order in which they were written, and keys of one page anywhere among them: reading the rows of 1,000
# keys means reading 1,000 pages. So the index has all that is shown.
_LISTED_SHOWN = (
    "DROP INDEX versions_listed",
    f"""
    CREATE INDEX versions_listed ON versions (bucket_id, key, {LISTED_ETAG} DESC, modified_ms, size_bytes,
        {LISTED_CHECKSUM}, {LISTED_CLASS}, {LISTED_IS_ROOTS}) WHERE {LISTED}
    """,
)

# Names of back ends that references begin with, those of past configurations included.
_BACKENDS = ("CREATE TABLE backends (name TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",)

# What each bucket holds, see usage.py. Apart from `buckets`, whose rows change seldom: each commit writes the few pages of
# these.
_USAGE = (
    """
    CREATE TABLE bucket_usage (
        bucket_id INTEGER PRIMARY KEY,
        objects INTEGER NOT NULL,
        versions INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL
    )
    """,
    f"""
    INSERT INTO bucket_usage (bucket_id, objects, versions, size_bytes)
    SELECT id, COALESCE(sum(objects), 0), COALESCE(sum(versions), 0), COALESCE(sum(size_bytes), 0)
    FROM buckets LEFT JOIN (
        SELECT bucket_id, count(*) AS objects, count(*) AS versions, sum(size_bytes) AS size_bytes FROM versions
        WHERE {LISTED} GROUP BY bucket_id
        UNION ALL
        SELECT bucket_id, 0, sum(NOT is_marker), sum(size_bytes) FROM versions WHERE {HIDDEN} GROUP BY bucket_id
    ) ON bucket_id = id GROUP BY id
    """,  # noqa: S608 - constants
)

# Append only: a released migration is never changed.
MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (_PLAN, *_BUCKETS, *_VERSIONS, *_UPLOADS, *_REST),
    _ONE_INDEX_BY_KEY,
    _LISTED_SHOWN,
    _BACKENDS,
    _USAGE,
)
SCHEMA_VERSION: Final = len(MIGRATIONS)
