"""A real Prometheus over real servers, and what is asked of it."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.components import require_prometheus
from tests.servers import free_port

START_TIMEOUT_S = 20.0
SCRAPE_EVERY_S = 0.5
JOB = "bleepstore"

Labels = Mapping[str, str]


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, expr: str) -> list[tuple[Labels, float]]:
        """What an instant query gives now, without what is no number. Raises: AssertionError for one that is refused."""
        answer = self._ask("/api/v1/query", query=expr)
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        found = [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]
        return [(labels, value) for labels, value in found if not math.isnan(value)]

    def ask_until_answered(self, expr: str, timeout_s: float) -> list[tuple[Labels, float]]:
        """As `query`; nothing where nothing came in that time: rates need two scrapes, and a rule an evaluation."""
        deadline = time.monotonic() + timeout_s
        while not (found := self.query(expr)) and time.monotonic() < deadline:
            time.sleep(SCRAPE_EVERY_S)
        return found

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("/api/v1/targets")["data"]["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        groups = self._ask("/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self._url}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        return found


@contextlib.contextmanager
def prometheus(
    directory: Path, targets: Sequence[str], *, rules: Path | None = None, token: str = ""
) -> Iterator[Prometheus]:
    """`targets` are "host:port"; each is scraped with the token, where there is one."""
    job: dict[str, Any] = {"job_name": JOB, "static_configs": [{"targets": list(targets)}]}
    if token:
        (directory / "token").write_text(token)
        job["authorization"] = {"credentials_file": str(directory / "token")}
    config = {
        "global": {"scrape_interval": f"{SCRAPE_EVERY_S * 1_000:.0f}ms", "evaluation_interval": "1s"},
        "rule_files": [] if rules is None else [str(rules)],
        "scrape_configs": [job],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    with prometheus_of(directory / "prometheus.yml") as running:
        yield running


@contextlib.contextmanager
def prometheus_of(config: Path) -> Iterator[Prometheus]:
    """With this configuration; its data lie beside it."""
    program, port, directory = require_prometheus(), free_port(), config.parent
    command = [
        program, f"--config.file={config}", f"--storage.tsdb.path={directory}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with open(directory / "prometheus.log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        running = Prometheus(port)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not running.is_ready():
            assert process.poll() is None, (directory / "prometheus.log").read_text()
            assert time.monotonic() < deadline, "Prometheus does not answer"
            time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(20)
