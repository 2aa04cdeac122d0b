"""What happens once at every start, before there is a worker: alone with the data directory, make it fit to serve.

The master runs this as a program of its own (`python -m app.server.recovery`), for it must not open a database itself:
what it opened would be inherited by every worker. The configuration comes pickled through standard input.
"""

from __future__ import annotations

import os
import pickle  # from our own parent, through a pipe
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from app import build_store, ensure_default_buckets, registry
from app.domain.errors import S3Error
from app.server.locks import DataLock, DataLocked
from app.settings import ConfigError

if TYPE_CHECKING:
    from app.config import Config

EXIT_REFUSED = 1

_PACKAGE_ROOT = Path(__file__).parents[2]


def run_recovery(config: Config) -> None:
    """Under the exclusive lock: migrate, let each engine recover by opening it, remove what dead writers left."""
    metadata = registry.metadata_store(config.metadata.engine, config)
    storage = registry.object_storage(config.storage.backend, config)
    metadata.migrate()
    metadata.open()
    try:
        if storage.cleans_at_start:
            storage.open()
            try:
                storage.clean_up()
            finally:
                storage.close()
        if config.server.default_buckets and metadata.shared:
            ensure_default_buckets(config, replace(build_store(config), metadata=metadata))
    finally:
        metadata.close()


def recover_in_child(config: Config, server_id: str) -> bool:
    """Run `main` in a process of its own and wait for it; whether the directory is ours now. It says itself why not."""
    reading, writing = os.pipe()
    # posix_spawn is fork and exec in one: nothing of this process runs in the child, and no patched module is touched.
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "app.server.recovery", server_id, str(os.getpid())],
        _child_environ(config),
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
    )
    os.close(reading)
    with open(writing, "wb") as pipe:
        pickle.dump(config, pipe)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def main(server_id: str, master_pid: int) -> int:
    """Recover the directory of the configuration on standard input, and claim it for a server. Gives the exit status."""
    config = cast("Config", pickle.load(sys.stdin.buffer))  # noqa: S301  # from our own parent
    if config.data_dir is None:
        return 0
    try:
        with DataLock(config.data_dir).exclusive() as lock:
            run_recovery(config)
            lock.claim(server_id, master_pid)
    except (DataLocked, ConfigError, S3Error, OSError) as refusal:
        sys.stderr.write(f"bleepstore: cannot start: {refusal}\n")
        return EXIT_REFUSED
    return 0


def _child_environ(config: Config) -> dict[str, str]:
    """Ours, with this package importable however the server was started."""
    environ = dict(os.environ)
    if config.data_dir is not None:
        # A migration sorts more than it may keep in memory. There is room for it here, and maybe nowhere else to write.
        environ.setdefault("SQLITE_TMPDIR", str(config.data_dir))
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), environ.get("PYTHONPATH"))))
    return environ


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
