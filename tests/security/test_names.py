"""S-05 over HTTP: keys are opaque, and none of them touches a path.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.exchange import exchange
from tests.inventory import inventory
from tests.security.auth_matrix import Scene
from tests.security.name_check import check_keys_are_opaque, check_no_path_is_made_of_a_key
from tests.security.odd_names import KEYS, NO_NAMES, escaped
from tests.servers import RunningServer
from tests.signing import Draft, sign

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def test_no_two_keys_are_taken_for_each_other(guarded: RunningServer, client: Any) -> None:
    """S-05."""
    check_keys_are_opaque(guarded, client)


def test_no_path_is_made_of_a_key(guarded: RunningServer, client: Any, tmp_path: Path) -> None:
    """S-05: by strace, and by the files that lie there before and after."""
    check_no_path_is_made_of_a_key(guarded, client, tmp_path)


def test_what_is_no_utf8_names_nothing(scene: Scene, client: Any) -> None:
    """S-05: as a key, as a bucket, and in the query. It is 400 and not the nearest thing that could be meant."""
    before = inventory(client, scene.bucket)
    targets = [target for name in NO_NAMES for target in (f"/{scene.bucket}/{name}", f"/{name}/there", f"/{name}")]
    targets += [f"/{scene.bucket}?prefix={name}" for name in NO_NAMES]
    cases = [(method, target) for target in targets for method in ("PUT", "GET", "DELETE")]
    requests = [(method, sign(Draft(method, target, body=b"body"), scene.keys).wire()) for method, target in cases]
    for case, answer in zip(cases, exchange(scene.port, requests), strict=True):
        assert (answer.status, answer.code) == (400, "InvalidURI"), case
    assert inventory(client, scene.bucket) == before


def test_bytes_that_no_target_may_hold_are_refused(scene: Scene, client: Any) -> None:
    """S-05: raw control characters, blanks, a fragment and bytes above 127, none of them escaped."""
    before = inventory(client, scene.bucket)
    for raw in ("a b", "a\tb", "a\x01b", "a#b", "a\x7fb", "a\xe9b", "a\xc3\xa9b"):
        wire = f"PUT /{scene.bucket}/{raw} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
        (answer,) = exchange(scene.port, [("PUT", wire)])
        assert answer.status == 400, repr(raw)
    assert inventory(client, scene.bucket) == before


def test_odd_names_are_no_buckets(scene: Scene, client: Any) -> None:
    """S-05: none can be created; asked for, it is not there. Nothing behind an escaped slash becomes a key."""
    before = inventory(client, scene.bucket)
    names = [key for key in KEYS if key.strip("/") and not BUCKET_NAME.fullmatch(key)]
    for method in ("PUT", "GET", "DELETE"):
        drafts = [Draft(method, "/" + escaped(name).replace("/", "%2F")) for name in names]
        requests = [(method, sign(draft, scene.keys).wire()) for draft in drafts]
        for name, answer in zip(names, exchange(scene.port, requests), strict=True):
            assert answer.code == ("InvalidBucketName" if method == "PUT" else "NoSuchBucket"), f"{method} {name!r}"
    assert inventory(client, scene.bucket) == before
