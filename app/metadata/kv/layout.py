"""The rows of a key-value engine: scopes, keys, and the protocols between scopes.

Scopes and keys (`key` is an object key, escaped; numbers are 8 bytes, big-endian; `~n` is 2^64 - 1 - n; all values but
inline bytes are JSON, rows.py):

    "catalogue"                         one scope
      n <name>                          bucket's name -> its id, owner, region, creation
      i                                 the next bucket id
      s <id>                            this bucket's scope may hold something
      f                                 consumers of the change feed and their marks; the log's head
      k <id>                            how much of this bucket's outbox is in the log
      l <number>                        the log: one change
      e <name>                          a lease
      y                                 names of back ends that references begin with
    "b" <bucket id>                     one scope a bucket; lives on behind a deleted bucket until its garbage is gone
      B                                 the bucket with its documents, and its two fences
      N                                 the next sequence that nobody has reserved
      c <key>                           current version, where it is an object: what listings walk
      m <key>                           current version, where it is a delete marker
      v <key> <~sequence>               every version, newest first within a key
      i <key> <version id>              its sequence
      q <sequence>                      its key
      d <sequence>                      inline bytes
      u <upload id>                     upload
      w <key> <created> <upload id>     open uploads in the order of listings
      t <created> <upload id>           open uploads by age
      p <upload id> <number>            part
      h <content>                       hold: how many rows of this bucket refer to a content; its garbage; its fence
      g <garbage id>                    garbage
      a <created> <garbage id>          garbage by age
      x <garbage id> <blob>             blobs condemned and not yet forgotten, of garbage that is more than one blob
      L                                 the outbox's head
      o <number>                        outbox: one change
    "c" <shard>                         contents, spread over SHARDS scopes
      b <blob> | u <upload id>          where a content may be held, and whether it is condemned
      z <condemned> <content>           condemned ones by age

A *content* is a blob or an upload's parts. Copies share contents, also between buckets, so a content may have rows in
many scopes, and no commit can see them all. Therefore:

* A bucket that is about to refer to a content **registers first**: it enters its id in the content's record, which
  refuses when the content is condemned. Then comes the commit in the bucket's scope, which counts up the hold. A bucket
  that registered and never committed does no harm: its hold is absent.
* Dropping the last row of a bucket that refers to a content leaves a hold of 0 and garbage, in the same commit.
* **Condemning** reads the record (token T), and the hold of every bucket named in it. Where a row refers, or younger garbage
  waits, this garbage is dropped. Else each hold is *fenced*: from here on its bucket refuses the content. At last the
  record is marked, provided that it still has token T: no further bucket registered in between. A sweep that died half-way
  leaves fences and its garbage; the next one goes on. Where a row turns up after all, the record is written once more
  before the fences are lifted, so that no other sweep's T survives that.
* Fences and the record stay after the blob is gone, until `expire_condemned`.

Further decisions over a range or over scopes:

* *Is the bucket empty?* Deleting fences the bucket's record (every commit in the scope checks its token), looks for a version,
  and deletes only if the fence stands. A writer that meets the fence lifts it in its own commit; that one conflicts.
* *Whose is the name?* The bucket's own scope is written first, the name last; a name whose bucket is deleted is free.
* *Are the parts final?* Each part counts up the upload's revision, and Complete checks the upload's token.
* *Sequences* are reserved in blocks. A version takes a number above its key's newest and checks that this one is still there,
  so order within a key is the order of commits, although blocks of several processes interleave.
* *The change feed.* While there are consumers, `feeds` is set in every bucket's record; each commit then adds to its bucket's outbox,
  which makes the bucket's writers one line. Reading the feed moves outboxes into the log, with a mark of how far each was
  moved in the same commit. Order is exact within a bucket; across buckets it is by clock within what is moved together.
"""

from __future__ import annotations

import hashlib

SHARDS = 16
SEQUENCE_BITS = 40  # of a sequence or garbage id; above them stands the bucket's id
NUMBER_MAX = (1 << 64) - 1
PART_NUMBER_MAX = 10_000

CATALOGUE = b"catalogue"
NEXT_ID, FEED, NAME, SCOPE, CURSOR, LOG, LEASE = b"i", b"f", b"n", b"s", b"k", b"l", b"e"
BACKENDS = b"y"
BUCKET, NEXT_SEQUENCE, OUTBOX_HEAD, OUTBOX = b"B", b"N", b"L", b"o"
CURRENT, MARKER, VERSION, BY_ID, BY_SEQUENCE, INLINE = b"c", b"m", b"v", b"i", b"q", b"d"
UPLOAD, OPEN_BY_KEY, OPEN_BY_AGE, PART = b"u", b"w", b"t", b"p"
HOLD, GARBAGE, GARBAGE_BY_AGE, SLICE = b"h", b"g", b"a", b"x"
CONDEMNED = b"z"

# An object key or upload id inside a longer key: 00 becomes 00 FF, and 00 01 ends it. So the order of the escaped texts is the
# order of their bytes, and a text is a prefix of another exactly when its escaped form without the end is.
_END = b"\x00\x01"


def text(value: str) -> bytes:
    """A text as far as it goes: the start of everything that begins with it."""
    return value.encode().replace(b"\x00", b"\x00\xff")


def ended(value: str) -> bytes:
    return text(value) + _END


def split_text(data: bytes) -> tuple[str, bytes]:
    """Undo `ended`; gives the text and what follows it."""
    end = data.index(_END)  # inside a text a 00 is always followed by FF
    return data[:end].replace(b"\x00\xff", b"\x00").decode(), data[end + len(_END) :]


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def newest_first(sequence: int) -> bytes:
    return number(NUMBER_MAX - sequence)


def behind(start: bytes) -> bytes:
    """The first key behind all that begin with `start`. Keys begin with a letter, so there is one."""
    end = start.rstrip(b"\xff")
    return end[:-1] + bytes([end[-1] + 1])


def bucket_scope(bucket_id: int) -> bytes:
    return b"b" + number(bucket_id)


def bucket_of(sequence: int) -> int:
    """The bucket's id in a sequence or garbage id."""
    return sequence >> SEQUENCE_BITS


def content_scope(content: bytes) -> bytes:
    return b"c" + bytes([hashlib.blake2b(content, digest_size=1).digest()[0] % SHARDS])


def content_scopes() -> list[bytes]:
    return [b"c" + bytes([shard]) for shard in range(SHARDS)]


def blob_content(ref: str) -> bytes:
    return b"b" + ref.encode()


def upload_content(upload_id: str) -> bytes:
    return b"u" + upload_id.encode()


def open_upload(key: str, created_ms: int, upload_id: str) -> tuple[bytes, bytes]:
    """The two keys under which an open upload is listed: by object key, and by age."""
    tail = number(created_ms) + upload_id.encode()
    return OPEN_BY_KEY + ended(key) + tail, OPEN_BY_AGE + tail


def part(upload_id: str, part_number: int) -> bytes:
    return PART + ended(upload_id) + number(part_number)


def parts_between(upload_id: str, first: int, last: int) -> tuple[bytes, bytes]:
    """Start and end of the parts numbered first to last."""
    return part(upload_id, max(first, 0)), part(upload_id, max(last, -1) + 1)
