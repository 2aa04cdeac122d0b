"""MinIO's client: what its users do on a day, on a server started as they start theirs."""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.drivers import run
from tests.components import require, require_mc
from tests.servers import RunningServer


@dataclass
class Mc:
    command: list[str]
    home: Path
    server: RunningServer

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        # Where it goes itself is all that counts: no update checks, no terminal.
        environ = {**os.environ, "HOME": str(self.home), "MC_UPDATE": "off", "TERM": "dumb"}
        return run([*self.command, *arguments], environ=environ, cwd=self.home, expect=expect)

    def bucket(self) -> str:
        name = f"mc-{secrets.token_hex(6)}"
        self("mb", f"b/{name}")
        return name

    def anonymously(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{self.server.endpoint}/{path}", timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def mc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mc]:
    program = require_mc()
    home = tmp_path_factory.mktemp("mc")
    server = RunningServer(home / "data")
    server.start()
    client = Mc([program, "--config-dir", str(home / "config"), "--no-color"], home, server)
    try:
        client("alias", "set", "b", server.endpoint, server.access_key, server.secret_key)
        yield client
    finally:
        server.kill9()


def tree(folder: Path) -> dict[str, str]:
    """Path -> digest of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def files(mc: Mc, tmp_path: Path) -> Path:
    """A small file, one in parts, and one in a folder with an odd name."""
    folder = tmp_path / "tree"
    (folder / "süb dir").mkdir(parents=True)
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "big.bin").write_bytes(secrets.token_bytes(1 << 20) * 80)
    (folder / "süb dir" / "b+c.txt").write_text("three")
    return folder


def test_buckets(mc: Mc) -> None:
    name = mc.bucket()
    mc("mb", "--ignore-existing", f"b/{name}")
    assert f"{name}/" in mc("ls", "b")
    mc("mb", "--with-versioning", f"b/{name}-v")
    assert "versioning is enabled" in mc("version", "info", f"b/{name}-v")
    mc("rb", f"b/{name}-v")
    (mc.home / "x").write_text("x")
    mc("cp", "x", f"b/{name}/x")
    assert "is not empty" in mc("rb", "--json", f"b/{name}", expect=1)
    mc("rb", "--force", f"b/{name}")
    assert name not in mc("ls", "b")


def test_copies_up_down_and_within(mc: Mc, files: Path, tmp_path: Path) -> None:
    name = mc.bucket()
    mc("cp", "--recursive", f"{files}/", f"b/{name}/t/")
    mc("cp", "--recursive", f"b/{name}/t/", f"b/{name}/u/")
    mc("cp", "--recursive", f"b/{name}/u/", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(files)
    mc("mv", f"b/{name}/u/a.txt", f"b/{name}/moved.txt")
    listed = mc("ls", "--recursive", f"b/{name}")
    assert "moved.txt" in listed
    assert "u/a.txt" not in listed
    assert mc("cat", f"b/{name}/moved.txt") == "one\ntwo\n"
    assert mc("head", "-n", "1", f"b/{name}/moved.txt").strip() == "one"
    mc("put", f"{files}/a.txt", f"b/{name}/put.txt")
    mc("get", f"b/{name}/put.txt", str(tmp_path / "got.txt"))
    assert (tmp_path / "got.txt").read_text() == "one\ntwo\n"
    mc("rm", f"b/{name}/put.txt")
    mc("rm", "--recursive", "--force", f"b/{name}/")
    assert mc("ls", "--recursive", f"b/{name}") == ""


def test_mirrors(mc: Mc, files: Path, tmp_path: Path) -> None:
    name, back = mc.bucket(), tmp_path / "back"
    mc("mirror", str(files), f"b/{name}/m")
    mc("mirror", f"b/{name}/m", str(back))
    assert tree(back) == tree(files)
    (files / "a.txt").write_text("changed")
    (files / "big.bin").unlink()
    mc("mirror", "--overwrite", "--remove", str(files), f"b/{name}/m")
    mc("mirror", "--overwrite", "--remove", f"b/{name}/m", str(back))
    assert tree(back) == tree(files)


def test_what_is_there(mc: Mc, files: Path) -> None:
    name = mc.bucket()
    mc("cp", "--recursive", "--attr", "Cache-Control=no-cache;who=me", f"{files}/", f"b/{name}/")
    told = mc("stat", f"b/{name}/a.txt")
    assert "Size      : 8 B" in told
    assert "no-cache" in told
    assert "X-Amz-Meta-Who" in told
    assert "Un-versioned" in mc("stat", f"b/{name}")
    found = mc("find", f"b/{name}", "--name", "*.txt").splitlines()
    assert sorted(found) == [f"b/{name}/a.txt", f"b/{name}/süb dir/b+c.txt"]
    assert mc("find", f"b/{name}", "--larger", "1MiB").split() == [f"b/{name}/big.bin"]
    assert "3 objects" in mc("du", f"b/{name}")
    assert "süb dir" in mc("tree", f"b/{name}")
    mc("tag", "set", f"b/{name}/a.txt", "k1=v1")
    assert "v1" in mc("tag", "list", f"b/{name}/a.txt")


def test_versions(mc: Mc, files: Path) -> None:
    name = mc.bucket()
    mc("version", "enable", f"b/{name}")
    for text in ("first", "second"):
        (files / "a.txt").write_text(text)
        mc("cp", f"{files}/a.txt", f"b/{name}/a.txt")
    mc("rm", f"b/{name}/a.txt")
    assert mc("ls", f"b/{name}") == ""
    assert len(mc("ls", "--versions", f"b/{name}").splitlines()) == 3
    mc("undo", "--force", f"b/{name}/a.txt")
    assert mc("cat", f"b/{name}/a.txt") == "second"
    mc("rm", "--recursive", "--versions", "--force", f"b/{name}/")
    mc("rb", f"b/{name}")


def test_shares(mc: Mc, files: Path) -> None:
    name = mc.bucket()
    mc("cp", f"{files}/a.txt", f"b/{name}/a.txt")
    told = mc("share", "download", "--expire", "1h", f"b/{name}/a.txt")
    url = next(line for line in told.splitlines() if line.startswith("Share: ")).removeprefix("Share: ")
    assert mc.anonymously(url.removeprefix(f"{mc.server.endpoint}/")) == (200, b"one\ntwo\n")
    told = mc("share", "upload", f"b/{name}/up.txt")
    line = next(line for line in told.splitlines() if line.startswith("Share: curl ")).removeprefix("Share: curl ")
    arguments = shlex.split(line.replace("<FILE>", f"{files}/a.txt"))
    run([require("curl"), "--silent", "--fail", *arguments], environ=os.environ, cwd=files, expect=0)
    assert mc("cat", f"b/{name}/up.txt") == "one\ntwo\n"
    refused = [each.replace(f"{files}/a.txt", f"{files}/big.bin").replace("key=up", "key=other") for each in arguments]
    run([require("curl"), "--silent", "--fail", *refused], environ=os.environ, cwd=files, expect=22)


@pytest.mark.parametrize(
    ("access", "reads", "writes"),
    [("download", 200, 403), ("upload", 403, 200), ("public", 200, 200), ("private", 403, 403)],
)
def test_access_for_everybody(mc: Mc, files: Path, access: str, reads: int, writes: int) -> None:
    name = mc.bucket()
    mc("cp", f"{files}/a.txt", f"b/{name}/a.txt")
    mc("anonymous", "set", access, f"b/{name}")
    assert f"`{access}`" in mc("anonymous", "get", f"b/{name}")
    assert mc.anonymously(f"{name}/a.txt")[0] == reads
    request = urllib.request.Request(f"{mc.server.endpoint}/{name}/new", b"new", method="PUT")
    try:
        status = urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == writes
    if access == "download":
        assert f"{name}/* => readonly" in mc("anonymous", "list", f"b/{name}")
        assert f"{mc.server.endpoint}/{name}/a.txt" in mc("anonymous", "links", f"b/{name}")
        assert '"s3:GetObject"' in mc("anonymous", "get-json", f"b/{name}")


def test_access_below_a_prefix(mc: Mc, files: Path) -> None:
    name = mc.bucket()
    mc("cp", f"{files}/a.txt", f"b/{name}/open/a.txt")
    mc("cp", f"{files}/a.txt", f"b/{name}/a.txt")
    mc("anonymous", "set", "download", f"b/{name}/open/")
    assert mc.anonymously(f"{name}/open/a.txt")[0] == 200
    assert mc.anonymously(f"{name}/a.txt")[0] == 403
    assert "`download`" in mc("anonymous", "get", f"b/{name}/open/")


def test_the_server_is_seen_to_be_well(mc: Mc) -> None:
    assert "errors=0" in mc("ping", "b", "--count", "1")
    assert "is ready" in mc("ready", "b")


@pytest.mark.parametrize(
    ("code", "command"),
    [(0, "admin info b"), (1, "admin user list b"), (1, "admin policy list b"), (1, "quota info b/x")],
)
def test_what_is_minios_alone_is_refused_in_words(mc: Mc, code: int, command: str) -> None:
    assert "does not have MinIO's admin API" in mc(*command.split(), "--json", expect=code)


def test_a_bucket_may_be_called_minio(mc: Mc, files: Path) -> None:
    mc("mb", "b/minio")
    mc("cp", f"{files}/a.txt", "b/minio/admin/v3/info")
    assert mc("cat", "b/minio/admin/v3/info") == "one\ntwo\n"
    mc("rb", "--force", "b/minio")
