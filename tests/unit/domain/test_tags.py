"""Tags: what S3 allows, and the header form."""

from __future__ import annotations

import pytest

from app.domain.errors import BadRequest, InvalidArgument, InvalidTag
from app.domain.tags import BUCKET_TAGS_MAX, parse_tagging_header, validate_tags

TEN = tuple((f"key{number}", "value") for number in range(10))


def test_ten_tags_are_the_most_for_an_object_and_fifty_for_a_bucket() -> None:
    assert validate_tags(TEN) == TEN
    with pytest.raises(BadRequest, match="Object tags cannot be greater than 10"):
        validate_tags((*TEN, ("one", "more")))
    fifty = tuple((str(number), "") for number in range(50))
    assert validate_tags(fifty, BUCKET_TAGS_MAX) == fifty
    with pytest.raises(BadRequest, match="50"):
        validate_tags((*fifty, ("one", "more")), BUCKET_TAGS_MAX)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k" * 128, "v" * 256),
        ("ключ", "значение"),
        ("हिन्दी", "数値"),
        ("+- =._:/@", "+- =._:/@"),
        ("a", ""),
        ("ä" * 128, "ü" * 256),
        ("awsome", "aws:value"),
    ],
)
def test_a_tag_that_s3_allows_is_accepted(key: str, value: str) -> None:
    validate_tags(((key, value),))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "value"),
        ("k" * 129, "value"),
        ("key", "v" * 257),
        ("aws:key", "value"),
        ("AWS:key", "value"),
        ("key", "<script>"),
        ("a&b", "value"),
        ("key", "line\nbreak"),
        ("key\x00", "value"),
    ],
)
def test_a_tag_that_s3_does_not_allow_is_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidTag):
        validate_tags(((key, value),))


def test_a_key_counts_once() -> None:
    with pytest.raises(InvalidTag, match="multiple"):
        validate_tags((("a", "1"), ("a", "2")))
    validate_tags((("a", "1"), ("A", "2")))


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", ()),
        ("a=b", (("a", "b"),)),
        ("a=b&c=d", (("a", "b"), ("c", "d"))),
        ("foo=bar&bar", (("foo", "bar"), ("bar", ""))),
        ("a=", (("a", ""),)),
        ("a=b=c", (("a", "b=c"),)),
        ("a=b&", (("a", "b"),)),
        ("a+b=c%20d%2B", (("a b", "c d+"),)),
        ("%C3%A4=%E6%95%B0", (("ä", "数"),)),
        ("\u00c3\u00a4=x", (("ä", "x"),)),  # the bytes of UTF-8, as a header has them
    ],
)
def test_the_header_is_url_query_parameters(header: str, tags: tuple[tuple[str, str], ...]) -> None:
    assert parse_tagging_header(header) == tags


@pytest.mark.parametrize("header", ["%FF=x", "a=%C3", "\u00e4=x", "\u6570=x"])
def test_a_header_that_is_no_utf8_is_refused(header: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_tagging_header(header)
    assert refusal.value.fields["ArgumentName"] == "x-amz-tagging"


def test_tags_in_the_header_are_validated() -> None:
    for header in ("=b", "a=1&a=2", "aws:x=1", "k=" + "v" * 257):
        with pytest.raises(InvalidTag):
            parse_tagging_header(header)
    with pytest.raises(BadRequest):
        parse_tagging_header("&".join(f"k{number}=v" for number in range(11)))
