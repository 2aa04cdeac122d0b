"""Multipart uploads to an S3 service: parts, their end, and those that nobody goes on with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from app.storage.aws_errors import code_of
from app.storage.aws_wire import Etags, body_of, md5_of
from app.storage.remote_calls import Calls, Kind, Trouble, UpstreamError
from app.storage.remote_upstream import Upload

LISTING_PAGES_MAX = 100_000
PART_PAGES_MAX = 10  # of 1,000

_TAKEN = Trouble(Kind.AWAY, "NoSuchUpload", "an upload was ended by somebody else")
_SIZE_DIFFERS = Trouble(Kind.WRONG, "SizeDiffers")


class PartedUpload(Upload):
    """`target` are the arguments Bucket and Key."""

    def __init__(self, client: Any, target: dict[str, str], etags: Etags) -> None:
        self._client = client
        self._etags = etags
        self._target = target
        self._upload = {**target, "UploadId": str(client.create_multipart_upload(**target)["UploadId"])}
        self._parts: dict[int, tuple[str, bytes]] = {}  # the service's ETag and our MD5

    def put_part(self, number: int, content: memoryview, is_last: bool) -> None:
        md5 = md5_of(content)
        answer = self._client.upload_part(
            **self._upload, PartNumber=number, Body=body_of(content), ContentMD5=base64.b64encode(md5).decode()
        )
        self._etags.compare(answer, md5.hex())
        self._parts[number] = str(answer["ETag"]), md5

    def complete(self, size_bytes: int) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, (etag, _) in sorted(self._parts.items())]
        try:
            answer = self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": parts})
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
            answer = self._whole(size_bytes)
        joined = b"".join(md5 for _, (_, md5) in sorted(self._parts.items()))
        self._etags.compare(answer, f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}")

    def abort(self) -> None:
        abort(self._client, self._upload)

    def _whole(self, size_bytes: int) -> dict[str, Any]:
        """What an attempt has made whose answer was lost. Raises: UpstreamError where there is none."""
        try:
            answer: dict[str, Any] = self._client.head_object(**self._target)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                raise
            raise UpstreamError(_TAKEN) from None
        if answer["ContentLength"] != size_bytes:
            raise UpstreamError(_SIZE_DIFFERS)
        return answer


def abort(client: Any, upload: dict[str, str]) -> None:
    """`upload` are the arguments Bucket, Key and UploadId. Fine where there is no such upload any more."""
    try:
        client.abort_multipart_upload(**upload)
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise


def abandoned(calls: Calls, client: Any, bucket: str, prefix: str, after_s: float) -> Iterator[dict[str, str]]:
    """Uploads below a prefix of which nothing has come for so long, by the service's clock."""
    where = {"Bucket": bucket, "Prefix": prefix}
    for _ in range(LISTING_PAGES_MAX):
        page = calls.run("list", partial(client.list_multipart_uploads, **where))
        for each in page.get("Uploads", ()):
            upload = {"Bucket": bucket, "Key": str(each["Key"]), "UploadId": str(each["UploadId"])}
            if _age_s(page, each["Initiated"]) > after_s and _silent_s(calls, client, upload) > after_s:
                yield upload
        if not page.get("IsTruncated"):
            return
        where["KeyMarker"] = page["NextKeyMarker"]
        if page.get("NextUploadIdMarker"):
            where["UploadIdMarker"] = page["NextUploadIdMarker"]


def _silent_s(calls: Calls, client: Any, upload: dict[str, str]) -> float:
    """Seconds since its newest part; without one, infinitely many, and none where it has ended meanwhile."""
    silent_s, marker = float("inf"), 0
    for _ in range(PART_PAGES_MAX):
        page = calls.run("list", _parts_of, client, {**upload, "PartNumberMarker": marker})
        if page is None:
            return 0.0
        for part in page.get("Parts", ()):
            silent_s = min(silent_s, _age_s(page, part["LastModified"]))
        if not page.get("IsTruncated"):
            break
        marker = page["NextPartNumberMarker"]
    return silent_s


def _parts_of(client: Any, arguments: dict[str, Any]) -> dict[str, Any] | None:
    try:
        page: dict[str, Any] = client.list_parts(**arguments)
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise
        return None
    return page


def _age_s(page: dict[str, Any], then: datetime) -> float:
    """By the clock of the service that gave this page, where it says what that shows."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return (now - then).total_seconds()
