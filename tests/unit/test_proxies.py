"""Who a client is behind proxies."""

from __future__ import annotations

import pytest

from app.s3.proxies import TrustedProxies
from app.s3.request import Headers

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("10.1.2.3", "6.6.6.6, 203.0.113.9, 10.9.9.9,192.0.2.7", "203.0.113.9"),  # what stands before it was forged
        ("10.1.2.3", "10.4.4.4", "10.4.4.4"),  # all of them are proxies: the farthest one asked
        ("203.0.113.1", "6.6.6.6", "203.0.113.1"),  # nobody believes a stranger
        ("192.0.2.8", "6.6.6.6", "192.0.2.8"),
        ("fd00::1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("fd00::1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.1.2.3", "2001:db8::5", "2001:db8::5"),
        ("::ffff:10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.9, _hidden", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", ",,,", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.9\x00", "10.1.2.3"),
    ],
)
def test_the_nearest_address_that_is_no_proxy(peer: str, forwarded: str, client: str) -> None:
    assert PROXIES.client(Headers([("X-Forwarded-For", forwarded)]), peer) == client


def test_headers_of_one_name_are_one_list() -> None:
    headers = Headers(
        [("x-forwarded-for", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-for", "10.1.1.1")]
    )
    assert PROXIES.client(headers, "10.2.2.2") == "203.0.113.9"


def test_without_the_header_it_is_the_peer() -> None:
    assert PROXIES.client(Headers([]), "10.1.2.3") == "10.1.2.3"
