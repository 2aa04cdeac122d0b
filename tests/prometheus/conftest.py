"""One scene for all tests here: two servers under load, and a Prometheus that scrapes both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.components import require_prometheus, require_python
from tests.fault_proxy import FaultProxy
from tests.gateways import BUCKET, aws_environment
from tests.prometheus.load import Load
from tests.prometheus.running import Prometheus, prometheus
from tests.servers import ROOT, RunningServer, free_port

RULES = ROOT / "helm/bleepstore/files/rules.yaml"
DASHBOARD = ROOT / "helm/bleepstore/files/dashboard.json"
TOKEN = "the-token-of-prometheus"


@dataclass
class Scene:
    prometheus: Prometheus
    embedded: RunningServer
    metrics_port: int
    load: Load


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """`embedded` has two workers, its metrics on a port and behind a token of their own, and room for few clients."""
    require_prometheus()
    require_python("boto3")
    directory, port = tmp_path_factory.mktemp("scene"), free_port()
    guarded = ("--observability.metrics_bind", f"127.0.0.1:{port}", "--observability.metrics_token", TOKEN)
    # A small reserve makes for checkpoints at every MiB of the log.
    small = ("--storage.reserve_bytes", "1", "--server.limits.worker_connections", "20")
    with ExitStack() as stack:
        embedded = RunningServer(directory / "embedded", (*guarded, *small), workers=2)
        upstream = RunningServer(directory / "upstream")
        for server in (embedded, upstream):
            stack.callback(server.kill9)
            server.start()
        upstream.client().create_bucket(Bucket=BUCKET)
        proxy = stack.enter_context(FaultProxy(upstream.endpoint))
        token = ("--observability.metrics_token", TOKEN)
        gateway = RunningServer(directory / "gateway", token, environ=aws_environment(proxy.url, upstream))
        stack.callback(gateway.kill9)
        gateway.start()
        targets = [f"127.0.0.1:{port}", f"127.0.0.1:{gateway.port}"]
        running = stack.enter_context(prometheus(directory, targets, rules=RULES, token=TOKEN))
        load = stack.enter_context(Load(embedded, gateway, proxy))
        yield Scene(running, embedded, port, load)
