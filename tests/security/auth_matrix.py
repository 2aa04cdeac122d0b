"""S-01 as a function of a server: every route of the router, however the body travels, with each wrong signature."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.s3.routing import Level, Rule
from app.s3.views import BLUEPRINTS
from tests.exchange import exchange
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


class Refusal(NamedTuple):
    status: int
    code: str


DENIED = Refusal(403, "AccessDenied")
MISMATCH = Refusal(403, "SignatureDoesNotMatch")
SKEWED = Refusal(403, "RequestTimeTooSkewed")
UNKNOWN = Refusal(403, "InvalidAccessKeyId")
MALFORMED = Refusal(400, "AuthorizationHeaderMalformed")
PARAMETERS = Refusal(400, "AuthorizationQueryParametersError")
TWO_WAYS = Refusal(400, "InvalidArgument")
CHUNKS_WITHOUT_SIGNATURE = Refusal(400, "InvalidRequest")

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


class Flaw(NamedTuple):
    """A wrong request from a right one, and what it is called in a header and in a query."""

    name: str
    in_header: Refusal
    in_query: Refusal
    make: Callable[[Draft, Keys, Sign], Signed]


# -- What can be wrong -------------------------------------------------------------------------------------------


def _replaced(signed: Signed, change: Callable[[str], str]) -> Signed:
    """`change` is made to the text that holds the signature: the header's value or the parameter."""
    signed.headers = [(name, change(value) if name == "Authorization" else value) for name, value in signed.headers]
    signed.query = [change(pair) if pair.startswith("X-Amz-Signature=") else pair for pair in signed.query]
    return signed


def _unknown_key(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft, Keys("nobody-at-all", keys.secret_key))


def _wrong_secret(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft, Keys(keys.access_key, keys.secret_key + "x"))


def _altered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return _replaced(by(draft, keys), lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"))


def _expired(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(moment_s=time.time() - 910, expires_s=900), keys)


def _future(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(moment_s=time.time() + 930), keys)


def _other_region(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(region="eu-central-1"), keys)


def _other_service(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(service="sqs"), keys)


def _other_date(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(scope_date="20200101"), keys)


def _names_reordered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """SignedHeaders in another order than the canonical one."""
    signed = by(draft, keys)

    def reverse(text: str, separator: str) -> str:
        start = text.index("SignedHeaders=") + len("SignedHeaders=")
        names = text[start:].partition(",")[0].partition("&")[0]
        return text.replace(names, separator.join(reversed(names.split(separator))))

    signed.headers = [
        (name, reverse(value, ";") if name == "Authorization" else value) for name, value in signed.headers
    ]
    signed.query = [reverse(pair, "%3B") if pair.startswith("X-Amz-SignedHeaders=") else pair for pair in signed.query]
    return signed


def _values_reordered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """Two headers of one name change places after signing."""
    signed = by(draft, keys)
    at = [place for place, (name, _) in enumerate(signed.headers) if name == "x-amz-meta-note"]
    signed.headers[at[0]], signed.headers[at[1]] = signed.headers[at[1]], signed.headers[at[0]]
    return signed


def _repeated(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """A second signature beside the right one."""
    signed = _replaced(by(draft, keys), lambda text: text + ", Signature=" + "0" * 64 if "Credential" in text else text)
    signed.query += [f"X-Amz-Signature={'0' * 64}"] if by is presign else []
    return signed


def _header_repeated(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """The whole statement twice."""
    signed = by(draft, keys)
    signed.headers += [item for item in signed.headers if item[0] == "Authorization"]
    signed.query += [pair for pair in signed.query if pair.startswith("X-Amz-Credential=")]
    return signed


def _other_method(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft.copy(method="GET" if draft.method != "GET" else "PUT"), keys)
    signed.method = draft.method
    return signed


def _other_path(draft: Draft, keys: Keys, by: Sign) -> Signed:
    path, mark, query = draft.target.partition("?")
    signed = by(draft.copy(target=f"{path}x{mark}{query}"), keys)
    signed.path = path
    return signed


def _parameter_added(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft, keys)
    signed.query.append("x-id=GetObject")
    return signed


def _header_changed(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft, keys)
    signed.headers = [(name, value + "x" if name == "x-amz-meta-note" else value) for name, value in signed.headers]
    return signed


def _both_ways(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed, other = presign(draft, keys), sign(draft, keys)
    signed.headers = other.headers
    return signed


FLAWS = (
    Flaw("unknown access key", UNKNOWN, UNKNOWN, _unknown_key),
    Flaw("wrong secret", MISMATCH, MISMATCH, _wrong_secret),
    Flaw("altered signature", MISMATCH, MISMATCH, _altered),
    Flaw("expired", SKEWED, DENIED, _expired),
    Flaw("from the future", SKEWED, DENIED, _future),
    Flaw("another region", MALFORMED, PARAMETERS, _other_region),
    Flaw("another service", MALFORMED, PARAMETERS, _other_service),
    Flaw("another date in the scope", MALFORMED, PARAMETERS, _other_date),
    Flaw("signed headers reordered", MALFORMED, PARAMETERS, _names_reordered),
    Flaw("repeated header reordered", MISMATCH, MISMATCH, _values_reordered),
    Flaw("signature repeated", MALFORMED, PARAMETERS, _repeated),
    Flaw("claim repeated", MALFORMED, PARAMETERS, _header_repeated),
    Flaw("another method", MISMATCH, MISMATCH, _other_method),
    Flaw("another path", MISMATCH, MISMATCH, _other_path),
    Flaw("parameter added", MISMATCH, MISMATCH, _parameter_added),
    Flaw("header changed", MISMATCH, MISMATCH, _header_changed),
    Flaw("header and query", TWO_WAYS, TWO_WAYS, _both_ways),
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
