"""The query of a presigned URL is read by one expression where it is as signers write it, and is what any query is."""

from __future__ import annotations

import pytest

from app.s3.target import parse_query

SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA.x_-~%2F20261121%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261121T190000Z&X-Amz-Expires=21600&X-Amz-SignedHeaders=content-md5%3Bhost"
)
SIGNATURE = f"&X-Amz-Signature={'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    "raw",
    [
        SIGNED,
        SIGNED.replace("%2F", "%2f"),
        SIGNED.replace("AKIA", "AK%41+"),
        SIGNED.replace("%3B", "%253B"),
        SIGNED.replace("content-md5%3B", ""),
        SIGNED.replace("-Expires=21600", "-Expires="),
        f"{SIGNED}&versionId=null",
        f"{SIGNED}&X-Amz-Security-Token=t",
        f"{SIGNED}&X-Amz-Meta-Color=red",
        f"response-expires=x&{SIGNED}",
    ],
)
def test_a_usual_query_says_what_it_says_when_read_name_by_name(raw: str) -> None:
    usual = parse_query(raw + SIGNATURE)
    slowly = parse_query(f"&{raw}")  # an empty parameter, which is none, and no signature behind
    assert [(name, usual.get(name)) for name in usual] == [(name, slowly.get(name)) for name in slowly]
    assert (usual.is_plain, usual.in_headers) == (slowly.is_plain, slowly.in_headers)


def test_a_name_that_is_not_there_has_no_value() -> None:
    query = parse_query(SIGNED + SIGNATURE)
    assert "X-Amz-Date" in query
    assert "versionId" not in query
    assert query.get("versionId") is None
