"""A load with every kind of request that the metrics tell apart, on two servers: one with its own disk, and a gateway."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from botocore.exceptions import ClientError

from tests.fault_proxy import Fault, FaultProxy, answer
from tests.servers import RunningServer, boto_client

BUCKETS = ("photos", "films")
PAUSE_S = 0.01
LARGE = bytes(200_000)


class Load:
    """Goes on from entering to leaving. An error of a step that is to fail is part of it; any other is raised at the end."""

    def __init__(self, embedded: RunningServer, gateway: RunningServer, proxy: FaultProxy) -> None:
        self._embedded, self._gateway, self._proxy = embedded, gateway, proxy
        self._is_over = threading.Event()
        self._errors: list[BaseException] = []
        self.rounds = 0
        steps = (self._use_objects, self._use_versions_and_uploads, self._fail, self._use_the_gateway, self._crowd)
        self._threads = [threading.Thread(target=self._repeat, args=(step,)) for step in steps]

    def __enter__(self) -> Self:
        for bucket in BUCKETS:
            self._embedded.client().create_bucket(Bucket=bucket)
        films = {"Bucket": "films", "VersioningConfiguration": {"Status": "Enabled"}}
        self._embedded.client().put_bucket_versioning(**films)
        self._gateway.client().create_bucket(Bucket="through")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)
        if self._errors and error[0] is None:
            raise self._errors[0]

    def _repeat(self, step: Callable[[Any, int], None]) -> None:
        server = self._gateway if step == self._use_the_gateway else self._embedded
        s3, count = server.client(), 0
        try:
            while not self._is_over.is_set():
                step(s3, count)
                count += 1
                self.rounds += 1
                time.sleep(PAUSE_S)
        except BaseException as caught:
            self._errors.append(caught)
        finally:
            s3.close()

    def _use_objects(self, s3: Any, count: int) -> None:
        key = f"folder/{count % 50}"
        s3.put_object(Bucket="photos", Key=key, Body=bytes(50_000))
        s3.head_object(Bucket="photos", Key=key)
        s3.get_object(Bucket="photos", Key=key)["Body"].read()
        s3.get_object(Bucket="photos", Key=key, Range="bytes=10-20")["Body"].read()
        if count % 5 == 0:
            s3.put_object(Bucket="photos", Key="large", Body=LARGE)
            s3.get_object(Bucket="photos", Key="large")["Body"].read()
            s3.copy_object(Bucket="photos", Key="copy", CopySource="photos/large")
            s3.list_objects_v2(Bucket="photos", Prefix="folder/")
            s3.list_buckets()
        if count % 3 == 0:
            s3.delete_object(Bucket="photos", Key=key)

    def _use_versions_and_uploads(self, s3: Any, count: int) -> None:
        s3.put_object(Bucket="films", Key="k", Body=b"x" * (count % 100))
        s3.list_object_versions(Bucket="films")
        upload = s3.create_multipart_upload(Bucket="films", Key="m")["UploadId"]
        named = {"Bucket": "films", "Key": "m", "UploadId": upload}
        part = s3.upload_part(**named, PartNumber=1, Body=b"part")
        if count % 4:
            s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        s3.put_object_tagging(Bucket="films", Key="k", Tagging={"TagSet": [{"Key": "n", "Value": str(count)}]})
        s3.delete_objects(Bucket="films", Delete={"Objects": [{"Key": "k"}]})

    def _fail(self, s3: Any, count: int) -> None:
        """The client's faults: what is missing, wrong keys, heads that are none."""
        stranger = boto_client(self._embedded.endpoint, self._embedded.access_key, "wrong" * 5)
        for attempt in (
            lambda: s3.get_object(Bucket="photos", Key="never"),
            lambda: s3.list_objects_v2(Bucket="no-such-bucket"),
            stranger.list_buckets,
        ):
            with contextlib.suppress(ClientError):
                attempt()
        with socket.create_connection((self._embedded.host, self._embedded.port)) as sock:
            sock.sendall(b"NONSENSE\r\n\r\n")
            sock.recv(1_000)
        stranger.close()

    def _use_the_gateway(self, s3: Any, count: int) -> None:
        """One request in a few is refused by the service behind, and repeated."""
        if count % 4 == 3:
            self._proxy.add(Fault(answer(503, b"<Error><Code>SlowDown</Code></Error>")))
        s3.put_object(Bucket="through", Key="k", Body=LARGE)
        s3.get_object(Bucket="through", Key="k")["Body"].read()

    def _crowd(self, s3: Any, count: int) -> None:
        """More clients than may connect, each with a request begun."""
        if count % 50 == 10:
            with contextlib.ExitStack() as held:
                for _ in range(80):
                    connection = http.client.HTTPConnection(self._embedded.host, self._embedded.port, timeout=5)
                    held.callback(connection.close)
                    connection.connect()
                    connection.send(b"GET / HTTP/1.1\r\n")
                time.sleep(0.2)
