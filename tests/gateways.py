"""Our server as a gateway: the objects' bytes lie in a bucket of another service."""

from __future__ import annotations

from tests.servers import RunningServer

BUCKET = "bytes-of-a-gateway"


def aws_environment(url: str, credentials: RunningServer, **settings: str) -> dict[str, str]:
    """Variables of a server that keeps its bytes in BUCKET at `url`, with the keys of that server of ours."""
    aws = {
        "bucket": BUCKET, "endpoint_url": url, "use_path_style": "true", "region": "us-east-1",
        "access_key_id": credentials.access_key, "secret_access_key": credentials.secret_key, **settings,
    }  # fmt: skip
    return {"BLEEPSTORE_STORAGE_BACKEND": "aws"} | {
        f"BLEEPSTORE_STORAGE_AWS_{name.upper()}": value for name, value in aws.items()
    }
