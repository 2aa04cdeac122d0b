"""The servers that are compared: started on a fresh directory each, stopped by process id; or named by URL.

A peer runs with its defaults, and with its data and metadata synced where it has a choice. Its program is what the
variable says (MINIO_BIN, GARAGE_BIN, VERSITYGW_BIN), else the first of its name on the PATH.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.version import __version__
from loadtests.interrupts import held
from loadtests.measure import Target
from loadtests.prepare import Signer
from tests.process_tree import tree
from tests.servers import RunningServer, free_port

OURS = "bleepstore"
REGION = "us-east-1"
ACCESS_KEY = "bench-access-key"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class PeerFailed(RuntimeError):
    """A server did not start; the message says why, as far as it told."""


@dataclass(frozen=True)
class Server:
    """One that runs. `is_foreign` is one that we have not started: its data stay when we go."""

    name: str
    description: str
    target: Target
    signer: Signer
    is_foreign: bool = False

    @property
    def processes(self) -> int | None:
        return None if self.target.pid is None else len(tree(self.target.pid))


def find(name: str) -> str | None:
    """The path of a peer's program, or None. Raises: PeerFailed, where the variable names no program."""
    variable = f"{name.upper()}_BIN"
    named = os.environ.get(variable)
    if not named:
        return shutil.which(name)
    path = shutil.which(named)
    if path is None:
        raise PeerFailed(f"{variable}={named} is no program")
    return os.path.abspath(path)


@contextmanager
def bleepstore(directory: Path, flags: Sequence[str] = (), workers: str = "auto") -> Iterator[Server]:
    """Ours, with its defaults."""
    secret_key = secrets.token_hex(16)
    # The flag stands behind the one that names a number of workers, and the last one counts.
    arguments = ("--workers", workers, *flags)
    server = RunningServer(directory / "data", args=arguments, access_key=ACCESS_KEY, secret_key=secret_key)
    try:
        with held():
            server.start(wait=False)
        server.wait_until_ready()
        description = " ".join([f"BleepStore {__version__}", *flags])
        signer = Signer(server.endpoint, ACCESS_KEY, secret_key, REGION)
        yield Server(OURS, description, Target(server.host, server.port, server.pid), signer)
    finally:
        server.kill9()


@contextmanager
def minio(directory: Path, program: str) -> Iterator[Server]:
    """One drive, no console."""
    port, secret_key = free_port(), secrets.token_hex(16)
    environ = {
        "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": secret_key, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off",
    }  # fmt: skip
    command = [program, "server", "--address", f"127.0.0.1:{port}", str(directory / "data")]
    with _process(command, directory, environ, port) as pid:
        yield _local("minio", f"MinIO {_go_version(program)}", port, pid, ACCESS_KEY, secret_key)


@contextmanager
def versitygw(directory: Path, program: str) -> Iterator[Server]:
    """Its POSIX back end. It has no way to sync what it wrote."""
    port, secret_key = free_port(), secrets.token_hex(16)
    data = directory / "data"
    data.mkdir()
    environ = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": secret_key}
    command = [program, "--port", f"127.0.0.1:{port}", "--region", REGION, "posix", str(data)]
    with _process(command, directory, environ, port) as pid:
        description = f"versitygw {_go_version(program)}, never syncs"
        yield _local("versitygw", description, port, pid, ACCESS_KEY, secret_key)


@contextmanager
def garage(directory: Path, program: str) -> Iterator[Server]:
    """One node that holds one copy, LMDB for its metadata, everything synced."""
    api, rpc = free_port(), free_port()
    config = directory / "garage.toml"
    config.write_text(
        f"""metadata_dir = "{directory}/meta"
data_dir = "{directory}/data"
db_engine = "lmdb"
metadata_fsync = true
data_fsync = true
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secrets.token_hex(32)}"

[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{api}"
"""
    )

    def garage_says(*arguments: str) -> str:
        return _said(program, "-c", str(config), *arguments)

    with _process([program, "-c", str(config), "server"], directory, {"RUST_LOG": "garage=warn"}, api) as pid:
        node = garage_says("node", "id", "-q").partition("@")[0]
        garage_says("layout", "assign", "-z", "dc1", "-c", "50G", node)
        garage_says("layout", "apply", "--version", "1")
        made = garage_says("key", "create", "bench")
        access_key, secret_key = _field(made, "Key ID"), _field(made, "Secret key")
        garage_says("key", "allow", "--create-bucket", "bench")
        description = f"{_said(program, '--version')}, lmdb, metadata_fsync, data_fsync"
        yield _local("garage", description, api, pid, access_key, secret_key)


PEERS: Mapping[str, Callable[[Path, str], contextlib.AbstractContextManager[Server]]] = {
    "minio": minio,
    "garage": garage,
    "versitygw": versitygw,
}


def foreign(text: str, region: str = REGION) -> Server:
    """Of "name=http://host:port,ACCESS,SECRET[,PID]". The pid is its main process where it is on this machine: without one
    its processor time and memory are not known. Raises: ValueError.
    """
    name, _, rest = text.partition("=")
    url, *others = rest.split(",")
    parts = urlsplit(url)
    if not name or name == OURS or parts.scheme != "http" or not parts.hostname or len(others) not in (2, 3):
        raise ValueError(f"a peer is name=http://host:port,ACCESS,SECRET[,PID], and no {OURS}: not {text!r}")
    pid = int(others[2]) if len(others) == 3 else None
    signer = Signer(f"http://{parts.netloc}", others[0], others[1], region)
    return Server(name, f"{name} at {url}", Target(parts.hostname, parts.port or 80, pid), signer, is_foreign=True)


def _local(name: str, description: str, port: int, pid: int, access_key: str, secret_key: str) -> Server:
    signer = Signer(f"http://127.0.0.1:{port}", access_key, secret_key, REGION)
    return Server(name, description, Target("127.0.0.1", port, pid), signer)


@contextmanager
def _process(command: Sequence[str], directory: Path, environ: Mapping[str, str], port: int) -> Iterator[int]:
    """A process group of its own, which a Ctrl-C at the terminal does not reach. Gives its pid once it listens."""
    log_path = directory / "log"
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    process: subprocess.Popen[bytes] | None = None
    try:
        with open(log_path, "ab") as log, held():
            process = subprocess.Popen(
                command, cwd=directory, env=kept | {"HOME": str(directory)} | dict(environ), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _wait_until_it_listens(process, port, log_path)
        yield process.pid
    finally:
        if process is not None:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise PeerFailed(f"{process.args!r} did not start:\n{log_path.read_text(errors='replace')[-4000:]}")


def _go_version(program: str) -> str:
    """Of the module that it was built from, as Go writes it into every program; it may not know another."""
    with open(program, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = re.search(rb"\nmod\t\S+\t(\S+)", content)
        return found[1].decode() if found else _said(program, "--version")


def _said(*command: str) -> str:
    """The first line where a version was asked for, else all."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S)
    if done.returncode:
        raise PeerFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip().partition("\n")[0] if command[-1] == "--version" else done.stdout


def _field(text: str, name: str) -> str:
    found = re.search(rf"{name}:\s*(\S+)", text)
    if found is None:
        raise PeerFailed(f"no {name!r} in: {text}")
    return found[1]
