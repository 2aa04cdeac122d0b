"""Who is sent to without pauses: clients on this machine, and nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.congestion import is_paced, send_freely_within_machine

AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def control(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    if not AVAILABLE.exists() or "bbr" not in AVAILABLE.read_text().split():
        pytest.skip("component missing: BBR congestion control. Get it by: run where the kernel has tcp_bbr loaded")
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        sock.bind((request.param, 0))
        sock.listen()
        yield sock


def test_a_client_on_this_machine_is_not_paced(listener: socket.socket) -> None:
    assert is_paced(listener)
    with socket.create_connection(listener.getsockname()[:2]):
        accepted, address = listener.accept()
        with accepted:
            assert control(accepted) == "bbr"
            send_freely_within_machine(accepted, address)
            assert control(accepted) == "reno"


def test_a_client_elsewhere_keeps_what_the_system_chose(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            send_freely_within_machine(accepted, ("192.0.2.7", 40_000))
            assert control(accepted) == "bbr"


def test_what_is_no_tcp_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not is_paced(one)
        send_freely_within_machine(one, "")


def test_other_congestion_controls_are_not_paced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        assert not is_paced(sock)
