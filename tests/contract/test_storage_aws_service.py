"""What is S3's own about the aws back end: uploads left behind, and what an operator is told about a bad configuration."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import ServiceUnavailable
from app.domain.types import Health
from app.settings import ConfigError
from app.storage import remote_calls
from app.storage.aws import ABANDONED_AFTER_S, AwsStorage
from app.storage.remote_memory import PART_BYTES
from tests.contract.storage_contract import SHORT, put, read_all
from tests.contract.test_storage_aws import BUCKET, client_of, config_of, make_storage
from tests.servers import RunningServer

LARGE = b"seventeen bytes.\n" * (1 << 20)
ABANDONED_S = 3.0


def opened(endpoint: str, place: Path, **settings: str) -> AwsStorage:
    client_of(endpoint)
    storage = make_storage(endpoint, place, **settings)
    storage.open()
    return storage


def hasty(endpoint: str, place: Path) -> AwsStorage:
    """One for which a writer is dead after ABANDONED_S without a part."""
    client_of(endpoint)
    storage = AwsStorage(config_of(endpoint, place).storage.aws, abandoned_after_s=ABANDONED_S)
    storage.open()
    return storage


def uploads(endpoint: str, storage: AwsStorage) -> list[Any]:
    page = client_of(endpoint).list_multipart_uploads(Bucket=BUCKET, Prefix=storage.prefix)
    return list(page.get("Uploads", ()))


@pytest.fixture(params=["moto", "bleepstore"])
def endpoint(request: pytest.FixtureRequest) -> str:
    if request.param == "moto":
        return str(request.getfixturevalue("moto"))
    server: RunningServer = request.getfixturevalue("server")
    return server.endpoint


def test_leaving_aborts_an_upload_in_parts(endpoint: str, tmp_path: Path) -> None:
    storage = opened(endpoint, tmp_path)
    with storage.create() as writer:
        writer.write(LARGE)
        assert len(uploads(endpoint, storage)) == 1
    assert uploads(endpoint, storage) == []
    storage.close()


def test_only_uploads_that_nobody_goes_on_with_are_cleaned_up(server: RunningServer, tmp_path: Path) -> None:
    storage = hasty(server.endpoint, tmp_path)
    dead, living = storage.create(), storage.create()
    dead.write(LARGE)
    living.write(LARGE)
    patient = opened(server.endpoint, tmp_path)
    assert patient.clean_up() == 0
    patient.close()
    time.sleep(ABANDONED_S + 1.1)  # by the clock of the service, which tells whole seconds
    living.write(LARGE)
    living.write(LARGE)  # its next part has arrived before this one leaves
    assert storage.clean_up() == 1
    assert storage.clean_up() == 0
    assert read_all(storage.read(living.commit())) == LARGE * 3
    with pytest.raises(ServiceUnavailable):
        dead.commit()  # who was taken for dead learns it: nothing is acknowledged that is not there
    dead.discard()
    assert uploads(server.endpoint, storage) == []
    storage.close()


def test_a_writer_may_be_as_slow_as_the_server_lets_a_client_be(tmp_path: Path) -> None:
    config = config_of("http://127.0.0.1:1", tmp_path)
    storage = AwsStorage.from_config(config)
    slowest_s = PART_BYTES / config.server.limits.body_min_bytes_per_s
    assert slowest_s < storage._abandoned_after_s < ABANDONED_AFTER_S


# -- what an operator is told ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"bucket": ""}, "storage.aws.bucket"),
        ({"secret_access_key": ""}, "access_key_id and secret_access_key"),
        ({"access_key_id": ""}, "access_key_id and secret_access_key"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(tmp_path: Path, settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_storage("http://127.0.0.1:1", tmp_path, **settings)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"bucket": "no-such-bucket-here"}, "NoSuchBucket: there is no such bucket; check storage.aws.bucket"),
        ({"access_key_id": "nobody"}, "InvalidAccessKeyId: check storage.aws.access_key_id"),
        ({"secret_access_key": "wrong-and-long-enough"}, "SignatureDoesNotMatch: check storage.aws.access_key_id"),
    ],
)
def test_what_the_service_refuses_is_told_with_what_to_do(
    server: RunningServer, tmp_path: Path, settings: dict[str, str], advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = opened(server.endpoint, tmp_path, **settings)
    health = storage.check()
    assert not health.ok
    assert health.detail.startswith(advice)
    with pytest.raises(ServiceUnavailable) as raised:
        put(storage, SHORT)
    (record,) = (each for each in caplog.records if each.name == "bleepstore.storage")
    assert vars(record)["reason"].startswith(advice)
    assert vars(record)["attempts"] == 1
    for word in settings.values():
        assert word not in raised.value.message + record.getMessage() + vars(record)["reason"] + health.detail
    storage.close()


@pytest.mark.parametrize("region", ["", "eu-central-9"])
def test_a_region_that_is_missing_or_wrong_is_what_the_service_says(
    server: RunningServer, tmp_path: Path, region: str
) -> None:
    storage = opened(server.endpoint, tmp_path, region=region)
    assert storage.check() == Health(ok=True)
    assert read_all(storage.read(put(storage, LARGE))) == LARGE
    storage.close()


def test_a_bucket_in_the_host_name_is_asked_for_by_path_where_there_is_no_host_name(
    server: RunningServer, tmp_path: Path
) -> None:
    storage = opened(server.endpoint, tmp_path, use_path_style="false")
    assert read_all(storage.read(put(storage, SHORT))) == SHORT
    storage.close()


def test_credentials_that_nobody_gave_are_asked_for(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr(remote_calls, "FIRST_PAUSE_S", 0.01)
    storage = opened(server.endpoint, tmp_path, access_key_id="", secret_access_key="")
    assert storage.check().detail.startswith("NoCredentialsError: check storage.aws.access_key_id")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    with pytest.raises(ServiceUnavailable):
        put(storage, SHORT)  # they are not looked for with every request
    monkeypatch.setattr(storage.upstream, "_look_again_s", 0.0)
    assert read_all(storage.read(put(storage, SHORT))) == SHORT
    storage.close()


def test_a_profile_that_does_not_exist_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-written-it")
    storage = make_storage("http://127.0.0.1:1", tmp_path)
    with pytest.raises(ConfigError, match=r"storage\.aws: ProfileNotFound"):
        storage.open()
