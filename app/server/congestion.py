"""Clients on this machine are sent to without pauses.

Where the system's congestion control is BBR, it spaces segments out by timers, for the sake of queues on the way. Between two
processes of one machine there are none, and the timers cost a third of a large answer's processor time.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

_OPTION = getattr(socket, "TCP_CONGESTION", None)  # of Linux
_UNPACED = b"reno"  # built into every kernel, and nobody needs a permission for it
_NAME_MAX_BYTES = 16


def is_paced(listener: Any) -> bool:
    """Whether the connections of a listener begin with BBR, of whatever version."""
    if _OPTION is None:
        return False
    try:
        return bytes(listener.getsockopt(socket.IPPROTO_TCP, _OPTION, _NAME_MAX_BYTES)).startswith(b"bbr")
    except OSError:  # no TCP
        return False


def send_freely_within_machine(sock: Any, address: Any) -> None:
    """Nothing changes for a client elsewhere: its `address` is not the one that it has connected to."""
    if _OPTION is not None and isinstance(address, tuple):
        with contextlib.suppress(OSError):  # what is slower is no failure
            if sock.getsockname()[0] == address[0]:
                sock.setsockopt(socket.IPPROTO_TCP, _OPTION, _UNPACED)
