"""Reads what strace saw and says where bytes were visible, or acknowledged, before they were durable (I2, I9).

    PUT       fsync(blob) < rename < fsync(its directory) < write and sync of the WAL < reply
    commit    write and sync of the WAL < reply            (inline PUT, Complete, DELETE)

"a < b" means that b began after a had ended. Requests come one after the other, so everything between two replies
belongs to the second one.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = "openat,write,writev,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,sendto,sendmsg"
SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "writev", "pwrite64", "pwritev")
MOVES = ("rename", "renameat", "renameat2", "link", "linkat")
SENDS = ("sendto", "sendmsg", "write", "writev")

ATTACH_TRIES = 1_000

_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_BEGUN = re.compile(r"(\w+)\((.*?)(?: )?<unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)(.*)")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that succeeded; `begin` and `end` are line numbers of the trace."""

    name: str
    arguments: str
    begin: int
    end: int

    @property
    def path(self) -> str:
        """Of the descriptor that is the first argument; empty where that is none."""
        found = _DESCRIPTOR.match(self.arguments)
        return found.group(1) if found else ""

    @property
    def paths(self) -> list[str]:
        """Those in quotes."""
        return _QUOTED.findall(self.arguments)

    @property
    def is_reply(self) -> bool:
        return self.name in SENDS and '"HTTP/1.1 2' in self.arguments


def command(strace: str, output: Path) -> list[str]:
    return [strace, "-f", "-y", "-qq", "-s", "16", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(output)]


def attach(strace: str, output: Path, pid: int) -> subprocess.Popen[bytes]:
    """Watch a running process with all its threads; whoever has seen enough terminates what this gives."""
    watching = subprocess.Popen([*command(strace, output), "-p", str(pid)])
    for _ in range(ATTACH_TRIES):
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
        if all(f"TracerPid:\t{watching.pid}\n" in status for status in threads):
            return watching
        time.sleep(0.01)  # the other side of a process boundary: there is no clock to pass
    watching.terminate()
    raise AssertionError(f"strace did not attach to {pid}")


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """Calls that succeeded, in the order in which they ended."""
    begun: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(lines):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        pid, rest = found.groups()
        if whole := _CALL.fullmatch(rest):
            name, arguments, result, _ = whole.groups()
            begin = number
        elif resumed := _RESUMED.fullmatch(rest):
            name, tail, result, _ = resumed.groups()
            started, head, begin = begun.pop(pid, (name, "", number))
            assert started == name, f"line {number}: {started} was resumed as {name}"
            arguments = head + tail
        else:
            if unfinished := _BEGUN.fullmatch(rest):
                begun[pid] = (unfinished.group(1), unfinished.group(2), number)
            continue
        if result != "?" and int(result) >= 0:
            yield Call(name, arguments, begin, number)


def violations(calls: Sequence[Call], kinds: Sequence[str], blobs: str, wal: str) -> list[str]:
    """What is wrong, one sentence each. `kinds` are the requests in order: "put" (of a blob) or "commit"."""
    ordered = sorted(calls, key=lambda call: call.begin)
    replies = [call for call in ordered if call.is_reply]
    if len(replies) != len(kinds):
        return [f"{len(kinds)} requests, but {len(replies)} replies"]
    wrong: list[str] = []
    after = -1
    for number, (kind, reply) in enumerate(zip(kinds, replies, strict=True)):
        window = [call for call in ordered if after < call.begin and call.end < reply.begin]
        sentence = _wrong_with_put(window, blobs, wal) if kind == "put" else _wrong_with_commit(window, wal, after)
        if sentence:
            wrong.append(f"request {number} ({kind}): {sentence}")
        after = reply.end
    return wrong


def _wrong_with_put(window: Sequence[Call], blobs: str, wal: str) -> str | None:
    moves = [call for call in window if call.name in MOVES and call.paths[-1].startswith(blobs + "/")]
    if len(moves) != 1:
        return f"{len(moves)} files were moved in, not one"
    move = moves[0]
    temporary, place = move.paths[0], move.paths[-1]
    written = [call.end for call in window if call.name in WRITES and call.path == temporary]
    synced = [call for call in window if call.name in SYNCS and call.path == temporary and call.end < move.begin]
    if not any(call.begin > max(written, default=-1) for call in synced):
        return "the blob was not synced between its last write and its move"
    directory = os.path.dirname(place)
    settled = [call for call in window if call.name in SYNCS and call.path == directory and call.begin > move.end]
    if not settled:
        return "its directory was not synced after the move"
    if any(call.path == wal and call.name in WRITES and move.begin < call.begin < settled[0].end for call in window):
        return "the commit was written before the directory was synced"
    return _wrong_with_commit(window, wal, settled[0].end)


def _wrong_with_commit(window: Sequence[Call], wal: str, after: int) -> str | None:
    """Something was written to the WAL after line `after`, and then the WAL was synced."""
    written = [call for call in window if call.name in WRITES and call.path == wal and call.begin > after]
    if not written:
        return "nothing was committed between the bytes and the reply"
    if not any(call.name in SYNCS and call.path == wal and call.begin > written[0].end for call in window):
        return "the WAL was not synced between the commit and the reply"
    return None
