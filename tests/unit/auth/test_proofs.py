"""A request that comes again: what it signed is kept, whether it is true is asked anew."""

from __future__ import annotations

import pytest

from app.auth.canonical import joined_headers
from app.auth.credentials import Credential
from app.auth.sigv4 import Authenticator, Proof
from app.auth.unchecked import Unchecked
from tests.signing import Draft, Keys, Signed, presign, sign
from tests.unit.auth.examples import CREDENTIAL, NOW_S, REGION

KEYS = Keys(CREDENTIAL.access_key, CREDENTIAL.secret_key)
EXPIRES_S = 600
SKEW_S = 900


class Clock:
    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known() -> dict[str, Credential]:
    return {CREDENTIAL.access_key: CREDENTIAL}


@pytest.fixture
def authenticator(clock: Clock, known: dict[str, Credential]) -> Authenticator:
    return Authenticator(known.get, REGION, (), clock)


def read(authenticator: Authenticator, request: Signed) -> tuple[str, str, str, dict[str, str]]:
    return request.method, request.path, "&".join(request.query), _headers(request)


def _headers(request: Signed) -> dict[str, str]:
    return joined_headers((name.lower(), value) for name, value in request.headers)


def proof_of(authenticator: Authenticator, request: Signed) -> Proof:
    proof = authenticator.proof(*read(authenticator, request))
    assert proof is not None
    return proof


def draft(target: str = "/bucket/key") -> Draft:
    return Draft("GET", target, moment_s=NOW_S, expires_s=EXPIRES_S)


@pytest.mark.parametrize("signer", [sign, presign])
def test_a_proof_says_what_authentication_says(authenticator: Authenticator, signer: object) -> None:
    request = signer(draft(), KEYS)  # type: ignore[operator]
    assert authenticator.verify(proof_of(authenticator, request)) == authenticator.authenticate(
        *read(authenticator, request)
    )


@pytest.mark.parametrize(("signer", "since_s", "until_s"), [(sign, -SKEW_S, SKEW_S), (presign, -SKEW_S, EXPIRES_S)])
def test_a_proof_holds_as_long_as_the_request(
    authenticator: Authenticator, clock: Clock, signer: object, since_s: float, until_s: float
) -> None:
    proof = proof_of(authenticator, signer(draft(), KEYS))  # type: ignore[operator]
    for offset_s, holds in ((since_s - 1, False), (since_s, True), (until_s, True), (until_s + 1, False)):
        clock.now_s = NOW_S + offset_s
        assert (authenticator.verify(proof) is not None) is holds, offset_s


def test_a_wrong_signature_is_no_proof_however_often_it_comes(authenticator: Authenticator) -> None:
    request = presign(draft(), Keys(CREDENTIAL.access_key, "another secret"))
    proof = proof_of(authenticator, request)
    assert authenticator.verify(proof) is None
    assert authenticator.verify(proof) is None


def test_a_key_that_was_withdrawn_or_replaced_proves_nothing(
    authenticator: Authenticator, known: dict[str, Credential]
) -> None:
    proof = proof_of(authenticator, presign(draft(), KEYS))
    known[CREDENTIAL.access_key] = Credential(CREDENTIAL.access_key, "a new secret", CREDENTIAL.principal, 2)
    assert authenticator.verify(proof) is None
    known.clear()
    assert authenticator.verify(proof) is None
    known[CREDENTIAL.access_key] = CREDENTIAL
    assert authenticator.verify(proof) is not None


def test_what_is_read_anew_each_time(authenticator: Authenticator) -> None:
    streamed = draft().copy(payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    for request in (
        sign(draft("/bucket/key?versionId=null"), KEYS),
        sign(streamed, KEYS),
    ):
        assert authenticator.proof(*read(authenticator, request)) is None


def test_who_signs_nothing_stays_nobody(authenticator: Authenticator) -> None:
    request = Signed("GET", "/bucket/key", [], [("Host", "localhost")], b"")
    proof = proof_of(authenticator, request)
    assert authenticator.verify(proof) == authenticator.authenticate(*read(authenticator, request))


@pytest.mark.parametrize("signer", [sign, presign])
def test_where_nothing_is_checked_a_proof_is_anybodys(authenticator: Authenticator, signer: object) -> None:
    unchecked = Unchecked(CREDENTIAL.principal)
    request = read(authenticator, signer(draft(), Keys("nobody", "guessed")))  # type: ignore[operator]
    proof = unchecked.proof(*request)
    assert proof is not None
    assert unchecked.verify(proof) == unchecked.authenticate(*request)
