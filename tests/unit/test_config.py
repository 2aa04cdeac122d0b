"""Configuration: every setting by every way, in the right order, and a refusal that says what to write instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, strategies as st

from app.config import Config, ConfigError, User, all_settings, load_config, load_with_places
from app.config_buckets import DefaultBucket, DefaultBuckets
from app.domain.names import canonical_id
from app.settings import AutoOr, Choice, Flag, Integer, Setting, Size, TextList

ROOT = Path(__file__).parents[2]
SETTINGS = all_settings()
# Their values must fit each other, or name a file that exists.
ALONE = [
    name
    for name in SETTINGS
    if not name.endswith("_file") and name not in ("auth.users", "storage.backends") and name != "server.host"
]


def value_at(config: Config, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def other_value(setting: Setting, draw: st.DataObject) -> tuple[str, object]:
    """A text for a setting, and the value it stands for."""
    kind = setting.kind
    if isinstance(kind, AutoOr):
        kind = kind.kind
    if isinstance(kind, Flag):
        return draw.draw(st.sampled_from([("true", True), ("false", False), ("on", True), ("0", False)]))
    if isinstance(kind, Integer | Size):
        number = draw.draw(st.integers(kind.minimum, kind.maximum))
        return str(number), number
    if isinstance(kind, Choice):
        name = draw.draw(st.sampled_from(kind.names))
        return name, name
    if isinstance(kind, DefaultBuckets):
        names = draw.draw(st.lists(st.text("abcdefghij", min_size=3, max_size=9), max_size=4, unique=True))
        return ",".join(f"{name}:versioned" for name in names), tuple(DefaultBucket(name, True) for name in names)
    if setting.path == "server.trusted_proxies":
        networks = draw.draw(st.lists(st.ip_addresses().map(str), max_size=3))
        return ",".join(networks), tuple(networks)
    if setting.path.endswith("_bind"):
        port = draw.draw(st.integers(9_100, 65_535))
        text = draw.draw(
            st.sampled_from(["", f":{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"host-1.example:{port}"])
        )
        return text, text
    words = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
    if isinstance(kind, TextList):
        texts = draw.draw(st.lists(words, max_size=4))
        return ",".join(texts), tuple(texts)
    text = draw.draw(words)
    if setting.path.endswith("endpoint_url"):
        text = f"https://{text}.example.com"
    return text, text


def file_with(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bleepstore.yaml"
    path.write_text(text)
    return str(path)


def nested(path: str, value: object) -> dict[str, object]:
    head, dot, tail = path.partition(".")
    return {head: nested(tail, value) if dot else value}


# -- Every setting, every way ------------------------------------------------------------------------------------


@given(path=st.sampled_from(ALONE), draw=st.data())
def test_every_setting_is_reachable_by_file_variable_and_flag(
    tmp_path_factory: pytest.TempPathFactory, path: str, draw: st.DataObject
) -> None:
    text, value = other_value(SETTINGS[path], draw)
    file = file_with(tmp_path_factory.mktemp("config"), yaml.safe_dump(nested(path, text)))
    assert value_at(load_config({}, {}, file), path) == value
    assert value_at(load_config({}, {SETTINGS[path].variable: text}), path) == value
    assert value_at(load_config({path: text}, {}), path) == value


def test_variables_are_named_after_the_settings_without_clash() -> None:
    assert SETTINGS["server.tls.cert_file"].variable == "BLEEPSTORE_SERVER_TLS_CERT_FILE"
    assert len({setting.variable for setting in SETTINGS.values()}) == len(SETTINGS)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(tmp_path: Path) -> None:
    file = file_with(tmp_path, "server: {port: 1111, region: from-file, log_level: debug}")
    environ = {"BLEEPSTORE_SERVER_PORT": "2222", "BLEEPSTORE_SERVER_REGION": "from-variable"}
    config, places = load_with_places({"server.port": "3333"}, environ, file)
    assert (config.server.port, config.server.region, config.server.log_level) == (3333, "from-variable", "debug")
    assert places == {
        "server.port": "--server.port",
        "server.region": "BLEEPSTORE_SERVER_REGION",
        "server.log_level": f"{file}: server.log_level",
    }


def test_defaults_need_no_file() -> None:
    config = load_config({}, {})
    assert config == Config()
    assert (config.server.host, config.server.port, config.server.workers) == ("127.0.0.1", 9000, "auto")


def test_the_file_may_be_named_by_a_variable_and_may_be_empty(tmp_path: Path) -> None:
    assert load_config({}, {"BLEEPSTORE_CONFIG": file_with(tmp_path, "server: {port: 9100}")}).server.port == 9100
    assert load_config({}, {}, file_with(tmp_path, "server:\n")) == Config()
    assert load_config({}, {}, file_with(tmp_path, "")) == Config()


def test_importing_the_configuration_loads_no_yaml_and_no_web_framework() -> None:
    code = "import sys, app.config; print([m for m in ('yaml', 'flask', 'gevent', 'argparse') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- What is written in the documents ----------------------------------------------------------------------------


def test_the_example_file_shows_every_setting_with_its_default() -> None:
    example = ROOT / "bleepstore.example.yaml"
    config, places = load_with_places({}, {}, str(example))
    assert config == Config()
    assert set(places) == set(SETTINGS)


def test_yaml_in_the_readme_is_a_valid_configuration(tmp_path: Path) -> None:
    blocks = (ROOT / "README.md").read_text().split("```yaml\n")[1:]
    assert blocks
    for block in blocks:
        load_config({}, {}, file_with(tmp_path, block.split("```")[0]))


def test_settings_and_variables_named_in_the_readme_exist() -> None:
    import re

    text = (ROOT / "README.md").read_text()
    variables = {setting.variable for setting in SETTINGS.values()}
    named = set(re.findall(r"\bBLEEPSTORE_[A-Z_]+[A-Z]\b", text))
    assert named - variables <= {"BLEEPSTORE_CONFIG", "BLEEPSTORE_DATA_DIR", "BLEEPSTORE_REQUIRE_COMPONENTS"}
    sections = "|".join({name.partition(".")[0] for name in SETTINGS})
    for name in re.findall(rf"`(?:--)?((?:{sections})\.[a-z_.]+)`", text):
        assert any(known == name or known.startswith(name + ".") for known in SETTINGS), name


# -- Refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server: {prot: 9000}", "server.prot is not a setting; did you mean server.port?"),
        ("sever: {port: 9000}", "sever is not a setting; did you mean server?"),
        ("port: 9000", "port is not a setting; did you mean server.port?"),
        ("storage: {root_dir: x}", "did you mean storage.local.root_dir?"),
        ("server: {tls: {cert: x}}", "did you mean server.tls.cert_file?"),
        ("server: 9000", "server is a section"),
        ("- server", "expected sections"),
        ("server: {port: 9000, port: 9001}", "port is given twice"),
        ("server: {port: [1, 2]}", "server.port: expected a whole number from 1 to 65535, not [1, 2]"),
        ("server: {port: 70000}", "from 1 to 65535, not 70000"),
        ("server: {port: true}", "not True"),
        ("server: {port:}", "not nothing"),
        ("server: {workers: many}", "expected auto, or a whole number from 1 to 64, not 'many'"),
        ("server: {max_object_size_bytes: 5.5GiB}", "expected bytes"),
        ("server: {log_level: loud}", "expected one of debug, info, warning, error, not 'loud'"),
        ("auth: {enabled: maybe}", "expected true or false, not 'maybe'"),
        ("server: {domain: 'a b'}", "expected a host name"),
        ("metadata: {sqlite: {path: ''}}", "must not be empty"),
        ("auth: {access_key: 'a/b'}", 'must not hold "/"'),
        ("server: [", "is not valid YAML"),
        ("server: !!python/object/apply:os.system [id]", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_what_to_write(tmp_path: Path, text: str, says: str) -> None:
    file = file_with(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_config({}, {}, file)
    assert str(refused.value).startswith(file) or "access key" in str(refused.value)
    assert says in str(refused.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/no/such\.yaml: cannot be read: No such file"):
        load_config({}, {}, "/no/such.yaml")


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="environment: BLEEPSTORE_SERVER_PROT .* did you mean BLEEPSTORE_SERVER_PORT"):
        load_config({}, {"BLEEPSTORE_SERVER_PROT": "1"})


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"did you mean server\.host"):
        load_config({"server.hots": "x"}, {})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BLEEPSTORE_REQUIRE_COMPONENTS", "1"),
        ("BLEEPSTORE_TEST_ANYTHING", "x"),
        ("BLEEPSTORE_SERVICE_HOST", "10.0.0.7"),
        ("BLEEPSTORE_SERVICE_PORT_HTTP", "9000"),
        ("BLEEPSTORE_PORT", "tcp://10.0.0.7:9000"),
        ("BLEEPSTORE_PORT_9000_TCP_ADDR", "10.0.0.7"),
        ("BLEEPSTORE_SERVER_PORT", "tcp://10.0.0.7:9000"),
        ("BLEEPSTORE_SERVER_SERVICE_HOST", "10.0.0.7"),
    ],
)
def test_variables_that_a_cluster_or_the_suite_sets_are_no_settings(variable: str, value: str) -> None:
    """A Kubernetes service called "bleepstore" or "bleepstore-server" describes itself to its neighbours so."""
    assert load_config({}, {variable: value}) == Config()


# -- The data directory ------------------------------------------------------------------------------------------


def test_the_data_directory_holds_database_and_objects() -> None:
    config = load_config({"data_dir": "/srv/bleep"}, {})
    assert config.metadata.sqlite.path == "/srv/bleep/metadata.db"
    assert config.storage.local.root_dir == "/srv/bleep/objects"
    assert config.data_dir == "/srv/bleep"
    assert load_config({}, {"BLEEPSTORE_DATA_DIR": "/srv/bleep"}) == config


def test_what_is_given_itself_stays_out_of_the_data_directory() -> None:
    config = load_config({"data_dir": "/srv"}, {"BLEEPSTORE_STORAGE_LOCAL_ROOT_DIR": "/big/objects"})
    assert (config.metadata.sqlite.path, config.storage.local.root_dir) == ("/srv/metadata.db", "/big/objects")


def test_in_memory_there_is_no_data_directory() -> None:
    config = load_config({"metadata.engine": "memory", "storage.backend": "memory"}, {})
    assert config.data_dir is None


# -- Credentials -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "files.example.com"])
def test_default_credentials_are_refused_off_loopback_and_it_says_what_to_set(host: str) -> None:
    """S-13, first half."""
    with pytest.raises(ConfigError, match="BLEEPSTORE_AUTH_SECRET_KEY"):
        load_config({"server.host": host}, {})
    assert load_config({"server.host": host, "auth.secret_key": "something-else"}, {}).server.host == host
    assert load_config({"server.host": host, "auth.enabled": "false"}, {}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_default_credentials_are_accepted_on_loopback(host: str) -> None:
    assert load_config({"server.host": host}, {}).auth.secret_key == "bleepstore-secret"


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file".replace(" ", "-") + "\n")
    environ = {"BLEEPSTORE_AUTH_SECRET_KEY_FILE": str(tmp_path / "secret")}
    assert load_config({}, environ).auth.secret_key == "from-a-file"
    assert load_config({"auth.secret_key": "by-flag"}, environ).auth.secret_key == "by-flag"


def test_a_secret_and_its_file_from_one_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    environ = {"BLEEPSTORE_AUTH_SECRET_KEY_FILE": str(tmp_path / "secret"), "BLEEPSTORE_AUTH_SECRET_KEY": "y"}
    with pytest.raises(ConfigError, match="leave one of them out"):
        load_config({}, environ)


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_a_secret_file_that_holds_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigError, match=r"auth\.secret_key_file"):
        load_config({"auth.secret_key_file": str(tmp_path / "secret")}, {})


@pytest.mark.parametrize("text", ["9100", ":", ":0", ":65536", ":x", "a b:9100", "::1:9100", "[::1]", "http://h:1"])
def test_an_address_to_listen_on_is_checked(text: str) -> None:
    with pytest.raises(ConfigError, match=r"observability\.metrics_bind"):
        load_config({"observability.metrics_bind": text}, {})


@pytest.mark.parametrize("text", [":9000", "127.0.0.1:9000", "0.0.0.0:9000", "[::]:9000"])
def test_the_port_of_s3_is_nobody_elses(text: str) -> None:
    with pytest.raises(ConfigError, match=r"observability\.metrics_bind: port 9000 is S3's"):
        load_config({"observability.metrics_bind": text}, {})
    assert load_config({"observability.metrics_bind": "127.0.0.2:9000"}, {}).observability.metrics_bind


def test_the_metrics_token_may_be_long_and_is_never_shown(tmp_path: Path) -> None:
    token = "t" * 1_000
    (tmp_path / "token").write_text(token + "\n")
    path = str(tmp_path / "token")
    assert load_config({"observability.metrics_token_file": path}, {}).observability.metrics_token == token
    assert SETTINGS["observability.metrics_token"].is_secret
    with pytest.raises(ConfigError) as caught:
        load_config({"observability.metrics_token": "hush hush"}, {})
    assert "hush" not in str(caught.value)


ANN = {"name": "ann", "access_key": "ann-key", "secret_key": "ann-secret"}


def test_users_come_from_yaml_json_and_secret_files(tmp_path: Path) -> None:
    (tmp_path / "ann").write_text("ann-secret\n")
    by_file = {"name": "ann", "access_key": "ann-key", "secret_key_file": str(tmp_path / "ann")}
    expected = (User("ann", canonical_id("ann"), "ann-key", "ann-secret"),)
    assert load_config({}, {}, file_with(tmp_path, yaml.safe_dump({"auth": {"users": [ANN]}}))).auth.users == expected
    assert load_config({}, {"BLEEPSTORE_AUTH_USERS": json.dumps([by_file])}).auth.users == expected
    assert load_config({"auth.users": json.dumps([ANN | {"id": "0" * 64}])}, {}).auth.users[0].id == "0" * 64


def test_ten_thousand_users_are_taken_and_not_one_more(tmp_path: Path) -> None:
    lines = [f'    - {{name: "{n}", access_key: "key-{n}", secret_key: "secret-{n}"}}' for n in range(10_001)]
    head = "auth:\n  users:\n"
    users = load_config({}, {}, file_with(tmp_path, head + "\n".join(lines[:-1]))).auth.users
    assert users[-1] == User("9999", canonical_id("9999"), "key-9999", "secret-9999")
    with pytest.raises(ConfigError, match="at most 10000 users"):
        load_config({}, {}, file_with(tmp_path, head + "\n".join(lines)))


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ([ANN | {"acess_key": "x"}], "users[0]: acess_key is not a setting; did you mean access_key?"),
        ([{"name": "ann", "access_key": "k"}], "users[0]: secret_key is missing"),
        ([ANN | {"secret_key_file": "/x"}], "both given"),
        ([ANN | {"id": "short"}], "64 hexadecimal digits"),
        ([ANN | {"access_key": 7}], "put it in quotes"),
        ([ANN, ANN], "two users have the name ann"),
        ([ANN, ANN | {"name": "bob"}], "two users have the access_key ann-key"),
        ([ANN | {"name": "root"}], "two users have the name root"),
        ([ANN | {"access_key": "bleepstore"}], "two users have the access_key bleepstore"),
        ([ANN | {"id": canonical_id("root")}], "two users have the id"),
        (["ann"], "users[0]: expected name, access_key"),
        ("ann", "expected a list"),
    ],
)
def test_wrong_users_are_refused(users: object, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config({"auth.users": json.dumps(users)}, {})
    assert says in str(refused.value)
    assert "ann-secret" not in str(refused.value)


@pytest.mark.parametrize("text", ['{"secret_key": "hush"', "hush"])
def test_a_refusal_shows_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config({"auth.users": text}, {})
    assert "hush" not in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        load_config({"auth.secret_key": "hush \x01"}, {})
    assert "hush" not in str(refused.value)
    assert "hush" not in repr(User("ann", "0" * 64, "key", "hush"))


# -- TLS and sizes -----------------------------------------------------------------------------------------------


def test_tls_takes_both_files_and_they_exist(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("x")
    pem = str(tmp_path / "pem")
    with pytest.raises(ConfigError, match="key_file: is needed as well"):
        load_config({"server.tls.cert_file": pem}, {})
    with pytest.raises(ConfigError, match="cert_file: is needed as well"):
        load_config({"server.tls.key_file": pem}, {})
    with pytest.raises(ConfigError, match=r"--server\.tls\.key_file: cannot read .*/none: No such file"):
        load_config({"server.tls.cert_file": pem, "server.tls.key_file": str(tmp_path / "none")}, {})
    tls = {"server.tls.cert_file": pem, "server.tls.key_file": pem}
    assert load_config(tls, {}).server.tls.cert_file == pem


@pytest.mark.parametrize(
    ("text", "size"), [("5GiB", 5 << 30), ("5 GB", 5 * 10**9), ("1_024", 1024), ("64kib", 65536), ("7b", 7), ("7", 7)]
)
def test_sizes_may_have_units(text: str, size: int) -> None:
    assert load_config({"server.max_object_size_bytes": text}, {}).server.max_object_size_bytes == size


def test_signing_hosts_may_be_written_with_commas_and_ports() -> None:
    config = load_config({"server.signing_hosts": "minio:9000, localhost:9000,[::1]:9000,"}, {})
    assert config.server.signing_hosts == ("minio:9000", "localhost:9000", "[::1]:9000")


def test_several_domains_may_be_written_with_commas() -> None:
    assert (
        load_config({"server.domain": "s3.example.com, s3.internal"}, {}).server.domain == "s3.example.com, s3.internal"
    )
    with pytest.raises(ConfigError, match="expected a host name"):
        load_config({"server.domain": "s3.example.com,a b"}, {})


def test_an_empty_region_accepts_any() -> None:
    assert load_config({"server.region": ""}, {}).server.region == ""
