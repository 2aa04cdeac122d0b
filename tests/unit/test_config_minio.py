"""MinIO's variables and command line, as configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import config_minio
from app.config import load_config, load_with_places
from app.config_buckets import DefaultBucket
from app.settings import ConfigError

KEYS = {"MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": "long-enough-secret"}


def test_minios_variables_are_understood() -> None:
    config, places = load_with_places({}, {**KEYS, "MINIO_DOMAIN": "s3.example.com", "MINIO_SITE_REGION": "eu-1"})
    assert (config.auth.access_key, config.auth.secret_key) == ("admin", "long-enough-secret")
    assert (config.server.domain, config.server.region) == ("s3.example.com", "eu-1")
    assert places["auth.secret_key"] == "MINIO_ROOT_PASSWORD"


def test_ours_win_over_them_and_they_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bleepstore.yaml"
    file.write_text("auth: {access_key: from-file, secret_key: from-file}\nserver: {region: from-file}")
    environ = {**KEYS, "MINIO_REGION": "from-minio", "BLEEPSTORE_AUTH_ACCESS_KEY": "ours"}
    config = load_config({}, environ, str(file))
    assert (config.auth.access_key, config.auth.secret_key) == ("ours", "long-enough-secret")
    assert config.server.region == "from-minio"
    assert load_config({"server.region": "flag"}, environ, str(file)).server.region == "flag"


def test_keys_may_be_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user").write_text("admin\n")
    (tmp_path / "password").write_text("long-enough-secret\n")
    monkeypatch.setattr(config_minio, "SECRETS_DIR", str(tmp_path))
    environ = {"MINIO_ROOT_USER_FILE": str(tmp_path / "user"), "MINIO_ROOT_PASSWORD_FILE": "password"}
    config = load_config({}, environ)
    assert (config.auth.access_key, config.auth.secret_key) == ("admin", "long-enough-secret")


def test_the_first_way_to_say_a_thing_counts_and_empty_ones_say_nothing(tmp_path: Path) -> None:
    environ = {
        "MINIO_ROOT_USER": "new", "MINIO_ACCESS_KEY": "old", "MINIO_ROOT_PASSWORD": "",
        "MINIO_ROOT_PASSWORD_FILE": "", "MINIO_SECRET_KEY": "old-secret-text", "MINIO_SECRET_KEY_FILE": "/nowhere",
        "MINIO_SITE_REGION": "a", "MINIO_REGION": "b", "MINIO_BROWSER": "off",
    }  # fmt: skip
    config = load_config({}, environ)
    assert (config.auth.access_key, config.auth.secret_key) == ("new", "old-secret-text")
    assert config.server.region == "a"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [(":9000", "0.0.0.0", "9000"), ("127.0.0.1:1", "127.0.0.1", "1"), ("[::1]:9", "::1", "9")],
)
def test_addresses(address: str, host: str, port: str) -> None:
    found = config_minio.overrides(["/data"], address, None, None)
    assert found == {"data_dir": "/data", "server.host": host, "server.port": port}


@pytest.mark.parametrize("address", ["9000", "host", ":http", "host:"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="--address"):
        config_minio.overrides(["/data"], address, None, None)


@pytest.mark.parametrize("directories", [["/a", "/b"], ["/data{1...4}"], ["http://node/data"]])
def test_several_drives_are_refused(directories: list[str]) -> None:
    with pytest.raises(ConfigError, match="one directory"):
        config_minio.overrides(directories, None, None, None)


def test_certificates_are_found_where_minio_keeps_them(tmp_path: Path) -> None:
    assert config_minio.overrides(["/data"], None, None, str(tmp_path)) == {"data_dir": "/data"}
    for name in ("public.crt", "private.key"):
        (tmp_path / name).write_text("")
    assert config_minio.overrides(["/data"], None, None, str(tmp_path)) == {
        "data_dir": "/data",
        "server.tls.cert_file": str(tmp_path / "public.crt"),
        "server.tls.key_file": str(tmp_path / "private.key"),
    }


def test_the_consoles_address_is_a_listener_of_its_own() -> None:
    assert config_minio.overrides(["/data"], None, ":9001", None)["server.console_bind"] == ":9001"
    config = load_config({}, {"MINIO_CONSOLE_ADDRESS": "127.0.0.1:9001"})
    assert config.server.console_bind == "127.0.0.1:9001"
    with pytest.raises(ConfigError, match=r"port 9001 is observability\.metrics_bind's"):
        load_config({"observability.metrics_bind": ":9001", "server.console_bind": ":9001"}, {})


def test_empty_folders_are_buckets(tmp_path: Path) -> None:
    for name in ("photos", "objects", "lost+found", ".minio.sys", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-link").symlink_to(tmp_path / "photos")
    config = load_config({"data_dir": str(tmp_path), "server.default_buckets": "logs:versioned"}, {})
    assert config_minio.with_folders(config).server.default_buckets == (
        DefaultBucket("logs", True),
        DefaultBucket("photos"),
    )
    nowhere = load_config({"data_dir": str(tmp_path / "not-there")}, {})
    assert config_minio.with_folders(nowhere) == nowhere
