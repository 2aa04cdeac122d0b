"""What a release keeps at an upgrade, asked of a cluster's API: a small one, that has one Secret."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from tests.helm.charts import CHART, KUBERNETES, MAJORS, NAMESPACE, RELEASE, helm

KEPT = base64.b64encode(b"made-at-the-first-install").decode()
SECRET = {
    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{RELEASE}-bleepstore-auth", "namespace": NAMESPACE},
    "type": "Opaque", "data": {"access-key": base64.b64encode(b"bleepstore").decode(), "secret-key": KEPT},
}  # fmt: skip


def resources(group_version: str, **kinds: str) -> dict[str, Any]:
    """What discovery says of a group: the kinds that the chart renders, by the name that paths have."""
    listed = [
        {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


_APPS = {"groupVersion": "apps/v1", "version": "v1"}
ANSWERS: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
    },
    "/api/v1": resources(
        "v1", secrets="Secret", configmaps="ConfigMap", services="Service", serviceaccounts="ServiceAccount", pods="Pod"
    ),
    "/apis/apps/v1": resources("apps/v1", statefulsets="StatefulSet"),
}  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Its URL, by `cluster(has_secret=…)`."""
    running: list[ThreadingHTTPServer] = []

    def start(*, has_secret: bool) -> str:
        secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets/"
        answers = ANSWERS | ({secrets + str(SECRET["metadata"]["name"]): SECRET} if has_secret else {})  # type: ignore[index]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.get(self.path.partition("?")[0])
                status = 200 if answer else 404
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                body = json.dumps(answer or missing).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Not into the tests' output."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def secret_key(major: int, url: str, *further: str) -> str:
    text = helm(
        major, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=server", "--kube-apiserver", url,
        "--kube-version", KUBERNETES, "--disable-openapi-validation", "--is-upgrade", "--show-only", "templates/secrets.yaml", *further,
    ).stdout  # fmt: skip
    key: str = yaml.safe_load(text)["data"]["secret-key"]
    return key


@pytest.mark.parametrize("major", MAJORS)
def test_a_generated_key_is_kept(major: int, cluster: Any) -> None:
    assert secret_key(major, cluster(has_secret=True)) == KEPT


@pytest.mark.parametrize("major", MAJORS)
def test_the_first_install_makes_one(major: int, cluster: Any) -> None:
    url = cluster(has_secret=False)
    made = {secret_key(major, url) for _ in range(2)}
    assert len(made) == 2
    assert all(len(base64.b64decode(key)) == 40 for key in made)


def test_a_key_that_is_given_takes_the_place_of_the_kept_one(cluster: Any) -> None:
    key = secret_key(4, cluster(has_secret=True), "--set=auth.secretKey=a-new-one")
    assert base64.b64decode(key) == b"a-new-one"
