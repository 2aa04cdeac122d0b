"""What must hold when a storm is over: listings, fsck, and after the sweep no file that nobody needs (R-02, R-27)."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.reliability.caller import Caller
from tests.reliability.history import History, State
from tests.reliability.writers import BUCKET, read_target
from tests.s3.raw import NAMESPACE
from tests.servers import ROOT, RunningServer

COMMAND_TIMEOUT_S = 120.0
NO_GRACE = ("--storage.garbage_grace_s", "0", "--storage.orphan_grace_s", "1")
ORPHAN_AGE_S = 1.1


def complaints_of_listing(server: RunningServer, history: History) -> list[str]:
    """Where a listing differs from what was read key by key."""
    listed: dict[str, tuple[str, int]] = {}
    start_after = ""
    with Caller(server) as caller:
        while True:
            page = caller.call("GET", f"/{BUCKET}?list-type=2&start-after={start_after.replace('/', '%2F')}")
            for each in page.xml.iter(f"{NAMESPACE}Contents"):
                key, etag, size = (each.findtext(f"{NAMESPACE}{name}") or "" for name in ("Key", "ETag", "Size"))
                listed[key] = (etag.strip('"'), int(size))
                start_after = key
            if page.text("IsTruncated") != "true":
                break
    expected = {key: (state.etag, state.size_bytes) for key, state in history.states().items()}
    different = sorted(key for key in listed.keys() | expected.keys() if listed.get(key) != expected.get(key))
    return [f"listing: {key} is {listed.get(key)}, not {expected.get(key)}" for key in different]


def complaints_of_versions(server: RunningServer, versions: Mapping[str, State]) -> list[str]:
    """Which versions that were acknowledged are not what they were."""
    with Caller(server) as caller:
        return [
            f"version: {target} is not {state}"
            for target, state in versions.items()
            if read_target(caller, target) != state
        ]


def abort_uploads(server: RunningServer) -> int:
    """End the uploads whose Complete never came; gives how many."""
    count = 0
    with Caller(server) as caller:
        while True:
            page = caller.call("GET", f"/{BUCKET}?uploads")
            uploads = list(page.xml.iter(f"{NAMESPACE}Upload"))
            for each in uploads:
                key, upload_id = (each.findtext(f"{NAMESPACE}{name}") for name in ("Key", "UploadId"))
                reply = caller.call("DELETE", f"/{BUCKET}/{key}?uploadId={upload_id}")
                assert reply.status == 204, reply
            count += len(uploads)
            if page.text("IsTruncated") != "true":
                return count


def run(server: RunningServer, command: str, *flags: str) -> str:
    """Run a command of ours on the server's data; what it prints. Its exit code must be 0."""
    arguments = [server.command()[0], "-m", "app", command, "--data-dir", str(server.data_dir), *flags]
    done = subprocess.run(
        arguments, cwd=ROOT, env=server.environment(), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def sweep(server: RunningServer, *flags: str) -> str:
    """Delete at once what is garbage now; what the command prints."""
    time.sleep(ORPHAN_AGE_S)  # files carry the kernel's clock
    return run(server, "sweep", *NO_GRACE, *flags)


def complaints_of_disk(directory: Path, states: Iterable[State]) -> list[str]:
    """Where the files differ from what live objects need: each body was random, so its digest names its file."""
    found: dict[str, list[str]] = {}
    for path in (directory / "objects").rglob("*"):
        if path.is_file() and "blobs" in path.parts:
            found.setdefault(hashlib.md5(path.read_bytes()).hexdigest(), []).append(path.name)
    needed = {digest for state in states for digest in state.blobs}
    too_many = [f"disk: {name} is not needed" for digest in found.keys() - needed for name in found[digest]]
    too_many += [f"disk: {names} are alike" for names in found.values() if len(names) > 1]
    return too_many + [f"disk: nothing holds the bytes {digest}" for digest in needed - found.keys()]
