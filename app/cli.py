"""The command line. A command imports what it needs when it runs: `serve` loads nothing of the others.

Exit codes: 0 done, 1 problems were found or the work failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from app import config_minio
from app.config import ConfigError, all_settings, load_with_places
from app.settings import Setting

if TYPE_CHECKING:
    from app.config import Config

OK, PROBLEMS, USAGE = 0, 1, 2
INTERRUPTED = 130

# Settings that have a short flag beside their full name.
SHORT_FLAGS = {
    "server.host": "--host",
    "server.port": "--port",
    "server.workers": "--workers",
    "server.log_level": "--log-level",
    "server.log_format": "--log-format",
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """A parsed command line: its options, the configuration, and the place each given setting came from."""

    options: argparse.Namespace
    config: Config
    places: dict[str, str]


Command = Callable[[Invocation], int]
_Parser = argparse.ArgumentParser
_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["minio"]:
        arguments = arguments[1:]  # containers are told `minio server /data`, whatever their entrypoint is
    options = _parser().parse_args(arguments)
    if options.command is None:
        print(f"bleepstore {_version()}")
        return OK
    try:
        defaults = options.defaults if "defaults" in options else {}
        config, places = load_with_places(_overrides(options), path=options.config, defaults=defaults)
        command: Command = options.command
        return command(Invocation(options, config, places))
    except ConfigError as error:
        print(f"bleepstore: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more when it closes it.
        sys.stderr.close()
        return PROBLEMS


# -- The commands ------------------------------------------------------------------------------------------------


def serve(invocation: Invocation) -> int:
    from app.server.run import serve as run

    return run(invocation.config)


def server(invocation: Invocation) -> int:
    return serve(replace(invocation, config=config_minio.with_folders(invocation.config)))


def fsck(invocation: Invocation) -> int:
    from app import cli_store

    return cli_store.fsck(invocation.config, verify_bytes=not invocation.options.quick)


def sweep(invocation: Invocation) -> int:
    from app import cli_store

    return cli_store.sweep(invocation.config)


def move_bucket(invocation: Invocation) -> int:
    from app import cli_store

    options = invocation.options
    return cli_store.move_bucket(invocation.config, options.bucket, options.backend, is_dry=options.dry_run)


def healthcheck(invocation: Invocation) -> int:
    from app import cli_health

    return cli_health.healthcheck(invocation.config, is_live=invocation.options.live)


def presign(invocation: Invocation) -> int:
    import time

    from app import DEFAULT_REGION
    from app.auth.canonical import encode_path
    from app.auth.credentials import Credential
    from app.auth.signing import presign as sign
    from app.domain.types import Principal

    options, config = invocation.options, invocation.config
    access_key, secret_key = _credentials(config, options.user)
    endpoint = options.endpoint.rstrip("/") or _endpoint(config)
    url = f"{endpoint}/{encode_path(options.bucket)}/{encode_path(options.key)}"
    try:
        signed = sign(
            options.method.upper(),
            url,
            Credential(access_key, secret_key, Principal(id="")),
            expires_s=options.expires,
            region=config.server.region or DEFAULT_REGION,
            now_s=time.time(),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    print(signed)
    return OK


def config_check(invocation: Invocation) -> int:
    """The configuration has been loaded already; what is left is whether its engines exist."""
    from app import build_store

    build_store(invocation.config)
    if not invocation.config.auth.enabled:
        print("warning: auth.enabled is false: everybody who reaches the server may do everything", file=sys.stderr)
    print("the configuration is valid")
    return OK


def config_show(invocation: Invocation) -> int:
    from app import cli_config

    print(cli_config.rendered(invocation.config, invocation.places), end="")
    return OK


# -- The parser --------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    settings = _settings_parser()
    # An abbreviated flag would change its meaning when a new setting comes, hence allow_abbrev=False everywhere.
    parser = argparse.ArgumentParser("bleepstore", description="An S3-compatible object store.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, to: _Commands = commands, prefix: str = "") -> _Parser:
        # Every setting has a flag: the usage that argparse makes of them all would hide what was wrong.
        usage = f"bleepstore {prefix}{name} [OPTION …]"
        made = to.add_parser(name, help=text, description=text, parents=[settings], usage=usage, allow_abbrev=False)
        made.set_defaults(command=command)
        return made

    add("serve", serve, "Run the server.")
    _add_server(add("server", server, "Run the server, told as MinIO is: server DIR --address :9000."))
    check = add(
        "fsck", fsck, "Prove that every object has its bytes and no bytes are without an object. Changes nothing."
    )
    check.add_argument("--quick", action="store_true", help="look at existence and length only, not at the bytes")
    add("sweep", sweep, "Delete now what no object needs any more; a running server does so by itself.")
    move = add("move-bucket", move_bucket, "Move a bucket's bytes to another back end, while it is in use.")
    move.usage = "bleepstore move-bucket [OPTION …] BUCKET BACKEND"
    move.add_argument("bucket", metavar="BUCKET")
    move.add_argument(
        "backend", metavar="BACKEND", help="a name of storage.backends, or main for that of storage.backend"
    )
    move.add_argument("--dry-run", action="store_true", dest="dry_run", help="only say what would be moved")
    health = add("healthcheck", healthcheck, "Say by the exit code whether the server of this configuration is ready.")
    health.add_argument("--live", action="store_true", help="ask only whether it answers")
    health.set_defaults(is_anonymous=True)
    link = add("presign", presign, "Print a URL that allows one request to whoever has it.")
    link.usage = "bleepstore presign [OPTION …] METHOD BUCKET KEY"
    link.add_argument("method", metavar="METHOD", help="GET, PUT, HEAD, DELETE")
    link.add_argument("bucket", metavar="BUCKET")
    link.add_argument("key", metavar="KEY")
    link.add_argument("--expires", type=int, default=3_600, metavar="SECONDS", help="default 3600, at most 604800")
    link.add_argument(
        "--endpoint", default="", metavar="URL", help="where the server is reached, unless host and port say so"
    )
    link.add_argument("--user", default="", metavar="NAME", help="whose key signs; the root user's by default")
    group = commands.add_parser("config", help="Look at the configuration.", allow_abbrev=False)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    add("check", config_check, "Say whether the configuration is valid.", inner, "config ")
    add("show", config_show, "Print every setting, where it came from, and no secret.", inner, "config ")
    commands.add_parser("version", help="Print the version.", allow_abbrev=False).set_defaults(command=None)
    return parser


def _add_server(parser: _Parser) -> None:
    parser.usage = "bleepstore server DIR [--address [HOST]:PORT] [OPTION …]"
    parser.add_argument("directories", nargs="+", metavar="DIR", help="where data lie, as --data-dir")
    parser.add_argument("--address", metavar="[HOST]:PORT", help="where to listen; default :9000, on all addresses")
    parser.add_argument("--console-address", metavar="[HOST]:PORT", help="where people look, as --server.console-bind")
    parser.add_argument(
        "--certs-dir", "-S", metavar="DIR", help="with public.crt and private.key the server speaks TLS"
    )
    for flag in ("--quiet", "--anonymous"):
        parser.add_argument(flag, action="store_true", help="accepted; it changes nothing")
    parser.add_argument("--json", dest="server.log_format", action="store_const", const="json", help="log as JSON")
    parser.set_defaults(defaults=config_minio.DEFAULTS)


def _settings_parser() -> argparse.ArgumentParser:
    """A flag for every setting, for every command that reads the configuration."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="configuration file (YAML)")
    parser.add_argument(
        "--data-dir", dest="data_dir", metavar="DIR", help="where data lie: DIR/metadata.db, DIR/objects"
    )
    group = parser.add_argument_group(
        "settings", "also in the file, or as variables: server.port is BLEEPSTORE_SERVER_PORT"
    )
    for setting in all_settings().values():
        names = [SHORT_FLAGS[setting.path], setting.flag] if setting.path in SHORT_FLAGS else [setting.flag]
        group.add_argument(*names, dest=setting.path, metavar="VALUE", help=_help(setting))
    return parser


def _help(setting: Setting) -> str:
    default = "" if setting.is_secret or setting.default in ("", ()) else f" (default: {setting.default})"
    return (setting.help + default).replace("%", "%%")


def _overrides(options: argparse.Namespace) -> dict[str, str]:
    names = [*all_settings(), "data_dir"]
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    if "directories" in options:
        given = (
            config_minio.overrides(options.directories, options.address, options.console_address, options.certs_dir)
            | given
        )
    # A command that uses no credentials must not complain of those that the server got by a flag of its own.
    return given | ({"auth.enabled": "false"} if getattr(options, "is_anonymous", False) else {})


# -- Parts of commands -------------------------------------------------------------------------------------------


def _credentials(config: Config, user_name: str) -> tuple[str, str]:
    if not user_name or user_name == "root":
        return config.auth.access_key, config.auth.secret_key
    for user in config.auth.users:
        if user.name == user_name:
            return user.access_key, user.secret_key
    names = ", ".join(["root", *(user.name for user in config.auth.users)])
    raise ConfigError(f"--user: there is no user {user_name}; there are {names}")


def _endpoint(config: Config) -> str:
    server = config.server
    scheme = "https" if server.tls.cert_file else "http"
    # "All addresses" is none that a client could name.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, server.host)  # noqa: S104  # compared, not bound
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{host}:{server.port}"


def _version() -> str:
    from app.version import __version__

    return __version__
