"""The credentials of AWS's published examples, and an authenticator that knows them at the examples' moment."""

from __future__ import annotations

from collections.abc import Sequence

from app.auth.canonical import joined_headers
from app.auth.credentials import Credential
from app.auth.sigv4 import Authenticated, Authenticator
from app.domain.types import Principal

OWNER = Principal(id="a" * 64, name="owner", access_key="AKIAIOSFODNN7EXAMPLE")
CREDENTIAL = Credential("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", OWNER, 1)
TIMESTAMP = "20130524T000000Z"
NOW_S = 1_369_353_600.0  # 2013-05-24T00:00:00Z
REGION = "us-east-1"
SCOPE = f"20130524/{REGION}/s3/aws4_request"
HOST = "examplebucket.s3.amazonaws.com"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

Headers = Sequence[tuple[str, str]]


def authenticator(
    *,
    credentials: Sequence[Credential] = (CREDENTIAL,),
    region: str = REGION,
    signing_hosts: Sequence[str] = (),
    now_s: float = NOW_S,
) -> Authenticator:
    known = {credential.access_key: credential for credential in credentials}
    return Authenticator(known.get, region, signing_hosts, lambda: now_s)


def authenticate(
    method: str, target: str, headers: Headers, *, region: str = REGION, now_s: float = NOW_S
) -> Authenticated:
    path, _, query = target.partition("?")
    return authenticator(region=region, now_s=now_s).authenticate(method, path, query, joined_headers(headers))


def authorization(
    signed: str, signature: str, *, credential: str = f"{CREDENTIAL.access_key}/{SCOPE}"
) -> tuple[str, str]:
    text = f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={signed},Signature={signature}"
    return ("authorization", text)
