"""Named back ends in the configuration: what is taken, what is refused and why, what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from app.cli import main
from app.config import Config, ConfigError, load_config
from app.config_backends import config_of
from app.registry import object_storages
from app.storage.local import LocalStorage
from app.storage.places import Places

COLD = {"backend": "aws", "aws": {"bucket": "our-archive", "secret_access_key": "hush-hush"}}
WARM = {"backend": "local", "local": {"root_dir": "/srv/warm"}}


def loaded(backends: object, **flags: str) -> Config:
    return load_config({"storage.backends": json.dumps(backends), **flags}, {})


def refusal(backends: object, **flags: str) -> str:
    with pytest.raises(ConfigError) as refused:
        loaded(backends, **flags)
    assert "hush-hush" not in str(refused.value)
    return str(refused.value)


def test_an_entry_becomes_the_storage_section_of_its_back_end() -> None:
    config = loaded(
        {"cold": COLD | {"garbage_grace_s": 7_200}, "warm": WARM},
        **{"storage.local.root_dir": "/srv/main", "storage.aws.region": "eu-west-1", "storage.reserve_bytes": "1GiB"},
    )
    cold, warm = (config_of(config, each).storage for each in config.storage.backends)
    assert (cold.backend, cold.aws.bucket, cold.aws.secret_access_key) == ("aws", "our-archive", "hush-hush")
    assert cold.garbage_grace_s == 7_200
    assert (warm.backend, warm.local.root_dir, warm.garbage_grace_s) == ("local", "/srv/warm", "auto")
    assert cold.aws.region == ""  # nothing is taken over from the main back end's own section
    assert cold.local.root_dir != "/srv/main"
    assert warm.reserve_bytes == 1 << 30  # but what is common to all is


def test_the_file_may_say_it_as_yaml(tmp_path: Path) -> None:
    entry = COLD | {"buckets": ["archive-*", "logs"], "location": "deep-freeze", "default": True}
    path = tmp_path / "bleepstore.yaml"
    path.write_text(yaml.safe_dump({"storage": {"backends": {"cold": entry, "warm": WARM}}}, sort_keys=False))
    config = load_config({}, {}, str(path))
    cold, warm = config.storage.backends
    assert (cold.name, cold.kind, cold.buckets) == ("cold", "aws", ("archive-*", "logs"))
    assert (cold.location, cold.is_default) == ("deep-freeze", True)
    assert (warm.location, warm.is_default, warm.buckets) == ("warm", False, ())
    assert "hush-hush" not in repr(config)


def test_a_variable_says_it_as_json() -> None:
    config = load_config({}, {"BLEEPSTORE_STORAGE_BACKENDS": json.dumps({"cold": COLD})})
    assert [each.name for each in config.storage.backends] == ["cold"]


@pytest.mark.parametrize("nothing", ["", "{}", "null", "[]"])
def test_there_may_be_none(nothing: str) -> None:
    assert load_config({"storage.backends": nothing}, {}).storage.backends == ()


@pytest.mark.parametrize(
    ("backends", "words"),
    [
        ([WARM], "expected back ends by name"),
        ({"Cold": WARM}, "'Cold' is no name"),
        ({"main": WARM}, "not main"),
        ({"a:b": WARM}, "is no name"),
        ({"cold": "local"}, "cold: expected backend:"),
        ({"cold": {"local": {"root_dir": "/srv/warm"}}}, "cold: expected backend:"),
        ({"warm": WARM | {"bucket": ["x"]}}, "did you mean buckets?"),
        ({"warm": {"backend": "local", "local": {"rootdir": "/x"}}}, "did you mean local.root_dir?"),
        ({"warm": {"backend": "local", "local": "/x"}}, "warm.local is a section"),
        ({"warm": WARM | {"aws": {"bucket": "x"}}}, "warm.aws: its backend is local"),
        ({"warm": WARM | {"default": "perhaps"}}, "warm.default: expected true or false"),
        ({"warm": WARM | {"location": "a b"}}, "warm.location"),
        ({"warm": WARM | {"reserve_bytes": "much"}}, "warm.reserve_bytes: expected auto, or bytes"),
        ({"warm": {"backend": "local"}}, "warm.local.root_dir is missing"),
        ({"warm": {"backend": "sqlite"}}, "warm.sqlite.path is missing"),
        ({"warm": {"backend": "memory", "memory": {"persistence": True}}}, "warm.memory.snapshot_path is missing"),
        ({"warm": WARM | {"default": True}, "cold": COLD | {"default": "yes"}}, "warm and cold are both the default"),
        ({"warm": WARM | {"location": "x"}, "cold": COLD | {"location": "x"}}, "have the location x"),
        ({"warm": WARM | {"location": "us-east-1"}}, "which is server.region"),
        ({"warm": WARM, "w2": {"backend": "local", "local": {"root_dir": "/srv/../srv/warm/"}}}, "where warm does"),
        ({"warm": {"backend": "local", "local": {"root_dir": "./data/objects"}}}, "that of storage.backend"),
        ({"cold": COLD, "cold2": COLD | {"buckets": "x"}}, "cold2 keeps its bytes where cold does"),
    ],
)
def test_mistakes_are_named(backends: object, words: str) -> None:
    message = refusal(backends)
    assert words in message
    assert message.startswith("--storage.backends: ")


def test_json_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError, match="expected JSON such as") as refused:
        load_config({"storage.backends": '{"cold": hush-hush}'}, {})
    assert "hush-hush" not in str(refused.value)


def test_the_data_directory_is_the_main_back_ends_alone() -> None:
    assert "warm.local.root_dir is missing" in refusal({"warm": {"backend": "local"}}, data_dir="/srv/data")


def test_the_registry_builds_them_by_their_own_settings(tmp_path: Path) -> None:
    entry = {"backend": "local", "local": {"root_dir": str(tmp_path / "warm")}, "garbage_grace_s": 5}
    storage = object_storages(loaded({"warm": entry}, data_dir=str(tmp_path)))
    assert isinstance(storage, Places)
    storage.open()
    with storage.members()["warm"].create() as writer:
        ref = writer.commit()
    assert ref.startswith("warm:")
    assert (tmp_path / "warm" / "blobs").is_dir()
    assert not (tmp_path / "objects").exists() or not list((tmp_path / "objects" / "blobs").iterdir())
    storage.close()
    assert isinstance(object_storages(loaded({})), LocalStorage)


def test_a_kind_that_does_not_exist_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"storage\.backends: cold: s4 does not exist; there are"):
        object_storages(loaded({"cold": {"backend": "s4"}}))


def test_they_are_shown_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--storage.backends", json.dumps({"cold": COLD, "warm": WARM})]) == 0
    text = capsys.readouterr().out
    assert "hush-hush" not in text
    shown = yaml.safe_load(text)["storage"]["backends"]
    assert shown["cold"]["aws"]["bucket"] == "our-archive"
    assert shown["warm"] == {
        "backend": "local", "buckets": [], "location": "warm", "default": False, "local": {"root_dir": "/srv/warm"},
    }  # fmt: skip


def test_check_finds_what_is_wrong_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--storage.backends", '{"cold": {"backend": "local"}}']) == 2
    assert "cold.local.root_dir is missing" in capsys.readouterr().err
