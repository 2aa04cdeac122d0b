"""The comparison's arithmetic, and the requests that it prepares: what `make compare` says can be believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests import cases, peers, report, results, wrk
from loadtests.compare import main
from loadtests.measure import Job
from loadtests.prepare import Signer
from loadtests.results import Cell, Comparison, Memory, Round, ServerFacts, ratios

LENGTH_DIGITS = 8


def one_round(ops_per_s: float = 1_000.0, server_cpu_us: float | None = 100.0, **changes: object) -> Round:
    fields: dict[str, object] = {
        "requests": 3_000, "errors": 0, "first_error": "", "ops_per_s": ops_per_s, "p50_ms": 1.0, "p95_ms": 2.0,
        "p99_ms": 3.0, "server_cpu_us": server_cpu_us, "client_cpu_us": 10.0, "pss_mb": 60.0, "others_share": 0.0,
        "elapsed_s": 3.0, "bytes": 3_000_000, "ran_out": False,
    }  # fmt: skip
    return Round(**(fields | changes))  # type: ignore[arg-type]


def a_comparison(ours: list[Round], theirs: list[Round]) -> Comparison:
    servers = [
        ServerFacts("bleepstore", "BleepStore 1", 3, Memory(60.0, 50.0, 80.0, 70.0)),
        ServerFacts("peer", "P", 1),
    ]
    cells = [Cell("GET-1KiB-16", "bleepstore", "wrk", ours), Cell("GET-1KiB-16", "peer", "wrk", theirs)]
    return Comparison("peer", 2, {"kernel": "6.1"}, servers, cells)


def test_a_ratio_is_of_two_measurements_of_one_round() -> None:
    ours = [one_round(300.0), one_round(800.0), one_round(500.0)]
    theirs = [one_round(100.0), one_round(400.0), one_round(100.0)]
    spread = ratios(ours, theirs, "ops_per_s")
    assert spread is not None
    assert (spread.least, spread.median, spread.most) == (2.0, 3.0, 5.0)


def test_a_round_that_failed_at_one_of_the_two_has_no_ratio() -> None:
    failed = one_round(0.0, None, errors=1, first_error="no answer")
    spread = ratios([one_round(300.0), failed], [one_round(100.0), one_round(100.0)], "ops_per_s")
    assert spread is not None
    assert (spread.least, spread.most) == (3.0, 3.0)
    assert ratios([failed], [one_round()], "ops_per_s") is None
    assert ratios([one_round(1.0, None)], [one_round()], "server_cpu_us") is None


@pytest.mark.parametrize(
    ("ops_per_s", "client_cpu_us", "server_cpu_us", "is_bound"),
    [
        (10_000, 50, 100, False),  # a quarter of two cores
        (20_000, 50, 60, True),  # half of them
        (1_000, 50, 40, True),  # little, but more than the server
        (1_000, 50, None, False),  # a server elsewhere
        (20_000, 50, None, True),
    ],
)
def test_a_client_that_takes_much_of_the_machine_or_more_than_the_server_is_the_limit(
    ops_per_s: float, client_cpu_us: float, server_cpu_us: float | None, is_bound: bool
) -> None:
    assert results.client_is_the_limit(ops_per_s, client_cpu_us, server_cpu_us, cores=2) is is_bound


def test_the_table_has_the_spread_of_the_ratios_and_says_what_is_wrong_with_a_figure() -> None:
    ours = [one_round(3_000.0, 50.0), one_round(2_000.0, 50.0, client_cpu_us=500.0, others_share=0.2, ran_out=True)]
    table = report.text(a_comparison(ours, [one_round(), one_round()]))
    assert "2.50 (2.00 – 3.00)" in table
    assert "0.50 (0.50 – 0.50)" in table
    assert "client-bound: CPU decides; others took 10%; all requests sent early" in table
    assert "50.0" in table  # one worker
    assert "kernel  " in table


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    comparison = a_comparison([one_round()], [one_round(500.0, None)])
    results.write(comparison, tmp_path / "all.json")
    assert results.read(tmp_path / "all.json") == comparison
    (tmp_path / "all.json").write_text('{"servers": []}')
    with pytest.raises(ValueError, match="no comparison"):
        results.read(tmp_path / "all.json")


def test_a_saved_comparison_is_shown_again_with_another_base_and_its_errors_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.json"
    results.write(a_comparison([one_round()], [one_round(500.0)]), path)
    assert main(["--report", str(path), "--base", "bleepstore", "--no-plots"]) == 0
    assert "0.50 (0.50 – 0.50)" in capsys.readouterr().out
    results.write(a_comparison([one_round()], [one_round(errors=1, first_error="status 500")]), path)
    assert main(["--report", str(path), "--no-plots"]) == 1
    assert "FAILED: status 500" in capsys.readouterr().out


def test_the_plots_are_pictures_and_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    results.write(a_comparison([one_round()], [one_round(500.0)]), tmp_path / "all.json")
    assert main(["--report", str(tmp_path / "all.json")]) == 0
    pictures = sorted(tmp_path.glob("*.png"))
    assert [each.name for each in pictures] == [
        f"all-{name}.png" for name in ("cpu", "latency", "memory", "throughput")
    ]
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in pictures)
    page = (tmp_path / "all.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(pictures)
    assert "http://" not in page
    assert "https://" not in page


def test_cases_are_chosen_by_name_and_a_million_keys_only_so() -> None:
    assert [case.name for case in cases.chosen()] == list(cases.DEFAULT)
    assert {case.name for case in cases.chosen(["GET-1KiB-16*"])} == {
        f"GET-1KiB-16{kind}" for kind in ("", "-header", "-fresh")
    }
    names = {case.name for case in cases.chosen(everything=True)}
    assert {"GET-1KiB-1000", "PUT-256MiB-1", "LIST-1e5-16", "UPLOAD-64MiB-4", "DELETE-1KiB-256"} <= names
    assert not any("1e6" in name for name in names)
    assert [case.name for case in cases.chosen(["LIST-1e6-16"])] == ["LIST-1e6-16"]
    with pytest.raises(ValueError, match="no case is called"):
        cases.chosen(["GET-2KiB-*"])


def test_no_two_threads_of_wrk_are_given_the_same_request(tmp_path: Path) -> None:
    requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(95, 105)]
    wrk.write_requests(tmp_path, Job("PUT", requests, b"body", repeats=False), threads=3)
    read: list[bytes] = []
    for number in range(3):
        content = (tmp_path / str(number)).read_bytes()
        while content:
            length = int(content[:LENGTH_DIGITS])
            read.append(content[LENGTH_DIGITS : LENGTH_DIGITS + length])
            content = content[LENGTH_DIGITS + length :]
    assert sorted(read) == sorted(requests)
    assert (tmp_path / "body").read_bytes() == b"body"


def test_a_thread_of_wrk_without_a_request_of_its_own_repeats_those_of_all(tmp_path: Path) -> None:
    wrk.write_requests(tmp_path, Job("LIST", [b"GET / HTTP/1.1\r\n\r\n"], b"", repeats=True), threads=2)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes() != b""


def test_answers_that_are_no_2xx_or_too_short_are_errors() -> None:
    told = {
        "requests": 100, "bytes": 150_000, "elapsed_s": 2.0, "ran_out": False, "p50_us": 500, "p95_us": 900, "p99_us": 1_000,
        "connect": 0, "read": 2, "write": 0, "status": 10, "timeout": 0, "counts": [50, 51],
    }  # fmt: skip
    seen = wrk.answers(json.dumps(told), cpu_s=0.5, answer_bytes_min=1_024)
    assert (seen.requests, seen.errors, seen.first_error) == (90, 12, "10 of kind status, 2 of kind read")
    assert (seen.p50_s, seen.p99_s, seen.cpu_s, seen.counts) == (0.0005, 0.001, 0.5, [50, 51])
    seen = wrk.answers(json.dumps(told), cpu_s=0.5, answer_bytes_min=4_096)
    assert (seen.requests, seen.errors) == (0, 102)


def test_a_head_is_signed_in_the_query_or_in_the_header() -> None:
    signer = Signer("http://127.0.0.1:9000", "access", "secret-key-0123456789", "us-east-1")
    head = signer.head("PUT", "/b/a key", 5, headers=[("x-amz-copy-source", "/b/k")]).decode()
    assert head.startswith("PUT /b/a%20key?X-Amz-Algorithm=")
    assert "X-Amz-SignedHeaders=host%3Bx-amz-copy-source" in head
    assert head.count("Host: 127.0.0.1:9000\r\n") == 1
    assert "x-amz-copy-source: /b/k\r\nContent-Length: 5\r\n\r\n" in head
    head = signer.head("GET", "/b", query=[("list-type", "2"), ("prefix", "a b/")], in_header=True).decode()
    assert head.startswith("GET /b?list-type=2&prefix=a%20b%2F HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n")
    assert "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n" in head
    assert "authorization: AWS4-HMAC-SHA256 Credential=access/" in head


def test_a_peer_is_named_by_url_keys_and_perhaps_a_pid() -> None:
    peer = peers.foreign("other=http://10.0.0.1:9000,ACCESS,SECRET,42")
    assert (peer.name, peer.target.host, peer.target.port, peer.target.pid) == ("other", "10.0.0.1", 9000, 42)
    assert (peer.signer.endpoint, peer.signer.access_key, peer.signer.secret_key) == (
        "http://10.0.0.1:9000",
        "ACCESS",
        "SECRET",
    )
    assert peers.foreign("other=http://h,A,S").target.pid is None
    for wrong in ("http://h,A,S", "other=https://h,A,S", "other=http://h,A", "bleepstore=http://h,A,S"):
        with pytest.raises(ValueError, match="a peer is"):
            peers.foreign(wrong)
