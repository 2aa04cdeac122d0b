"""S-01 as a function of a server: every route of the router, however the body travels, with each wrong signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.s3.routing import Level, Rule
from app.s3.views import BLUEPRINTS
from tests.exchange import exchange
from tests.security.flaws import (
    CHUNKS_WITHOUT_SIGNATURE,
    DENIED,
    FLAWS,
    MALFORMED,
    MISMATCH,
    PARAMETERS,
    SKEWED,
    UNKNOWN,
    Flaw,
    Refusal,
)
from tests.server.wire import Answer
from tests.signing import (
    EMPTY_SHA256,
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Draft,
    Keys,
    Sign,
    Signed,
    anonymous,
    aws_chunked,
    presign,
    sign,
)

RULES: tuple[Rule, ...] = tuple(rule for blueprint in BLUEPRINTS for rule in blueprint.rules)

BODY = b"what must not be stored"
CRC32_OF_BODY = "/MkRjw=="


# Whatever a caller gets who was let in, it is none of these.
REFUSALS = frozenset(
    refusal.code for refusal in (DENIED, MISMATCH, SKEWED, UNKNOWN, MALFORMED, PARAMETERS, CHUNKS_WITHOUT_SIGNATURE)
) - {"InvalidRequest"}


@dataclass(frozen=True)
class Scene:
    """A place to attack: a bucket with an object and an open upload, and keys that may do everything there."""

    port: int
    keys: Keys
    bucket: str
    key: str
    upload_id: str
    host: str = "localhost"


@dataclass(frozen=True)
class Mode:
    """How a body travels. `payload_hash` None: the hash of the body."""

    name: str
    payload_hash: str | None
    body: bytes = BODY
    is_streaming: bool = False
    has_trailer: bool = False

    @property
    def has_chain(self) -> bool:
        return self.payload_hash in (STREAMING, STREAMING_TRAILER)


MODES = (
    Mode("hashed", None),
    Mode("empty", EMPTY_SHA256, b""),
    Mode("unsigned", UNSIGNED),
    Mode("chunks", STREAMING, is_streaming=True),
    Mode("chunks and trailer", STREAMING_TRAILER, is_streaming=True, has_trailer=True),
    Mode("trailer", STREAMING_UNSIGNED_TRAILER, is_streaming=True, has_trailer=True),
)


# -- The matrix --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    name: str
    expected: Refusal
    method: str
    wire: bytes


def draft_of(rule: Rule, scene: Scene, mode: Mode) -> Draft:
    """A request that is the rule's, and would do something if it were let in."""
    path = {Level.SERVICE: "/", Level.BUCKET: f"/{scene.bucket}", Level.OBJECT: f"/{scene.bucket}/{scene.key}"}
    parameters = []
    if rule.subresource == "uploadId":
        parameters.append(f"uploadId={scene.upload_id}")
        parameters += ["partNumber=1"] if rule.method == "PUT" else []
    elif rule.subresource:
        parameters.append(rule.subresource)
    if rule.query is not None:
        parameters.append("=".join(rule.query))
    headers = [("x-amz-meta-note", "one"), ("x-amz-meta-note", "two")]
    if rule.copies:
        headers.append(("x-amz-copy-source", f"/{scene.bucket}/{scene.key}"))
    if mode.is_streaming:
        headers.append(("x-amz-decoded-content-length", str(len(mode.body))))
    if mode.has_trailer:
        headers.append(("x-amz-trailer", "x-amz-checksum-crc32"))
    target = path[rule.level] + ("?" + "&".join(parameters) if parameters else "")
    return Draft(rule.method, target, headers, mode.body, host=scene.host, payload_hash=mode.payload_hash)


def wire_of(signed: Signed, mode: Mode) -> bytes:
    if not mode.is_streaming:
        return signed.wire()
    trailers = [("x-amz-checksum-crc32", CRC32_OF_BODY)] if mode.has_trailer else []
    chain = signed.chain if mode.has_chain else None
    return signed.wire(aws_chunked([mode.body], chain, trailers, signs_trailer=mode.has_chain and mode.has_trailer))


def wrong_cases(scene: Scene, rules: Sequence[Rule] = RULES, flaws: Sequence[Flaw] = FLAWS) -> Iterator[Case]:
    for rule in rules:
        for mode in MODES:
            yield _anonymous_case(rule, mode, scene)
            for by in (sign, presign):
                for flaw in flaws:
                    signed = flaw.make(_explicit(draft_of(rule, scene, mode), by), scene.keys, by)
                    expected = flaw.in_header if by is sign else flaw.in_query
                    name = f"{rule.operation}, {mode.name}, {flaw.name}, by {by.__name__}"
                    yield Case(name, expected, rule.method, wire_of(signed, mode))


def right_cases(scene: Scene, rules: Sequence[Rule] = RULES) -> Iterator[Case]:
    """The same requests without a flaw: they show that it is the flaw that is refused."""
    for rule in rules:
        for mode in MODES:
            for by in (sign, presign):
                signed = by(_explicit(draft_of(rule, scene, mode), by), scene.keys)
                name = f"{rule.operation}, {mode.name}, by {by.__name__}"
                yield Case(name, Refusal(200, ""), rule.method, wire_of(signed, mode))


def _anonymous_case(rule: Rule, mode: Mode, scene: Scene) -> Case:
    signed = anonymous(_explicit(draft_of(rule, scene, mode), presign))
    expected = CHUNKS_WITHOUT_SIGNATURE if mode.has_chain else DENIED
    body = aws_chunked([mode.body], None) if mode.is_streaming else mode.body
    return Case(f"{rule.operation}, {mode.name}, anonymous", expected, rule.method, signed.wire(body))


def _explicit(draft: Draft, by: Sign) -> Draft:
    """In a query a hash is said or there is none."""
    return draft.copy(payload_hash=draft.declared_hash) if by is presign else draft


def check_wrong_is_denied(scene: Scene, rules: Sequence[Rule] = RULES, flaws: Sequence[Flaw] = FLAWS) -> int:
    """Every case gets exactly the refusal it should; how many there were."""
    cases = list(wrong_cases(scene, rules, flaws))
    answers = exchange(scene.port, [(case.method, case.wire) for case in cases])
    wrong = [_complaint(case, answer) for case, answer in zip(cases, answers, strict=True) if not _fits(case, answer)]
    assert not wrong, f"{len(wrong)} of {len(cases)} not denied as they should be:\n" + "\n".join(wrong[:20])
    return len(cases)


def check_right_is_let_in(scene: Scene, rules: Sequence[Rule] = RULES) -> None:
    cases = list(right_cases(scene, rules))
    answers = exchange(scene.port, [(case.method, case.wire) for case in cases])
    wrong = [
        _complaint(case, answer)
        for case, answer in zip(cases, answers, strict=True)
        if answer.status in (403, 500) or answer.code in REFUSALS
    ]
    assert not wrong, f"{len(wrong)} of {len(cases)} not let in:\n" + "\n".join(wrong[:20])


def _fits(case: Case, answer: Answer) -> bool:
    """An answer to HEAD has no document to say the code in."""
    is_code_right = case.method == "HEAD" or answer.code == case.expected.code
    return answer.status == case.expected.status and is_code_right


def _complaint(case: Case, answer: Answer) -> str:
    return f"  {case.name}: {answer.status} {answer.code}, expected {case.expected.status} {case.expected.code}"
