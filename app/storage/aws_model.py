"""What botocore has to know of S3: the operations that are used here, and of the endpoints those that lead to them.

Its descriptions of all of S3 and of all services' endpoints would take 11 MiB of every worker. A session takes a
"data_loader" of one's own; this one reads the same files, and what it has read serves all clients of the process.
"""

from __future__ import annotations

from functools import cache
from pathlib import PurePath
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

OPERATIONS = (
    "AbortMultipartUpload", "CompleteMultipartUpload", "CreateMultipartUpload", "DeleteObject", "GetObject", "HeadBucket",
    "HeadObject", "ListMultipartUploads", "ListObjectsV2", "ListParts", "PutObject", "UploadPart",
)  # fmt: skip  # HeadBucket is botocore's own question, for a bucket that is in another region
SERVICES = ("s3", "sts", "sso", "sso-oidc", "signin")  # the others give out credentials

Model = dict[str, Any]


@cache
def lean_loader() -> Any:
    """Give it to a session as its "data_loader"."""
    return Loader(file_loader=_LeanFiles())


class _LeanFiles(JSONFileLoader):  # type: ignore[misc]  # botocore brings no types
    def load_file(self, file_path: str) -> Any:
        """None where there is no such file."""
        content = super().load_file(file_path)
        path = PurePath(file_path)
        if content is not None and path.name == "service-2" and path.parts[-3] == "s3":
            return lean_model(content)
        if content is not None and path.name == "endpoints":
            return lean_endpoints(content)
        return content


def lean_model(model: Model) -> Model:
    """Only OPERATIONS, and the shapes that they are made of."""
    operations = {name: model["operations"][name] for name in OPERATIONS}
    shapes: Model = {}
    wanted = [name for each in operations.values() for name in _shapes_in(each)]
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            wanted += _shapes_in(shapes[name])
    return {**model, "operations": operations, "shapes": shapes}


def lean_endpoints(endpoints: Model) -> Model:
    """Of every partition only SERVICES."""
    partitions = [
        {**each, "services": {name: each["services"][name] for name in SERVICES if name in each["services"]}}
        for each in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _shapes_in(value: Any) -> list[str]:
    """The names that a part of a model refers to: {"shape": name}, at any depth."""
    if isinstance(value, list):
        return [name for each in value for name in _shapes_in(each)]
    if not isinstance(value, dict):
        return []
    named = value.get("shape")
    return ([named] if isinstance(named, str) else []) + [name for each in value.values() for name in _shapes_in(each)]
