"""nginx as people put it before the server, as one process that a test starts: what it asked of the server, and how often."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.components import require_nginx
from tests.servers import free_port

START_TIMEOUT_S = 10.0

# As much as possible reaches the server as the client sent it, and connections to the server are kept and shared.
_CONFIG = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    log_format asked '$request_uri $upstream_addr $upstream_http_x_amz_request_id';
    access_log {home}/access.log asked;
    upstream server {{ server 127.0.0.1:{upstream}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
        large_client_header_buffers 8 32k; client_max_body_size 0; client_body_timeout 2s; lingering_close off;
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_request_buffering {buffering};
            proxy_next_upstream off; proxy_ignore_client_abort on;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    port: int
    home: Path

    def asked(self) -> list[tuple[str, str]]:
        """(target, request id of the server's answer) of each request that was passed on; "-" where it gave none of ours."""
        lines = (line.rsplit(" ", 2) for line in (self.home / "access.log").read_text().splitlines())
        return [(target, request_id) for target, upstream, request_id in lines if upstream != "-"]


@contextlib.contextmanager
def running_nginx(home: Path, upstream: int, *, buffers: bool) -> Iterator[Nginx]:
    """`buffers`: it reads a request's whole body before it asks the server, and makes a length of chunks."""
    program, port = require_nginx(), free_port()
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, upstream=upstream, port=port, buffering="on" if buffers else "off"))
    process = subprocess.Popen([program, "-p", str(home), "-c", str(config)], stdin=subprocess.DEVNULL)
    try:
        _wait_until_listening(process, port)
        yield Nginx(port, home)
    finally:
        process.kill()
        process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)  # the other side of a process boundary: there is no clock to pass
    raise AssertionError("nginx did not start")
