"""Loaded by Python programs that have this directory on PYTHONPATH: the tests' domain leads to this machine.

Virtual-host style puts the bucket into the host name, and no resolver knows these names.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_resolve = socket.getaddrinfo


def _resolve_own(host: Any, *arguments: Any, **options: Any) -> Any:
    domain = os.environ.get("BLEEPSTORE_TEST_DOMAIN")
    is_own = domain is not None and isinstance(host, str) and (host == domain or host.endswith("." + domain))
    return _resolve("127.0.0.1" if is_own else host, *arguments, **options)


socket.getaddrinfo = _resolve_own
