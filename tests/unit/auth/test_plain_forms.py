"""The usual presigned query is read by one regular expression, and says the same as when it is read like any other."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings, strategies as st

from app.auth.canonical import query_pairs
from app.auth.claims import _PLAIN_FORM, SIGNATURE_CHARS, Form, presigned_claim, usual_form
from app.domain.errors import S3Error

REGION = "us-east-1"
SIGNATURE = "0" * SIGNATURE_CHARS
GOOD = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KEY%2F20260401%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20260401T120000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
)
NOW_S = 1_775_044_800.0

parts = st.sampled_from(
    ["", "a", "AK.-_~9", "x" * 300, "%41", "20260401", "host", "b%3Ba", "a%3Bb", "0", "00060", "700000"]
)


@given(
    st.sampled_from(
        ["KEY", "20260401", "us-east-1", "%2Fs3", "aws4_request", "20260401T120000Z", "3600", "host", "%2F", "&"]
    ),
    parts,
)
@example("host", "content-type%3Bhost")
@example("KEY", "k" * 216)  # with the rest of the credential 256 characters
@example("KEY", "k" * 217)
@example("3600", "604801")
@example("20260401T120000Z", "20269901T120000Z")
@example("us-east-1", "eu-west-1")
@settings(max_examples=300)
def test_both_ways_of_reading_say_the_same(old: str, new: str) -> None:
    before = GOOD.replace(old, new)
    raw = f"{before}&X-Amz-Signature={SIGNATURE}"
    form, signature = usual_form(raw, REGION)
    try:
        expected = presigned_claim(query_pairs(raw), {}, REGION, NOW_S)
    except S3Error:
        assert form is None or refused(form)
        return
    assert form is not None
    assert form.claim(signature, {}, NOW_S) == expected


def refused(form: Form) -> bool:
    try:
        form.claim(SIGNATURE, {}, NOW_S)
    except S3Error:
        return True
    return False


@pytest.mark.parametrize(
    ("more", "is_plain"),
    [("", True), ("%3Bx-amz-date", True), ("&X-Amz-Expires=1", False), ("&x-id=GetObject", False), ("%3bhost", False)],
)
def test_what_has_anything_else_in_it_is_read_like_any_other(more: str, is_plain: bool) -> None:
    assert (_PLAIN_FORM(GOOD + more) is not None) == is_plain
