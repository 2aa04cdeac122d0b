"""What the server answers is what the OpenAPI document says: statuses, headers, and every element of every document.

One scenario on memory engines goes through all operations in this process. What an operation answered is compared with its description; for elements in both directions, so nothing is promised that never comes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import pytest

from app import build_store, credentials
from app.auth.credentials import Credential
from app.auth.signing import sign_headers
from app.auth.sigv4 import Authenticator
from app.config import Config, Metadata, Storage
from app.core import content
from app.domain.digests import CHECKSUM_ALGORITHMS, checksum_of
from app.s3.outcome import Outcome
from app.s3.pipeline import Incoming, Pipeline, Settings
from app.s3.request import Headers
from app.s3.routing import Router
from app.s3.views import BLUEPRINTS
from tests.unit.openapi import document, elements_documented, elements_sent, local, operations, resolved

OPERATIONS = operations()
UNCONFIGURED = next(blueprint for blueprint in BLUEPRINTS if blueprint.name == "unconfigured")
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# Sent by the pipeline with everything, and by whoever makes a document.
ALWAYS = {"x-amz-request-id", "x-amz-id-2"}
PART = bytes(5 << 20)
REGION, NOW_S = "us-east-1", 1_771_761_600.0


@dataclass
class Body:
    """A request's body that came with a length."""

    data: bytes
    length: int
    is_chunked: bool = False
    awaits_continue: bool = False

    def receive(self, max_bytes: int) -> bytes:
        self.data, received = self.data[max_bytes:], self.data[:max_bytes]
        return received

    def wait(self) -> bool:
        return not self.is_consumed

    def read(self, max_bytes: int) -> bytes:
        return self.receive(max_bytes)

    def read_into(self, room: memoryview) -> int | None:
        received = self.receive(len(room))
        room[: len(received)] = received
        return len(received) or None

    @property
    def is_consumed(self) -> bool:
        return not self.data


@dataclass(frozen=True)
class Answer:
    request: str
    status: int
    headers: dict[str, str]
    body: bytes

    def text(self, name: str) -> str:
        found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), self.body)
        assert found, (self.request, name, self.body)
        return found[1].decode()


@dataclass
class World:
    """Asks the pipeline and remembers what each operation answered."""

    pipeline: Pipeline = field(init=False)
    known: dict[str, Credential] = field(init=False)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    operation: str = ""

    def __post_init__(self) -> None:
        config = Config(metadata=Metadata(engine="memory"), storage=Storage(backend="memory", encrypted_at_rest=True))
        self.known = credentials(config)
        store = build_store(config)
        store.metadata.open()
        store.storage.open()

        def record(outcome: Outcome, seconds: float) -> None:
            self.operation = outcome.operation

        self.pipeline = Pipeline(
            Router(rule for blueprint in BLUEPRINTS for rule in blueprint.rules),
            Authenticator(self.known.get, REGION, (), lambda: NOW_S),
            store,
            Settings(),
            record,
        )

    def ask(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Answer:
        """Header names with "_" for "-"."""
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        (root,) = self.known.values()
        signed = sign_headers(method, f"http://localhost{target}", named, root, region=REGION, now_s=NOW_S)
        incoming = Incoming(method, target, Headers(signed.headers), Body(body, len(body)), "", False)
        response, finish = self.pipeline.handle(incoming)
        received = response.body if isinstance(response.body, bytes) else b"".join(content.chunks(response.body))
        finish(len(received))
        answer = Answer(f"{method} {target}", response.status, dict(response.headers), received)
        self.answers[self.operation].append(answer)
        return answer


def tagged(name: str, *pieces: str) -> bytes:
    return f"<{name}>{''.join(pieces)}</{name}>".encode()


def scenario(world: World) -> None:
    ask = world.ask
    ask("PUT", "/box", tagged("CreateBucketConfiguration"))
    ask("PUT", "/box2")
    ask("GET", "/?prefix=box&max-buckets=1")
    ask("HEAD", "/box")
    ask("GET", "/box?location")
    grant = '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>'
    owner = ask("GET", "/box?acl").text("ID")
    acl = tagged(
        "AccessControlPolicy", f"<Owner><ID>{owner}</ID></Owner><AccessControlList>{grant}</AccessControlList>"
    )
    ask("PUT", "/box?acl", acl)
    ask("GET", "/box?acl")
    tags = tagged("Tagging", "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>")
    ask("PUT", "/box?tagging", tags)
    ask("GET", "/box?tagging")
    ask("DELETE", "/box?tagging")
    ask("GET", "/box?tagging")
    ask("GET", "/box?policy")
    ask("PUT", "/box?policy",
        b'{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box/no/*"}}')  # fmt: skip
    ask("GET", "/box?policy")
    ask("GET", "/box?policyStatus")
    ask("DELETE", "/box?policy")
    field = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    fields = field.format("key", "posted") + field.format("success_action_status", "201")
    ask("POST", "/box", f"{fields}{field.format('file', 'data')}--x--\r\n".encode(),
        content_type="multipart/form-data; boundary=x")  # fmt: skip
    ask("DELETE", "/box/posted")
    ask("GET", "/box?ownershipControls")
    ask("PUT", "/box?ownershipControls",
        tagged("OwnershipControls", "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"))  # fmt: skip
    ask("GET", "/box?ownershipControls")
    ask("DELETE", "/box?ownershipControls")
    ask("PUT", "/box?versioning", tagged("VersioningConfiguration", "<Status>Enabled</Status>"))
    ask("GET", "/box?versioning")
    of_objects(world, acl, tags)
    of_uploads(world)
    of_listings(world)
    ask("DELETE", "/box2")
    ask("DELETE", "/box")
    for rule in UNCONFIGURED.rules:
        target = "/box/copy" if "<key:" in rule.path else "/box"
        ask(rule.method, f"{target}?{rule.subresource}" if rule.subresource else target)
        if "id" in rule.parameters:
            ask(rule.method, f"{target}?{rule.subresource}&id=1")
        if "annotationName" in rule.parameters:
            ask(rule.method, f"{target}?{rule.subresource}&annotationName=a")
        ask(rule.method, f"/absent/k?{rule.subresource}" if "<key:" in rule.path else f"/absent?{rule.subresource}")


def of_objects(world: World, acl: bytes, tags: bytes) -> None:
    ask = world.ask
    described = {
        "content-type": "text/plain", "cache-control": "no-store", "content-disposition": "inline",
        "content-encoding": "gzip", "content-language": "en", "expires": "0", "x-amz-meta-a": "b",
        "x-amz-storage-class": "GLACIER", "x-amz-website-redirect-location": "/", "x-amz-tagging": "a=b",
        "x-amz-server-side-encryption": "AES256",
    }  # fmt: skip
    ask("PUT", "/box/gone", b"x")
    ask("DELETE", "/box/gone")
    version = ask("PUT", "/box/k", b"hello", **described).headers["x-amz-version-id"]
    ask("PUT", "/box/k", b"x", x_amz_checksum_sha256=base64.b64encode(hashlib.sha256(b"y").digest()).decode())
    ask("PUT", "/box/k", b"x", if_none_match="*")
    ask("PUT", "/box/" + "k" * 1025, b"x")
    for method in ("GET", "HEAD"):
        etag = ask(method, "/box/k", x_amz_checksum_mode="ENABLED").headers["ETag"]
        ask(method, f"/box/k?versionId={version}&partNumber=1", x_amz_checksum_mode="ENABLED")
        ask(method, "/box/k", range="bytes=1-2")
        ask(method, "/box/k", range="bytes=9-")
        ask(method, "/box/k", if_none_match=etag)
        ask(method, "/box/k", if_match='"other"')
        ask(method, "/box/k?partNumber=2")
        ask(method, "/box/absent")
        ask(method, "/box/gone")
    marker = ask("HEAD", "/box/gone").headers["x-amz-version-id"]
    ask("GET", f"/box/gone?versionId={marker}")
    ask("PUT", "/box/copy", x_amz_copy_source=f"box/k?versionId={version}")
    ask("PUT", "/box/copy", x_amz_copy_source="box/absent")
    for algorithm in CHECKSUM_ALGORITHMS:
        ask("PUT", "/box/copy", x_amz_copy_source="box/k", x_amz_checksum_algorithm=algorithm)
        ask("GET", "/box/copy?attributes", x_amz_object_attributes="Checksum,ETag,ObjectSize,StorageClass")
    for subresource, written in (("acl", acl), ("tagging", tags)):
        ask("GET", f"/box/k?{subresource}")
        ask("PUT", f"/box/k?{subresource}", written)
        ask("GET", f"/box/k?{subresource}")
        ask("GET", f"/box/gone?{subresource}")
        ask("GET", f"/box/gone?{subresource}&versionId={marker}")
    ask("DELETE", "/box/k?tagging")
    listed = (
        "<Object><Key>none</Key></Object>",
        f"<Object><Key>gone</Key><VersionId>{marker}</VersionId></Object>",
        "<Object><Key>x</Key><VersionId>null</VersionId><ETag>e</ETag></Object>",
    )
    body = tagged("Delete", *listed)
    ask("POST", "/box?delete", body, content_md5=base64.b64encode(hashlib.md5(body).digest()).decode())
    ask("DELETE", "/box/k", if_match='"other"')
    ask("DELETE", "/box/k?versionId=" + version)


def of_uploads(world: World) -> None:
    ask = world.ask
    for algorithm in CHECKSUM_ALGORITHMS:
        with_checksum = {"x-amz-checksum-algorithm": algorithm}
        upload = ask("POST", "/box/multi?uploads", **with_checksum).text("UploadId")
        parts = []
        for number, data in enumerate((PART, b"end"), 1):
            ask("PUT", f"/box/multi?uploadId={upload}&partNumber={number}", data)
            value = checksum_of(algorithm, data)
            md5 = hashlib.md5(data).hexdigest()
            parts.append(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{md5}</ETag><Checksum{algorithm}>{value}"
                f"</Checksum{algorithm}></Part>"
            )
        ask("GET", f"/box/multi?uploadId={upload}&max-parts=1&encoding-type=url")
        ask("GET", f"/box/multi?uploadId={upload}")
        if algorithm == CHECKSUM_ALGORITHMS[0]:
            ask("GET", "/box?uploads&max-uploads=1&encoding-type=url")
        ask("POST", f"/box/multi?uploadId={upload}", tagged("CompleteMultipartUpload", *reversed(parts)))
        ask("POST", f"/box/multi?uploadId={upload}", tagged("CompleteMultipartUpload", *parts))
        ask("GET", "/box/multi?attributes", x_amz_object_attributes="ObjectParts", x_amz_max_parts="1")
        ask("GET", "/box/multi?attributes", x_amz_object_attributes="ObjectParts")
        upload = ask("POST", "/box/multi?uploads", **with_checksum).text("UploadId")
        target = f"/box/multi?uploadId={upload}&partNumber=1"
        ask("PUT", target, x_amz_copy_source="box/copy", x_amz_copy_source_range="bytes=1-2")
        ask("PUT", target, x_amz_copy_source="box/copy", x_amz_copy_source_range="bytes=1-200")
    for method in ("GET", "HEAD"):
        ask(method, "/box/multi?partNumber=2", x_amz_checksum_mode="ENABLED")
    ask("GET", "/box?uploads&max-uploads=1&delimiter=u")
    ask("GET", "/box?uploads&max-uploads=1")
    ask("DELETE", f"/box/multi?uploadId={upload}")
    ask("DELETE", f"/box/multi?uploadId={upload}")


def of_listings(world: World) -> None:
    ask = world.ask
    for listing in ("", "list-type=2&fetch-owner=true&start-after=a&", "versions&"):
        ask("GET", f"/box?{listing}max-keys=1&encoding-type=url")
        ask("GET", f"/box?{listing}max-keys=1&delimiter=o")
        ask("GET", f"/box?{listing}delimiter=u&prefix=")
    token = ask("GET", "/box?list-type=2&max-keys=1").text("NextContinuationToken")
    ask("GET", f"/box?list-type=2&continuation-token={token}")


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    scenario(made)
    return made


def test_the_scenario_asks_every_operation(world: World) -> None:
    assert set(world.answers) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_answers_have_documented_statuses_codes_and_headers(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    for answer in world.answers[name]:
        response = operation.response(answer.status)
        if answer.status >= 400 and answer.body:
            assert answer.text("Code") in {*operation.node.get("x-errors", ()), "InvalidArgument", "InvalidRequest"}
        if response is None:
            assert answer.text("Code") in document()["x-errors-of-every-operation"], answer
        else:
            assert not undocumented(set(answer.headers) - ALWAYS, set(response.get("headers", ()))), answer


def undocumented(sent: set[str], named: set[str]) -> set[str]:
    """The headers that no name covers. A document's type stands with its content."""
    prefixes = tuple(name[:-1] for name in named if name.endswith("*"))
    return {name for name in sent if name not in named and not name.startswith(prefixes or ("\0",))} - {"Content-Type"}


WITH_DOCUMENT = [
    name
    for name, operation in OPERATIONS.items()
    if "application/xml" in (operation.response(200) or {}).get("content", {})
]


@pytest.mark.parametrize("name", WITH_DOCUMENT)
def test_documents_have_exactly_the_documented_elements(world: World, name: str) -> None:
    response = OPERATIONS[name].response(200)
    assert response is not None
    schema = resolved(response["content"]["application/xml"]["schema"])
    roots = [ET.fromstring(answer.body) for answer in world.answers[name] if answer.status == 200]
    assert roots
    assert {root.tag for root in roots} == {f"{{{NAMESPACE}}}{schema['xml']['name']}"}
    assert schema["xml"]["namespace"] == NAMESPACE
    assert set().union(*map(elements_sent, roots)) == elements_documented(schema)


def test_errors_have_the_documented_elements(world: World) -> None:
    refused = [
        answer for answers in world.answers.values() for answer in answers if answer.status >= 400 and answer.body
    ]
    named = elements_documented(resolved({"$ref": "#/components/schemas/Error"}))
    for answer in refused:
        error = ET.fromstring(answer.body)
        assert error.tag == "Error"
        assert named <= {local(child.tag) for child in error}
