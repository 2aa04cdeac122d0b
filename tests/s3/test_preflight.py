"""OPTIONS, the question that browsers ask before a request of another origin, where no bucket has rules for them."""

from __future__ import annotations

import pytest

from tests.s3 import raw
from tests.servers import RunningServer

ORIGIN = {"Origin": "https://example.com"}


def ask(server: RunningServer, target: str, headers: dict[str, str]) -> raw.Reply:
    reply = raw.request(server, "OPTIONS", target, headers=headers, is_anonymous=True)
    assert not [name for name in reply.headers if name.startswith("access-control-")]
    return reply


@pytest.mark.parametrize("headers", [{}, {"Access-Control-Request-Method": "GET"}, {"Origin": ""}])
@pytest.mark.parametrize("key", ["", "/k", "/absent?versionId="])
def test_a_question_of_no_origin_is_a_bad_request(
    server: RunningServer, bucket: str, headers: dict[str, str], key: str
) -> None:
    reply = ask(server, f"/{bucket}{key}", headers)
    assert (reply.status, reply.code) == (400, "BadRequest")
    assert "Origin" in reply.text("Message")


@pytest.mark.parametrize("method", [None, "", "PATCH", "OPTIONS", "get", "GET, PUT"])
def test_a_question_about_no_method_of_ours_is_a_bad_request(
    server: RunningServer, bucket: str, method: str | None
) -> None:
    asked = {} if method is None else {"Access-Control-Request-Method": method}
    reply = ask(server, f"/{bucket}/k", ORIGIN | asked)
    assert (reply.status, reply.code) == (400, "BadRequest")
    assert "Access-Control-Request-Method" in reply.text("Message")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("target", ["/{}", "/{}/k", "/absent-bucket/k"])
def test_without_rules_every_origin_is_refused(server: RunningServer, bucket: str, target: str, method: str) -> None:
    reply = ask(server, target.format(bucket), ORIGIN | {"Access-Control-Request-Method": method})
    assert (reply.status, reply.code) == (403, "AccessForbidden")
