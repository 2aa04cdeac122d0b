"""Everything that a server holds, for "nothing was stored and nothing changed"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

Inventory = dict[str, Any]


def inventory(s3: Any, *only: str) -> Inventory:
    """The names of all buckets of the client's user; of each, or of `only` these, settings, versions, markers, uploads
    and parts.
    """
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return {name: _bucket(s3, name) if name in only or not only else None for name in names}


def blob_files(data_dir: Path) -> dict[str, int]:
    """Sizes of the stored blobs by path. Temporary files count too, the locks of living processes do not."""
    root = data_dir / "objects"
    files = (path for path in root.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(root)): path.stat().st_size for path in files}


def _bucket(s3: Any, name: str) -> Inventory:
    versions = _pages(s3, "list_object_versions", name)
    uploads = [upload for page in _pages(s3, "list_multipart_uploads", name) for upload in page.get("Uploads", [])]
    return {
        "versions": sorted(
            (each["Key"], each["VersionId"], each.get("ETag", ""), each.get("Size", -1), each["IsLatest"])
            for page in versions
            for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ),
        "uploads": sorted((each["Key"], each["UploadId"], _parts(s3, name, each)) for each in uploads),
        "acl": s3.get_bucket_acl(Bucket=name)["Grants"],
        "tags": _or_none(s3.get_bucket_tagging, "TagSet", name),
        "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
        "ownership": _or_none(s3.get_bucket_ownership_controls, "OwnershipControls", name),
    }


def _pages(s3: Any, operation: str, bucket: str) -> list[Any]:
    return list(s3.get_paginator(operation).paginate(Bucket=bucket))


def _parts(s3: Any, bucket: str, upload: Any) -> tuple[tuple[int, str], ...]:
    listed = s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return tuple((part["PartNumber"], part["ETag"]) for part in listed.get("Parts", []))


def _or_none(call: Any, field: str, bucket: str) -> Any:
    try:
        return call(Bucket=bucket)[field]
    except ClientError:
        return None
