"""Faults to put into a server, each as a function that does it in the process that calls it.

A row's check is run against a server with each of these and must fail. They live here: the product has no switch for
them.
"""

from __future__ import annotations

import io
import posixpath
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from app.auth import access, chunked, claims, sigv4
from app.auth.payload_mode import HEADER, read_mode
from app.core import intake, objects
from app.domain.errors import IncompleteBody, PreconditionFailed
from app.domain.names import canonical_id
from app.domain.types import Principal
from app.metadata.sql.slots import Slots
from app.metadata.sql.sqlite import SqliteStore
from app.s3 import body, permission, pipeline, target, xml
from app.s3.request import Query, Target
from app.s3.views import common, copy, listing
from app.s3.xml import read, tree
from app.server import body as wire

ROOT = Principal(canonical_id("root"), "root", "", is_root=True)

REMEMBERED_S = 0.02


def _put(owner: Any, **changed: Any) -> None:
    """A fault in what is not there any more would be none."""
    for name, value in changed.items():
        assert hasattr(owner, name), f"{owner} has no {name}"
        setattr(owner, name, value)


# -- Signatures and access (S-01) --------------------------------------------------------------------------------


def everybody_is_root() -> None:
    """No signature is looked at."""

    def authenticate(
        self: Any, method: str, path: str, query: str, headers: Sequence[tuple[str, str]]
    ) -> sigv4.Authenticated:
        mode = read_mode(dict(headers).get(HEADER, "UNSIGNED-PAYLOAD"))
        return sigv4.Authenticated(ROOT, replace(mode, sha256=None, is_streaming=False, has_signatures=False))

    _put(sigv4.Authenticator, authenticate=authenticate)


def any_signature_will_do() -> None:
    _put(sigv4, _is_signature=lambda *_: True)


def scopes_are_not_compared() -> None:
    """Region, service and date are whatever the client says; by these the signature is right."""
    _put(claims, _check_scope=lambda *_: None)


def signatures_never_expire() -> None:
    _put(claims, SKEW_MAX_S=1 << 40, _check_validity=lambda *_: None)


def unsigned_headers_count() -> None:
    """A header need not be among the signed ones."""
    _put(sigv4, _check_signed=lambda *_: None)


def strangers_may() -> None:
    """Callers are known, and nobody asks what they may do."""
    _put(pipeline, authorise=permission._require_version)


def bucket_owners_may_all() -> None:
    """Whoever owns a bucket reads what others have written there."""
    permits = access._permits_object

    def permits_more(principal: Any, grounds: Any, bucket: Any, version: Any) -> bool:
        return bucket.owner_id == principal.id or permits(principal, grounds, bucket, version)

    _put(access, _permits_object=permits_more)


# -- Documents (S-03) --------------------------------------------------------------------------------------------


def documents_follow_references() -> None:
    """A parser that opens what a document declares."""
    from xml import sax
    from xml.sax.handler import feature_external_ges

    parse = tree.parse

    def parse_twice(document: bytes, *rest: Any) -> tree.Element:
        trusting = sax.make_parser()
        trusting.setFeature(feature_external_ges, True)
        try:
            trusting.parse(io.BytesIO(document))
        except (sax.SAXException, OSError):
            pass
        return parse(document, *rest)

    _put(read, parse=parse_twice)


def documents_may_be_long() -> None:
    """S-04: nobody bounds them, neither who receives nor who parses."""
    for module in (xml, read):
        _put(module, CONFIGURATION_MAX_BYTES=1 << 40, DELETE_MAX_BYTES=1 << 40, COMPLETE_MAX_BYTES=1 << 40)


# -- Whatever is sent (S-24) -------------------------------------------------------------------------------------


def numbers_are_trusted() -> None:
    """A parameter that ought to be a number is taken for one."""
    _put(common, limit_parameter=lambda query, name, maximum, **_: min(int(query.get(name) or maximum), maximum))
    _put(listing, limit_parameter=common.limit_parameter)


# -- Names (S-05, S-07) ------------------------------------------------------------------------------------------


def _with_keys_by(change: Callable[[str], str]) -> None:
    parse = target.parse_target

    def parse_target(raw: str, host: str, domains: Sequence[str]) -> tuple[Target, Query]:
        parsed, query = parse(raw, host, domains)
        return parsed._replace(key=parsed.key and change(parsed.key)), query

    _put(pipeline, parse_target=parse_target)


def dots_are_resolved() -> None:
    """Keys are taken for paths."""
    _with_keys_by(lambda key: posixpath.normpath("/" + key).lstrip("/") or key)


def slashes_are_merged() -> None:
    _with_keys_by(lambda key: re.sub("//+", "/", key))


def keys_are_composed() -> None:
    """One of two normal forms is taken for the other."""
    _with_keys_by(lambda key: unicodedata.normalize("NFC", key))


def keys_are_decoded_twice() -> None:
    _with_keys_by(unquote)


def copy_sources_are_decoded_twice() -> None:
    _put(copy, unquote_to_bytes=lambda text: unquote_to_bytes(unquote_to_bytes(text)))


def objects_are_written_by_their_key() -> None:
    """A copy of each object lies in a file that bears its key."""
    put = objects.put_object

    def put_object(store: Any, new: Any, *rest: Any) -> objects.Stored:
        path = Path(f"{store.storage._below._root}/by-key/{new.key}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a copy")
        except (OSError, ValueError):
            pass
        return put(store, new, *rest)

    _put(objects, put_object=put_object)


# -- Bodies (R-09) -----------------------------------------------------------------------------------------------


def _end_quietly(is_chunked: bool) -> None:
    """Where the connection ends, the body ends, as under gunicorn's own workers with gevent."""
    receive, read_into, read = wire.Wire.receive, wire.Wire.read_into, wire.Wire.read

    def quiet(self: wire.Wire, max_bytes: int) -> bytes:
        try:
            return receive(self, max_bytes)
        except IncompleteBody:
            if self.is_chunked != is_chunked:
                raise
            return b""

    def quiet_into(self: wire.Wire, room: memoryview) -> int | None:
        try:
            return read_into(self, room)
        except IncompleteBody:
            if self.is_chunked != is_chunked:
                raise
            self._failure, self._rest = None, 0
            return None

    def quiet_read(self: wire.Wire, max_bytes: int) -> bytes:
        try:
            return read(self, max_bytes)
        except IncompleteBody:
            if self.is_chunked != is_chunked:
                raise
            self._failure, self._rest = None, 0
            return b""

    _put(wire.Wire, receive=quiet, read_into=quiet_into, read=quiet_read)


def short_bodies_end_quietly() -> None:
    """Those with a length. One of two defences is gone."""
    _end_quietly(is_chunked=False)


def bodies_are_not_counted() -> None:
    """What has come is taken for what was declared, by the wire and by the payload (I10)."""
    short_bodies_end_quietly()
    _put(body.RequestPayload, finish=lambda self: self._chunks().finish() if self._mode.is_streaming else {})


def chunked_bodies_end_quietly() -> None:
    """The last chunk need not come."""
    _end_quietly(is_chunked=True)


def aws_chunks_need_no_end() -> None:
    """An aws-chunked body may stop anywhere."""
    bodies_are_not_counted()
    _put(chunked.ChunkedDecoder, finish=lambda self: self._trailers)


def digests_are_not_compared() -> None:
    """R-10."""
    _put(intake, verify=lambda *_: None)


# -- Requests at the same time (R-21 to R-24) --------------------------------------------------------------------


def conditions_are_looked_at_first() -> None:
    """Read, then written: between the two another request may write."""
    publish = SqliteStore.publish

    def look_then_publish(self: Any, new: Any, condition: Any, op_id: str) -> Any:
        if condition is not None:
            version = self.look_up(new.bucket, new.key).version
            if version is not None and not version.is_delete_marker:
                raise PreconditionFailed
        return publish(self, new, None, op_id)

    _put(SqliteStore, publish=look_then_publish)


def completes_are_not_fenced() -> None:
    """An upload's end is not part of the commit that publishes the object."""
    publish = SqliteStore.publish

    def publish_beside(self: Any, new: Any, condition: Any, op_id: str) -> Any:
        return publish(self, new._replace(completes=None), condition, op_id)

    _put(SqliteStore, publish=publish_beside)


def _remembering(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same answer to the same question for a while, in each process by itself."""
    remembered: dict[str, tuple[float, Any]] = {}

    def answer(self: Any, *question: Any, **options: Any) -> Any:
        name, now_s = repr((question, options)), time.monotonic()
        if name not in remembered or now_s - remembered[name][0] > REMEMBERED_S:
            remembered[name] = (now_s, call(self, *question, **options))
        return remembered[name][1]

    return answer


def reads_are_remembered() -> None:
    _put(SqliteStore, look_up=_remembering(SqliteStore.look_up))


def listings_are_remembered() -> None:
    _put(SqliteStore, list_current=_remembering(SqliteStore.list_current))


def nobody_makes_the_caches_stale() -> None:
    _put(Slots, begin=lambda *_: None, end=lambda *_: None)


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        everybody_is_root,
        any_signature_will_do,
        scopes_are_not_compared,
        signatures_never_expire,
        unsigned_headers_count,
        strangers_may,
        bucket_owners_may_all,
        documents_follow_references,
        documents_may_be_long,
        numbers_are_trusted,
        dots_are_resolved,
        slashes_are_merged,
        keys_are_composed,
        keys_are_decoded_twice,
        copy_sources_are_decoded_twice,
        objects_are_written_by_their_key,
        short_bodies_end_quietly,
        bodies_are_not_counted,
        chunked_bodies_end_quietly,
        aws_chunks_need_no_end,
        digests_are_not_compared,
        conditions_are_looked_at_first,
        completes_are_not_fenced,
        reads_are_remembered,
        listings_are_remembered,
        nobody_makes_the_caches_stale,
    )
}
