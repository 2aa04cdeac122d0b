"""The change log, its consumers, and leases."""

from __future__ import annotations

from typing import Final

from app.metadata.sql.mutation import Mutation, Step

TRIM_ROWS_MAX: Final = 1_000  # a turn of the writer

# A consumer starts behind everything that is committed before it.
REGISTER: Final = Mutation(
    "",
    None,
    (
        Step(
            """
            INSERT INTO consumers (name, sequence) SELECT :name, sequence FROM plan WHERE TRUE
            ON CONFLICT (name) DO NOTHING
            """
        ),
    ),
    answer="SELECT sequence FROM consumers WHERE name = :name",
    grows=True,
)
UNREGISTER: Final = Mutation("", None, (Step("DELETE FROM consumers WHERE name = :name"),))
ACKNOWLEDGE: Final = Mutation(
    "",
    None,
    (Step("UPDATE consumers SET sequence = :sequence WHERE name = :name AND sequence < :sequence"),),
)

READ_CHANGES: Final = """
SELECT sequence, op_id, kind, bucket, key, version_id, committed_ms FROM changes
WHERE sequence > :after ORDER BY sequence LIMIT :limit
"""

# Asked at the beginning of every turn: whether to log, whether there is anything to trim, the last sequence.
HAS_CONSUMERS: Final = "SELECT EXISTS (SELECT 1 FROM consumers), EXISTS (SELECT 1 FROM changes), sequence FROM plan"
TRIM: Final = """
DELETE FROM changes WHERE sequence IN
    (SELECT sequence FROM changes
     WHERE sequence <= COALESCE((SELECT min(sequence) FROM consumers), 9223372036854775807)
     ORDER BY sequence LIMIT :limit)
"""

# A ttl of 0 leaves a row that has ended, which anybody may take over.
LEASE: Final = Mutation(
    "",
    None,
    (
        Step(
            """
            INSERT INTO leases (name, holder, expires_ms) VALUES (:name, :holder, :expires_ms)
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_ms = excluded.expires_ms
            WHERE leases.holder = excluded.holder OR leases.expires_ms <= :now_ms
            """
        ),
    ),
    answer="SELECT 1 FROM leases WHERE name = :name AND holder = :holder",
)
