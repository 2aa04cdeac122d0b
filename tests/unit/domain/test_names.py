"""Bucket names, keys, and the identifiers that the server makes up."""

from __future__ import annotations

import os
import re

import pytest

from app.domain.errors import InvalidArgument, InvalidBucketName, InvalidURI, KeyTooLongError
from app.domain.names import (
    canonical_id,
    check_bucket_name,
    check_key,
    is_version_id,
    new_op_id,
    new_request_id,
    new_upload_id,
    new_version_id,
)


@pytest.mark.parametrize(
    "name",
    [
        "abc",
        "a" * 63,
        "a-b",
        "a.b.c",
        "1bucket",
        "bucket1",
        "a--b",
        "192.168.5",
        "1.2.3.4.5",
        "1.2.3.4a",
        "my-s3alias-x",
    ],
)
def test_a_name_that_s3_allows_is_accepted(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "a.-b",
        "a-.b",
        "192.168.5.4",
        "999.1.1.1",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-bucket",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "abc\n",
        "a/b",
        "äbc",
        ".bleepstore",
        "abc\x00",
    ],
)
def test_a_name_that_s3_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(InvalidBucketName) as refusal:
        check_bucket_name(name)
    assert refusal.value.fields["BucketName"] == name


@pytest.mark.parametrize(
    "key", ["a", "a" * 1024, "ä" * 512, "😀" * 256, "../x", "//", "/lead", " blank ", "\x00\x01\r\n", "a\\b", "."]
)
def test_a_key_is_opaque_up_to_1024_bytes(key: str) -> None:
    """S-05"""
    check_key(key)


@pytest.mark.parametrize("key", ["a" * 1025, "ä" * 513, "a" + "😀" * 256])
def test_a_key_is_measured_in_bytes(key: str) -> None:
    """S-05"""
    with pytest.raises(KeyTooLongError) as refusal:
        check_key(key)
    assert refusal.value.fields == {"Size": str(len(key.encode())), "MaxSizeAllowed": "1024"}


def test_a_key_must_be_there_and_be_utf8() -> None:
    with pytest.raises(InvalidArgument):
        check_key("")
    with pytest.raises(InvalidURI):
        check_key("a\ud800b")


def test_version_ids_are_32_url_safe_characters_and_never_look_like_options() -> None:
    ids = {new_version_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[A-Za-z0-9._]{32}", text) for text in ids)
    assert all(is_version_id(text) for text in ids)


@pytest.mark.parametrize(
    "text", ["", "x", "NULL", "a" * 31, "a" * 33, "a" * 31 + "/", "a" * 31 + "\n", "ä" * 32, "-" * 32]
)
def test_what_cannot_be_a_version_id_is_told_apart(text: str) -> None:
    assert not is_version_id(text)


def test_null_is_a_version_id() -> None:
    assert is_version_id("null")


def test_identifiers_have_their_shapes() -> None:
    assert re.fullmatch(r"[0-9A-F]{16}", new_request_id())
    assert re.fullmatch(r"[0-9a-f]{32}", new_op_id())
    assert len(new_upload_id()) == 32
    assert len({new_op_id() for _ in range(1000)} | {new_upload_id() for _ in range(1000)}) == 2000


def test_a_forked_child_makes_up_other_identifiers() -> None:
    new_version_id()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, new_version_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    of_child = os.read(read_end, 64).decode()
    os.close(read_end)
    assert is_version_id(of_child)
    assert of_child != new_version_id()


def test_a_canonical_id_is_stable_and_distinct() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", canonical_id("alice"))
    assert canonical_id("alice") == canonical_id("alice") != canonical_id("bob")
