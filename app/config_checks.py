"""What a configuration must fulfil beyond each setting's own kind: users, credentials, addresses, TLS files."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from app import config_backends
from app.domain.names import canonical_id
from app.settings import ConfigError, Given, host_and_port, read_secret, unknown

if TYPE_CHECKING:
    from app.config import Config

USERS_MAX = 10_000
CREDENTIAL_CHARS_MAX = 128
TOKEN_CHARS_MAX = 4_000
ROOT_NAME = "root"

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USER_ID = re.compile(r"[0-9a-f]{64}")
_USER_KEYS = ("name", "id", "access_key", "secret_key", "secret_key_file")


@dataclass(frozen=True, slots=True)
class User:
    """`id` is the canonical user id: 64 hexadecimal digits."""

    name: str
    id: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        """Without the secret: this may end up in a log."""
        return f"User(name={self.name!r}, id={self.id!r}, access_key={self.access_key!r})"


@dataclass(frozen=True, slots=True)
class Users:
    """A YAML list of mappings, or the same as JSON text. No complaint shows a value: it might be a secret."""

    def parse(self, value: object) -> tuple[User, ...]:
        entries = _from_json(value) if isinstance(value, str) else value
        if not isinstance(entries, list | tuple):
            raise ValueError("expected a list of users")
        if len(entries) > USERS_MAX:
            raise ValueError(f"expected at most {USERS_MAX} users")
        return tuple(_user(f"users[{number}]", entry) for number, entry in enumerate(entries))


def hostname(text: str) -> str | None:
    """A complaint about what is neither a host name, an IP address nor empty."""
    if not text or _is_address(text) or (_HOSTNAME.fullmatch(text) and len(text) <= 253):
        return None
    return f"expected a host name or an IP address, not {text!r}"


def domains(text: str) -> str | None:
    """As `hostname`, for several separated by commas."""
    return next((complaint for name in text.split(",") if (complaint := hostname(name.strip(" .")))), None)


def signing_host(text: str) -> str | None:
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit() and not text.endswith("]"):
        text = host
    return hostname(text.removeprefix("[").removesuffix("]"))


def bind(text: str) -> str | None:
    """A complaint about what is neither empty nor an address to listen on, HOST:PORT or :PORT."""
    try:
        return hostname(host_and_port(text)[0]) if text else None
    except ValueError as error:
        return str(error)


def network(text: str) -> str | None:
    """A complaint about what is neither an IP address nor a network of them."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"expected an IP address or a network such as 10.0.0.0/8, not {text!r}"
    return None


def printable(text: str) -> str | None:
    """A complaint about what cannot stand in a credential scope or header."""
    if text.isascii() and " " not in text and len(text) <= CREDENTIAL_CHARS_MAX:
        return None
    return f"expected at most {CREDENTIAL_CHARS_MAX} ASCII characters without blanks"


def token(text: str) -> str | None:
    """A complaint about what cannot stand in a header behind "Bearer". Those that MinIO makes are some 200 characters long."""
    if text.isascii() and " " not in text and len(text) <= TOKEN_CHARS_MAX:
        return None
    return f"expected at most {TOKEN_CHARS_MAX} ASCII characters without blanks"


def check(config: Config, given: Mapping[str, Given], default_secret: str) -> None:
    """Raises: ConfigError."""
    for path, value in (("server.host", config.server.host), ("metadata.sqlite.path", config.metadata.sqlite.path)):
        if not value:
            raise ConfigError(f"{_place(given, path)}: must not be empty")
    if not config.storage.local.root_dir:
        raise ConfigError(f"{_place(given, 'storage.local.root_dir')}: must not be empty")
    config_backends.check(config, _place(given, "storage.backends"))
    _check_tls(config, given)
    _check_listeners(config, given)
    _check_users(config, given)
    _check_default_credentials(config, default_secret)


def is_loopback(host: str) -> bool:
    if _is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


# -- Users -------------------------------------------------------------------------------------------------------


def _from_json(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else []
    except ValueError:
        raise ValueError('expected JSON such as [{"name": "ann", "access_key": "…", "secret_key": "…"}]') from None


def _user(place: str, entry: object) -> User:
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: expected name, access_key and secret_key or secret_key_file")
    for key in entry:
        if key not in _USER_KEYS:
            raise ValueError(str(unknown(place, str(key), _USER_KEYS)))
    texts = {key: _user_text(f"{place}.{key}", entry.get(key, "")) for key in _USER_KEYS}
    if texts["secret_key"] and texts["secret_key_file"]:
        raise ValueError(f"{place}: secret_key and secret_key_file are both given; leave one of them out")
    secret = read_secret(texts["secret_key_file"]) if texts["secret_key_file"] else texts["secret_key"]
    for key, text in (("name", texts["name"]), ("access_key", texts["access_key"]), ("secret_key", secret)):
        if not text:
            raise ValueError(f"{place}: {key} is missing")
        if key != "name" and (complaint := printable(text)):
            raise ValueError(f"{place}.{key}: {complaint}")
    user_id = texts["id"] or canonical_id(texts["name"])
    if not _USER_ID.fullmatch(user_id):
        raise ValueError(f"{place}.id: expected 64 hexadecimal digits in lower case, or nothing")
    return User(texts["name"], user_id, texts["access_key"], secret)


def _user_text(place: str, value: object) -> str:
    """Text as it was written. A number is refused: YAML may have dropped its sign or leading zeros."""
    if not isinstance(value, str):
        raise ValueError(f"{place}: expected text; put it in quotes")
    if _CONTROL.search(value):
        raise ValueError(f"{place}: expected text without control characters")
    return value


def _check_users(config: Config, given: Mapping[str, Given]) -> None:
    auth = config.auth
    for path, value in (("auth.access_key", auth.access_key), ("auth.secret_key", auth.secret_key)):
        if not value:
            raise ConfigError(f"{_place(given, path)}: must not be empty")
    for user in (User(ROOT_NAME, "", auth.access_key, auth.secret_key), *auth.users):
        if "/" in user.access_key or "," in user.access_key:
            raise ConfigError(f'the access key of {user.name}: must not hold "/" or ","')
    root = User(ROOT_NAME, canonical_id(ROOT_NAME), auth.access_key, "")
    for field in (field.name for field in fields(User) if field.name != "secret_key"):
        seen: set[str] = set()
        for user in (root, *auth.users):
            value = getattr(user, field)
            if value in seen:
                raise ConfigError(f"{_place(given, 'auth.users')}: two users have the {field} {value} (root counts)")
            seen.add(value)


# -- Addresses ---------------------------------------------------------------------------------------------------


def _check_tls(config: Config, given: Mapping[str, Given]) -> None:
    tls = config.server.tls
    if bool(tls.cert_file) != bool(tls.key_file):
        missing = "key_file" if tls.cert_file else "cert_file"
        raise ConfigError(f"server.tls.{missing}: is needed as well; TLS takes both files")
    for field in fields(tls):
        path = getattr(tls, field.name)
        if path:
            _check_readable(_place(given, f"server.tls.{field.name}"), path)


def _check_listeners(config: Config, given: Mapping[str, Given]) -> None:
    """Two cannot have one port, unless each has an address of its own."""
    server = config.server
    taken = [("S3's (server.port)", server.host, server.port)]
    binds = {
        "observability.metrics_bind": config.observability.metrics_bind,
        "server.console_bind": server.console_bind,
    }
    wildcards = {"", "0.0.0.0", "::"}  # noqa: S104
    for path, bind in binds.items():
        if not bind:
            continue
        host, port = host_and_port(bind)
        for whose, other_host, other_port in taken:
            if port == other_port and (host == other_host or wildcards & {host, other_host}):
                raise ConfigError(f"{_place(given, path)}: port {port} is {whose}")
        taken.append((f"{path}'s", host, port))


def _check_readable(place: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{place}: cannot read {path}: {error.strerror}") from None


def _check_default_credentials(config: Config, default_secret: str) -> None:
    secrets = {config.auth.secret_key, *(user.secret_key for user in config.auth.users)}
    if config.auth.enabled and default_secret in secrets and not is_loopback(config.server.host):
        raise ConfigError(
            f"server.host is {config.server.host}, but the default secret key is accepted on a loopback address only: "
            "everybody knows it. Set auth.secret_key (BLEEPSTORE_AUTH_SECRET_KEY), or auth.secret_key_file "
            "(BLEEPSTORE_AUTH_SECRET_KEY_FILE) to a file that holds it; or listen on 127.0.0.1"
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _place(given: Mapping[str, Given], path: str) -> str:
    return given[path].place if path in given else path
