"""A denied request is answered before its body is asked for: no 100 Continue, no byte read, nothing stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.s3.routing import Rule
from tests.inventory import blob_files, inventory
from tests.security.auth_matrix import MODES, RULES, Scene, draft_of
from tests.security.conftest import user_keys
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, Signed, anonymous, sign

DECLARED_BYTES = 4 << 30
WRITING = tuple(rule for rule in RULES if rule.method in ("PUT", "POST"))
UNSIGNED_PAYLOAD = next(mode for mode in MODES if mode.name == "unsigned")

Caller = Callable[[Draft, Keys], Signed]
CALLERS: dict[str, Caller] = {
    "anonymous": lambda draft, _: anonymous(draft),
    "a forger": lambda draft, keys: sign(draft, Keys(keys.access_key, "no secret of anybody")),
    "another user": lambda draft, _: sign(draft, user_keys("alice")),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_not_write_is_refused_before_the_body_is_asked_for(
    guarded: RunningServer, client: Any, scene: Scene, caller: str
) -> None:
    before, blobs = inventory(client, scene.bucket), blob_files(guarded.data_dir)
    for rule in WRITING:
        if caller == "another user" and rule.operation == "CreateBucket":
            continue  # everybody who signs may; that this name is taken is learned later
        answer = _first_answer(scene, rule, CALLERS[caller])
        assert answer.status == 403, f"{caller}, {rule.operation}: {answer.status} {answer.code}"
    assert inventory(client, scene.bucket) == before
    assert blob_files(guarded.data_dir) == blobs


def test_who_may_write_is_asked_for_the_body(scene: Scene) -> None:
    answer = _first_answer(scene, next(rule for rule in RULES if rule.operation == "PutObject"), sign)
    assert answer.status == 100


def _first_answer(scene: Scene, rule: Rule, caller: Caller) -> Answer:
    """What comes back when the head has been sent and nothing else; 100 Continue is an answer here."""
    signed = caller(draft_of(rule, scene, UNSIGNED_PAYLOAD), scene.keys)
    signed.headers.append(("Expect", "100-continue"))
    with Wire(scene.port) as wire:
        wire.send(signed.head(length=DECLARED_BYTES))
        return wire.answer(rule.method)
