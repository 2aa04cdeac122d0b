"""The command line: flags, exit codes, and what it prints. The server itself is tested over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from app.cli import main
from app.config import all_settings, load_config

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(command, env=kept | environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BLEEPSTORE_")]:
        monkeypatch.delenv(name)


def test_the_version_is_printed() -> None:
    code, out, _ = run("version")
    assert code == 0
    assert out.startswith("bleepstore 0.")


def test_a_wrong_setting_ends_with_code_2_and_one_line() -> None:
    code, out, err = run("config", "check", BLEEPSTORE_SERVER_PROT="1")
    assert (code, out) == (2, "")
    assert err == (
        "bleepstore: environment: BLEEPSTORE_SERVER_PROT is not a setting; did you mean BLEEPSTORE_SERVER_PORT?\n"
    )


@pytest.mark.parametrize(
    "arguments", [["serve", "--prot", "1"], ["srve"], [], ["serve", "--server.po", "1"], ["config"]]
)
def test_wrong_usage_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") <= 3


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for setting in all_settings().values():
        assert setting.flag in text
    for flag in ("--config", "--data-dir", "--host", "--port", "--workers", "--log-level", "--log-format"):
        assert flag in text
    assert "bleepstore-secret" not in text


def test_the_configuration_is_shown_as_yaml_with_places_and_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    users = '[{"name": "ann", "access_key": "ann-key", "secret_key": "hush-hush"}]'
    monkeypatch.setenv("BLEEPSTORE_AUTH_USERS", users)
    assert main(["config", "show", "--port", "9001", "--auth.secret_key", "top-secret"]) == 0
    text = capsys.readouterr().out
    assert "top-secret" not in text
    assert "hush-hush" not in text
    shown = yaml.safe_load(text)
    assert shown["server"]["port"] == 9001
    assert shown["auth"]["users"][0]["name"] == "ann"
    assert shown["metadata"]["sqlite"]["path"] == "./data/metadata.db"
    port = next(line for line in text.splitlines() if "port:" in line)
    assert port.endswith("# --server.port")


def test_the_default_configuration_shown_is_a_valid_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["config", "show"]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    shown = load_config({}, {}, str(tmp_path / "shown.yaml"))
    assert shown.storage == load_config({}, {}).storage


def test_check_names_engines_that_do_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--metadata.engine", "sqlight", "--storage.backend", "memory"]) == 2
    assert capsys.readouterr().err == (
        "bleepstore: metadata.engine: sqlight does not exist; there are memory, sqlite\n"
    )
    assert main(["config", "check", "--metadata.engine", "memory", "--storage.backend", "s4"]) == 2
    assert (
        "storage.backend: s4 does not exist; there are aws, azure, gcp, local, memory, sqlite"
        in capsys.readouterr().err
    )


def test_check_warns_of_a_server_without_authentication(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--metadata.engine", "memory", "--storage.backend", "memory"]
    assert main(["config", "check", *flags]) == 0
    assert capsys.readouterr().err == ""
    assert main(["config", "check", *flags, "--auth.enabled", "false"]) == 0
    assert "everybody" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fsck", "sweep"])
def test_maintenance_makes_no_store_where_there_is_none(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--data-dir", str(tmp_path / "typo")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()
    assert main([command, "--metadata.engine", "memory", "--storage.backend", "memory"]) == 2


def test_a_presigned_url_names_server_object_and_time_to_live(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presign", "get", "photos", "a b/ü.txt", "--expires", "60", "--host", "::1", "--port", "9001"]) == 0
    url = urlsplit(capsys.readouterr().out.strip())
    assert (url.scheme, url.netloc, url.path) == ("http", "[::1]:9001", "/photos/a%20b/%C3%BC.txt")
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-Credential"][0].startswith("bleepstore/")


def test_a_presigned_url_may_name_another_endpoint_and_user(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEEPSTORE_AUTH_USERS", '[{"name": "ann", "access_key": "ann-key", "secret_key": "hush-hush"}]')
    assert main(["presign", "PUT", "b", "k", "--endpoint", "https://files.example.com/", "--user", "ann"]) == 0
    url = capsys.readouterr().out.strip()
    assert url.startswith("https://files.example.com/b/k?")
    assert "Credential=ann-key%2F" in url
    assert main(["presign", "PUT", "b", "k", "--user", "bob"]) == 2
    assert "there are root, ann" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "604801"])
def test_a_presigned_url_lives_for_a_week_at_most(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presign", "GET", "b", "k", "--expires", seconds]) == 2
    assert "604800" in capsys.readouterr().err


def test_the_command_line_alone_imports_no_server() -> None:
    code = (
        "import sys, app.cli; app.cli.main(['version']); "
        "print([m for m in ('flask', 'gunicorn', 'gevent', 'lxml', 'yaml', 'apsw') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
