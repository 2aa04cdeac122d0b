"""Metrics: right over several processes, right after one was killed, nothing at all when switched off."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from app.config import load_config
from app.observe.metrics import Metrics, NoMetrics, for_config
from app.observe.slots import DIRECTORY_PREFIX

ROOT = Path(__file__).parents[2]

# A master that forks workers the way the server does. Each line of `jobs` is what one worker runs.
MASTER = """
import os, signal, sys
from app.config import load_config
from app.observe import metrics, slots
from app.s3.outcome import Handled
config = load_config({}, {})
recorder = metrics.for_config(config)
metrics.setup(config)
def worker(job):
    pid = os.fork()
    if pid == 0:
        job()
        os._exit(0)
    return pid
def count(times, operation="GetObject", bucket="b"):
    recorder.requests.begun()
    for _ in range(times):
        recorder.requests.whole(
            Handled("", "GET", operation, bucket, "k", status=200, bytes_in=10, has_bucket=True), 0.002, 100
        )
    recorder.requests.over()
def killed():
    count(5)
    os.kill(os.getpid(), signal.SIGKILL)
def reap(pid):
    os.waitpid(pid, 0)
def show():
    sys.stdout.write(recorder.render()[0].decode())
    sys.stdout.flush()
"""


def run(script: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MASTER + script]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, f"{series} is not in\n{text}"
    return float(found[1])


def test_every_worker_gives_the_sum_of_all() -> None:
    text = run("for _ in range(3): reap(worker(lambda: count(4)))\nreap(worker(show))")
    assert value(text, 'bleepstore_s3_operations_total{operation="GetObject",status="200"}') == 12
    assert value(text, 'bleepstore_s3_request_duration_seconds_count{operation="GetObject"}') == 12
    assert value(text, 'bleepstore_s3_request_duration_seconds_bucket{le="0.001",operation="GetObject"}') == 0
    assert value(text, 'bleepstore_s3_request_duration_seconds_bucket{le="0.002",operation="GetObject"}') == 12
    assert value(text, "bleepstore_bytes_received_total") == 120
    assert value(text, "bleepstore_bytes_sent_total") == 1200
    assert len(re.findall(r'^bleepstore_build_info\{version="[0-9.]+"\} 1\.0$', text, re.MULTILINE)) == 1


def test_requests_to_back_ends_are_counted_in_many_threads_of_many_workers() -> None:
    text = run("""
import threading
watch = recorder.backend("cold")
def threads():
    def work():
        for _ in range(2_000):
            watch.request("get", "ok", 0.002)
            watch.request("put", "throttled", 0.2)
            watch.request("put", "full", 40.0)
            watch.retry("put")
            watch.request("get", "whatever", 0.00005)
    count(3)
    all = [threading.Thread(target=work) for _ in range(4)]
    for each in all: each.start()
    for each in all: each.join()
for _ in range(2): reap(worker(threads))
reap(worker(show))
""")
    total = 16_000
    labels = 'backend="cold",op="get",outcome="%s"'
    assert value(text, f"bleepstore_backend_requests_total{{{labels % 'ok'}}}") == total
    assert value(text, f"bleepstore_backend_requests_total{{{labels % 'error'}}}") == total
    assert value(text, 'bleepstore_backend_requests_total{backend="cold",op="put",outcome="slow_down"}') == 2 * total
    assert value(text, 'bleepstore_backend_retries_total{backend="cold",op="put"}') == total
    durations = "bleepstore_backend_duration_seconds"
    assert value(text, f'{durations}_count{{backend="cold",op="get"}}') == 2 * total
    assert value(text, f'{durations}_bucket{{backend="cold",le="0.0001",op="get"}}') == total
    assert value(text, f'{durations}_bucket{{backend="cold",le="30.0",op="put"}}') == total
    assert value(text, f'{durations}_bucket{{backend="cold",le="+Inf",op="put"}}') == 2 * total
    assert round(value(text, f'{durations}_sum{{backend="cold",op="put"}}')) == round(40.2 * total)
    assert value(text, 'bleepstore_s3_operations_total{operation="GetObject",status="200"}') == 6


def test_a_killed_worker_loses_no_count_and_its_successor_counts_on() -> None:
    text = run("for _ in range(10): reap(worker(killed))\nreap(worker(show))")
    assert value(text, 'bleepstore_s3_operations_total{operation="GetObject",status="200"}') == 50


def test_workers_that_come_and_go_leave_no_heap_of_files() -> None:
    listing = run("for _ in range(10): reap(worker(killed))\nprint(sorted(os.listdir(slots.directory())))\n")
    assert listing.strip() == "['alive', 'buckets', 'slot-0.cells', 'slot-0.lock']"


def test_workers_that_live_at_once_count_into_files_of_their_own() -> None:
    text = run(
        "import time\n"
        "gate, opened = os.pipe()\n"
        "def waits():\n"
        "    count(3); os.close(opened); os.read(gate, 1)\n"
        "pids = [worker(waits) for _ in range(3)]\n"
        "while len([n for n in os.listdir(slots.directory()) if n.endswith('.cells')]) < 3: time.sleep(0.01)\n"
        "os.close(opened)\n"
        "for pid in pids: reap(pid)\n"
        "reap(worker(show))\n"
    )
    assert value(text, 'bleepstore_s3_operations_total{operation="GetObject",status="200"}') == 9


def test_a_dead_servers_directory_is_removed_by_the_next_start_and_a_live_ones_is_not() -> None:
    left = Path(run("print(slots.directory())").strip())
    assert left.name.startswith(DIRECTORY_PREFIX)
    kept = run(
        "import subprocess\n"
        "mine = slots.directory()\n"
        "subprocess.run([sys.executable, '-c', 'from app.observe import metrics; from app.config import load_config; "
        "metrics.setup(load_config({}, {}))'], check=True)\n"
        "print(os.path.isdir(mine))\n"
    )
    assert kept.strip() == "True"
    assert not left.exists()


def test_a_reload_keeps_the_directory() -> None:
    same = run("before = slots.directory(); metrics.setup(config); print(before == slots.directory())")
    assert same.strip() == "True"


def test_openmetrics_is_given_to_those_who_ask_for_it() -> None:
    recorder = Metrics()
    assert recorder.render()[1].startswith("text/plain")
    body, content_type = recorder.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_switched_off_nothing_is_imported_or_made() -> None:
    assert isinstance(for_config(load_config({"observability.metrics": "false"}, {})), NoMetrics)
    code = (
        "import os, sys\nfrom app.config import load_config\nfrom app.observe import metrics, slots\n"
        "config = load_config({'observability.metrics': 'false'}, {})\nmetrics.setup(config)\n"
        "print('prometheus_client' in sys.modules, slots.directory())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False None"


def test_counting_needs_no_flask() -> None:
    done = run("count(1)\nprint([name for name in ('flask', 'gevent') if name in sys.modules])")
    assert done.strip() == "[]"


def test_a_server_without_metrics_has_nobody_who_counts(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom app import create_app\nfrom app.config import load_config\n"
        f"front = create_app(load_config({{'observability.metrics': 'false', 'data_dir': {str(tmp_path)!r}}}, {{}}))\n"
        "life = front.lifecycle\n"
        "print(front._count, life.counters, life.short_way._pipeline._counts, life.store.metadata.watch,\n"
        "    life.short_way._pipeline._authenticator._tell_stage, [name for name in sys.modules if 'prometheus' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None None None None None []"
