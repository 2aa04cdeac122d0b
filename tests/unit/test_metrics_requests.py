"""One count a request, and all that a scrape makes of it; and no more labels than were promised, whatever is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.observe.bucket_labels import OTHER_BUCKETS, BucketLabels
from app.observe.families import FAMILIES
from app.observe.metrics import Metrics
from app.s3.outcome import Ending, Handled


def _metrics(labels_max: int = 100) -> Metrics:
    metrics = Metrics(labels_max)
    metrics.requests.begun()
    metrics.requests.over()
    return metrics


def _handled(operation: str = "GetObject", **said: object) -> Handled:
    known: dict[str, object] = {"bucket": "b", "key": "k", "status": 200, "has_bucket": True}
    return Handled("", str(said.pop("method", "GET")), operation, **(known | said))  # type: ignore[arg-type]


def _values(metrics: Metrics, family: str) -> dict[str, float]:
    text = metrics.render()[0].decode()
    return {
        labels: float(value) for labels, value in re.findall(rf"^{family}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    }


def test_a_whole_answer_is_in_every_family() -> None:
    metrics = _metrics()
    metrics.requests.whole(_handled("PutObject", method="PUT", bytes_in=1_000, object_bytes=900), 0.003, 20)
    labels = 'method="PUT",path="/{bucket}/{key}"'
    for family, key, value in (
        ("bleepstore_http_requests_total", f'{labels},status="200"', 1),
        ("bleepstore_http_request_duration_seconds_count", labels, 1),
        ("bleepstore_http_request_duration_seconds_sum", labels, 0.003),
        ("bleepstore_http_request_size_bytes_sum", labels, 1_000),
        ("bleepstore_http_response_size_bytes_sum", labels, 20),
        ("bleepstore_s3_operations_total", 'operation="PutObject",status="200"', 1),
        ("bleepstore_s3_requests_total", 'bucket="b",code="200",operation="PutObject"', 1),
        ("bleepstore_s3_request_duration_seconds_count", 'operation="PutObject"', 1),
        ("bleepstore_s3_time_to_first_byte_seconds_sum", 'operation="PutObject"', 0.003),
        ("bleepstore_bytes_received_total", "", 1_000),
        ("bleepstore_bytes_sent_total", "", 20),
        ("bleepstore_object_size_bytes_sum", "", 900),
    ):
        assert _values(metrics, family)[key] == pytest.approx(value), family
    buckets = _values(metrics, "bleepstore_http_request_size_bytes_bucket")
    assert [buckets[f'le="{bound}",{labels}'] for bound in ("256.0", "1024.0", "+Inf")] == [0, 1, 1]


def test_an_answer_in_pieces_is_counted_with_the_first_and_measured_with_the_last() -> None:
    metrics = _metrics()
    place = metrics.requests.first(_handled(), 0.001)
    operations = 'operation="GetObject"'
    assert _values(metrics, "bleepstore_s3_requests_total") == {'bucket="b",code="200",operation="GetObject"': 1}
    assert _values(metrics, "bleepstore_s3_time_to_first_byte_seconds_count") == {operations: 1}
    assert _values(metrics, "bleepstore_s3_request_duration_seconds_count") == {operations: 0}
    metrics.requests.last(place, 4.0, 1 << 30)
    assert _values(metrics, "bleepstore_s3_request_duration_seconds_sum") == {operations: 4}
    assert _values(metrics, "bleepstore_s3_time_to_first_byte_seconds_sum") == {operations: 0.001}
    assert _values(metrics, "bleepstore_bytes_sent_total") == {"": 1 << 30}


def test_answers_from_memory_are_counted_quickly_or_slowly_to_the_same_end() -> None:
    metrics = _metrics()
    requests = metrics.requests
    quick = requests.repeat_place(_handled(), 1_024)
    requests.values[quick] += 1.0 + 0.0001 / 256
    requests.again(quick, 0.3, 1_024)
    labels = 'operation="GetObject"'
    assert _values(metrics, "bleepstore_s3_request_duration_seconds_count") == {labels: 2}
    assert _values(metrics, "bleepstore_s3_request_duration_seconds_sum")[labels] == pytest.approx(0.3001)
    assert _values(metrics, "bleepstore_bytes_sent_total") == {"": 2_048}
    assert _values(metrics, "bleepstore_s3_requests_total") == {f'bucket="b",code="200",{labels}': 2}


def test_answers_of_more_sizes_than_are_kept_apart_are_counted_all_the_same() -> None:
    metrics = _metrics()
    requests = metrics.requests
    for size in range(2_000):
        place = requests.repeat_place(_handled(), size)
        if place > 0:
            requests.values[place] += 1.0
        else:
            requests.again(place, 0.00001, size)
    assert _values(metrics, "bleepstore_s3_operations_total") == {'operation="GetObject",status="200"': 2_000}
    assert _values(metrics, "bleepstore_bytes_sent_total") == {"": sum(range(2_000))}


def test_errors_are_counted_by_code_and_slow_down_as_a_refusal_too() -> None:
    metrics = _metrics()
    metrics.requests.whole(_handled(status=503, code="SlowDown"), 0.1, 300)
    metrics.requests.whole(_handled(status=404, code="NoSuchKey"), 0.1, 300)
    assert _values(metrics, "bleepstore_s3_errors_total") == {'s3_code="SlowDown"': 1, 's3_code="NoSuchKey"': 1}
    assert _values(metrics, "bleepstore_s3_rejected_total")['reason="slow_down"'] == 1


def test_what_the_service_is_asked_for_is_not_s3s() -> None:
    metrics = _metrics()
    metrics.requests.service("GET", "/healthz", 200, 0.001, 10)
    assert _values(metrics, "bleepstore_http_requests_total") == {'method="GET",path="/healthz",status="200"': 1}
    assert _values(metrics, "bleepstore_s3_operations_total") == {}
    assert _values(metrics, "bleepstore_bytes_sent_total") == {"": 0}


def test_ten_thousand_buckets_have_as_many_labels_as_were_allowed() -> None:
    metrics = _metrics(labels_max=100)
    for number in range(10_000):
        metrics.requests.whole(_handled(bucket=f"bucket-{number}"), 0.001, 0)
    found = _values(metrics, "bleepstore_s3_requests_total")
    assert len(found) == 101
    assert found[f'bucket="{OTHER_BUCKETS}",code="200",operation="GetObject"'] == 9_900
    assert len(metrics.requests._places) == 101


def test_what_strangers_choose_is_no_label() -> None:
    """Methods, codes and buckets that are not there: none of them is remembered."""
    metrics = _metrics()
    for number in range(1_000):
        stranger = _handled(
            "Unknown", method=f"M{number}", bucket=f"no-{number}", key=f"{number}", status=405, has_bucket=False,
            code=f"C{number}",
        )  # fmt: skip
        metrics.requests.whole(stranger, 0.001, 0)
    assert _values(metrics, "bleepstore_http_requests_total") == {
        'method="OTHER",path="/{bucket}/{key}",status="405"': 1_000
    }
    assert _values(metrics, "bleepstore_s3_requests_total") == {'bucket="",code="405",operation="Unknown"': 1_000}
    assert _values(metrics, "bleepstore_s3_errors_total") == {'s3_code="Other"': 1_000}
    assert len(metrics.requests._places) == 1


def test_the_first_buckets_are_the_same_in_every_worker(tmp_path: Path) -> None:
    workers = [BucketLabels(str(tmp_path / "buckets"), 3) for _ in range(2)]
    assert [workers[0].label(name) for name in ("a", "b")] == ["a", "b"]
    assert [workers[1].label(name) for name in ("c", "d", "a")] == ["c", OTHER_BUCKETS, "a"]
    assert [workers[0].label(name) for name in ("d", "c", "b")] == [OTHER_BUCKETS, "c", "b"]
    assert (tmp_path / "buckets").read_text() == "a\nb\nc\n"


def test_without_labels_every_bucket_is_another() -> None:
    assert BucketLabels(None, 0).label("a") == OTHER_BUCKETS


def test_an_answer_that_could_not_begin_is_counted_as_the_error_that_the_server_sends() -> None:
    metrics = _metrics()
    ended: list[int] = []
    ending = Ending(_handled(), metrics.requests, lambda outcome, seconds: ended.append(outcome.status))
    assert _values(metrics, "bleepstore_s3_requests_in_flight") == {"": 1}
    ending(0)
    assert ended == [500]
    assert _values(metrics, "bleepstore_s3_requests_in_flight") == {"": 0}
    assert _values(metrics, "bleepstore_s3_operations_total") == {'operation="GetObject",status="500"': 1}


def test_an_answer_is_counted_when_it_begins_and_once() -> None:
    metrics = _metrics()
    ending = Ending(_handled(), metrics.requests, lambda outcome, seconds: None)
    ending.begin(5)
    assert sum(_values(metrics, "bleepstore_s3_operations_total").values()) == 1
    ending.begin(None)
    ending(5)
    assert sum(_values(metrics, "bleepstore_s3_operations_total").values()) == 1


def test_the_specification_names_every_family_with_its_labels() -> None:
    """Of what is counted; what is read when a scrape asks has a section of its own."""
    rows: dict[str, str] = {}
    text = (Path(__file__).parents[2] / "specs" / "metrics.md").read_text()
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("| `") and section.startswith(("Requests", "What is behind them")):
                rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1])
    assert rows == {family.name: ", ".join(family.labels) for family in FAMILIES}
