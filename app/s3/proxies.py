"""Who a client is where proxies stand before the server: what trusted ones say in X-Forwarded-For."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from app.s3.request import Headers

HEADER = "x-forwarded-for"
REMEMBERED_MAX = 1_024  # pairs of a header and a peer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """`networks` are addresses or networks, "10.0.0.0/8". What any other peer says of itself is not believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]
        self._known = lru_cache(maxsize=REMEMBERED_MAX)(self._find)

    def client(self, headers: Headers, peer: str) -> str:
        """The address nearest to us that is not of a trusted proxy; the peer's own where the header does not help."""
        forwarded = headers.get(HEADER)
        return peer if forwarded is None else self._known(forwarded, peer)

    def _find(self, forwarded: str, peer: str) -> str:
        found = peer
        for text in reversed(forwarded.split(",")):
            if not self._is_trusted(found):
                break
            address = _address(text)
            if address is None:
                break  # "unknown", or a name: nobody can say who that is
            found = str(address)
        return found

    def _is_trusted(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """An address as proxies write it: perhaps with a port, IPv6 perhaps in brackets. IPv4 within IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
