"""How default buckets are written."""

from __future__ import annotations

import pytest

from app.config import load_config
from app.config_buckets import DefaultBucket
from app.settings import ConfigError


def buckets(text: str) -> tuple[DefaultBucket, ...]:
    return load_config({"server.default_buckets": text}, {}).server.default_buckets


def test_names_with_options() -> None:
    assert buckets("photos, logs:versioned,raw:none,site:download:versioned,") == (
        DefaultBucket("photos"),
        DefaultBucket("logs", True),
        DefaultBucket("raw"),
        DefaultBucket("site", True, "download"),
    )
    assert buckets("") == ()


def test_minios_variable_and_ours() -> None:
    environ = {"MINIO_DEFAULT_BUCKETS": "a-bucket:none"}
    assert load_config({}, environ).server.default_buckets == (DefaultBucket("a-bucket"),)
    environ["BLEEPSTORE_SERVER_DEFAULT_BUCKETS"] = "ours"
    assert load_config({}, environ).server.default_buckets == (DefaultBucket("ours"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("UPPER", "names that S3 allows"),
        ("ab", "names that S3 allows"),
        ("good,good", "good is given twice"),
        ("good:public:download", "do not go together"),
        ("good:none:public", "do not go together"),
        ("good:locked", "expected versioned, none, public"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        buckets(text)
