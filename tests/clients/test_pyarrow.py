"""pyarrow's file system: the AWS SDK for C++, which sends aws-chunked bodies without a length of the wire."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.clients.scenarios import ODD_KEY, PART_BYTES
from tests.components import require_python
from tests.servers import RunningServer


@pytest.fixture(params=[False, True], ids=["waits", "in-background"])
def files(request: pytest.FixtureRequest, service: RunningServer) -> Any:
    """`background_writes` chooses between two ways through the SDK."""
    fs = require_python("pyarrow.fs", "pyarrow")
    return fs.S3FileSystem(
        access_key=service.access_key, secret_key=service.secret_key, endpoint_override=f"{service.host}:{service.port}",
        scheme="http", region="us-east-1", background_writes=request.param, allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )  # fmt: skip


def write(files: Any, path: str, body: bytes, **options: Any) -> None:
    with files.open_output_stream(path, **options) as stream:
        stream.write(body)


def read(files: Any, path: str) -> bytes:
    with files.open_input_stream(path) as stream:
        body: bytes = stream.read()
        return body


def test_streams(files: Any, bucket: str, admin: Any) -> None:
    body = secrets.token_bytes(3 * PART_BYTES + 11)
    write(files, f"{bucket}/{ODD_KEY}", b"small", metadata={"Content-Type": "text/x", "a": "1"})
    assert admin.head_object(Bucket=bucket, Key=ODD_KEY)["ContentType"] == "text/x"
    assert read(files, f"{bucket}/{ODD_KEY}") == b"small"
    write(files, f"{bucket}/empty", b"")
    assert read(files, f"{bucket}/empty") == b""
    with files.open_output_stream(f"{bucket}/large") as stream:
        for at in range(0, len(body), 1_000_000):
            stream.write(body[at : at + 1_000_000])
    assert admin.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    with files.open_input_file(f"{bucket}/large") as file:
        file.seek(PART_BYTES - 5)
        assert file.read(10) == body[PART_BYTES - 5 : PART_BYTES + 5]
        assert file.size() == len(body)
    with pytest.raises(FileNotFoundError):
        files.open_input_stream(f"{bucket}/absent")


def test_directories(files: Any, bucket: str) -> None:
    from pyarrow.fs import FileSelector, FileType

    files.create_dir(f"{bucket}/dir/deep")
    write(files, f"{bucket}/dir/deep/a b", b"1")
    write(files, f"{bucket}/dir/ü", b"22")
    found = files.get_file_info(FileSelector(f"{bucket}/dir", recursive=True))
    expected = {("a b", FileType.File, 1), ("deep", FileType.Directory, None), ("ü", FileType.File, 2)}
    assert {(info.base_name, info.type, info.size) for info in found} == expected
    files.copy_file(f"{bucket}/dir/ü", f"{bucket}/copy")
    files.move(f"{bucket}/copy", f"{bucket}/moved")
    absent, moved = files.get_file_info([f"{bucket}/copy", f"{bucket}/moved"])
    assert (absent.type, moved.size) == (FileType.NotFound, 2)
    files.delete_file(f"{bucket}/moved")
    files.delete_dir(f"{bucket}/dir")
    assert files.get_file_info(FileSelector(bucket, recursive=True)) == []
    files.create_dir(f"{bucket}-own")
    files.delete_dir(f"{bucket}-own")
    assert files.get_file_info(f"{bucket}-own").type == FileType.NotFound


def test_parquet(files: Any, bucket: str) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    rows = 300_000
    table = pa.table({"id": range(rows), "kind": [f"kind {number % 3}" for number in range(rows)]})
    pq.write_table(table, f"{bucket}/table.parquet", filesystem=files, compression="none", use_dictionary=False)
    assert pq.read_table(f"{bucket}/table.parquet", filesystem=files) == table
    ids = pq.read_table(f"{bucket}/table.parquet", filesystem=files, columns=["id"], filters=[("id", "<", 10)])
    assert ids.column("id").to_pylist() == list(range(10))
    ds.write_dataset(table, f"{bucket}/parted", filesystem=files, format="parquet", partitioning=["kind"])
    parted = ds.dataset(f"{bucket}/parted", filesystem=files, partitioning=["kind"])
    assert parted.count_rows() == rows
    assert parted.to_table(filter=ds.field("kind") == "kind 1").num_rows == rows // 3
