"""The clients that play the scenarios, each behind the same `call`."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import re
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.clients import DOMAIN
from tests.clients.scenarios import Refused
from tests.components import require, require_aws_cli, require_node_module
from tests.servers import RunningServer

REGION = "us-east-1"
TIMEOUT_S = 120


def environment(server: RunningServer, home: Path) -> dict[str, str]:
    """What the AWS tools read, and nothing of the user's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }


def resolving() -> dict[str, str]:
    """With these a Python program finds every host below DOMAIN on this machine."""
    return {"PYTHONPATH": str(Path(__file__).parent / "resolver"), "BLEEPSTORE_TEST_DOMAIN": DOMAIN}


@dataclass
class Boto3Call:
    """boto3's low-level client."""

    client: Any

    def __call__(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import ClientError

        try:
            answer = getattr(self.client, xform_name(operation))(**parameters)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise Refused(error.response["Error"]["Code"], status) from error
        if "Body" in answer:
            with answer["Body"] as stream:
                answer["Body"] = stream.read()
        found: dict[str, Any] = answer
        return found


@dataclass
class AwsCli:
    """The `aws` program; see `components.require_aws_cli` for which."""

    server: RunningServer
    home: Path
    ca_file: str | None = None
    endpoint: str | None = None  # another name of the server
    command: str = field(default_factory=require_aws_cli)

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> bytes:
        """Standard output. Raises: Refused for an error of the server, AssertionError for any other."""
        environ = environment(self.server, self.home) | dict(environ or {})
        if self.ca_file is not None:
            environ["AWS_CA_BUNDLE"] = self.ca_file
        done = subprocess.run(
            [self.command, "--endpoint-url", self.endpoint or self.server.endpoint, *arguments], input=stdin, cwd=cwd or self.home,
            env=environ, capture_output=True, timeout=TIMEOUT_S,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
        message = done.stderr.decode()
        refusal = re.search(r"An error occurred \((\w+)\)", message)
        if refusal is None:
            if re.search(r"Unknown parameter in input|Missing Dependency|Unsupported checksum algorithm", message):
                reason = " ".join(message.split())[:160]
                pytest.skip(f"this AWS CLI cannot do it; BLEEPSTORE_TEST_AWS chooses another: {reason}")
            raise AssertionError(f"aws {' '.join(arguments)} failed:\n{message}")
        raise Refused(refusal[1], int(refusal[1]) if refusal[1].isdigit() else None)

    def __call__(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """`aws s3api`. A body goes by a file, the other parameters by a JSON document."""
        from botocore import xform_name

        with tempfile.TemporaryDirectory(dir=self.home) as scratch:
            arguments = ["s3api", xform_name(operation, "-"), "--no-paginate"]
            sent, received = Path(scratch, "sent"), Path(scratch, "received")
            body = parameters.pop("Body", None)
            if body is not None:
                sent.write_bytes(body)
                arguments += ["--body", str(sent)]
            if isinstance(parameters.get("CopySource"), dict):
                parameters["CopySource"] = _copy_source(parameters["CopySource"], quote=False)
            if operation == "GetObject":  # it takes an operand, and with that no document
                for name, value in parameters.items():
                    text = value.isoformat() if isinstance(value, dt.datetime) else str(value)
                    arguments += [f"--{xform_name(name, '-')}", text]
                arguments.append(str(received))
            else:
                document = Path(scratch, "parameters.json")
                document.write_text(json.dumps(parameters, default=dt.datetime.isoformat))
                arguments += ["--cli-input-json", f"file://{document}"]
            printed = self.run(*arguments, cwd=self.home)
            answer: dict[str, Any] = json.loads(printed) if printed.strip() else {}
            if operation == "GetObject":
                answer["Body"] = received.read_bytes()
            return answer


class NodeSdk:
    """The AWS SDK for JavaScript in a node process of its own (`driver.mjs`): one JSON line a request, one an answer."""

    def __init__(self, server: RunningServer, home: Path) -> None:
        directory = require_node_module("@aws-sdk/client-s3")
        environ = environment(server, home) | {"BLEEPSTORE_ENDPOINT": server.endpoint}
        self._process = subprocess.Popen(
            [require("node"), "driver.mjs"], cwd=directory, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def __call__(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        if isinstance(parameters.get("CopySource"), dict):
            parameters["CopySource"] = _copy_source(parameters["CopySource"], quote=True)
        return self.request({"operation": operation, "parameters": parameters})

    def request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Also the SDK's libraries: see driver.mjs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=_tagged) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the node process has ended"
        answer = json.loads(line, object_hook=_untagged)
        if "refused" in answer:
            raise Refused(**answer["refused"])
        assert "failed" not in answer, answer["failed"]
        found: dict[str, Any] = answer["answer"]
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=TIMEOUT_S)
        self._process.stdout.close()


def run(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes = b"",
    expect: int = 0,
) -> str:  # fmt: skip
    """Standard output of a program that must end with this code; the message of a failure holds what it said."""
    done = subprocess.run(
        list(command), env=None if environ is None else dict(environ), cwd=cwd, input=stdin, capture_output=True,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    output = done.stdout.decode(errors="replace")
    said = f"{' '.join(command)} ended with {done.returncode}:\n{output[-4000:]}{done.stderr.decode(errors='replace')[-4000:]}"
    assert done.returncode == expect, said
    return output


def _copy_source(source: Mapping[str, str], *, quote: bool) -> str:
    """As text. The JavaScript SDK wants it escaped by the caller, the CLI does that itself."""
    key = urllib.parse.quote(source["Key"]) if quote else source["Key"]
    version = f"?versionId={source['VersionId']}" if "VersionId" in source else ""
    return f"{source['Bucket']}/{key}{version}"


def _tagged(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    assert isinstance(value, dt.datetime), value
    return {"$date": value.isoformat()}


def _untagged(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
