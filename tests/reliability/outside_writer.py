"""A process beside the server that writes into its database, as a command line tool does.

    python -m tests.reliability.outside_writer DATABASE BUCKET

Each line of input, "put KEY BODY" or "remove KEY", is answered with "done" once it is durable.
"""

from __future__ import annotations

import hashlib
import sys
import time

from app.domain.types import Content, NewVersion, Removal
from app.metadata.sql.sqlite import SqliteStore


def main(database: str, bucket: str) -> None:
    store = SqliteStore.from_path(database)
    store.open()
    owner = store.bucket(bucket).owner_id
    for number, line in enumerate(sys.stdin):
        verb, key, *rest = line.split()
        now_ms = time.time_ns() // 1_000_000
        version_id = f"{number:032x}"
        if verb == "put":
            body = rest[0].encode()
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            content = Content(is_inline=True, inline=body)
            store.publish(
                NewVersion(bucket, key, version_id, owner, now_ms, len(body), etag, content), None, version_id
            )
        else:
            store.remove(Removal(bucket, key, None, version_id, owner, now_ms), None, version_id)
        print("done", flush=True)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
