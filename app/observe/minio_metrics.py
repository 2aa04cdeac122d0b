"""Our numbers under the names that MinIO's version 2 has for them, for dashboards and alerts that were made for it.

Only what is meant by a name and known here is given: nothing of drives that heal, of nodes, of scanners. Source: "Metrics
version 2", MinIO documentation. There a distribution is a gauge with a label `le`, and a request's operation `api`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

Labels = Mapping[str, str]

# What MinIO calls an operation where that is not S3's name of it in small letters.
_APIS: Final = {
    "CompleteMultipartUpload": "completemultipartupload",
    "CreateBucket": "putbucket",
    "CreateMultipartUpload": "newmultipartupload",
    "DeleteObjects": "deletemultipleobjects",
    "ListObjects": "listobjectsv1",
    "ListParts": "listobjectparts",
    "UploadPart": "putobjectpart",
    "UploadPartCopy": "copyobjectpart",
}


class MinioCollector:
    """One of the three pages, from what our own collectors give. `server` is the label that says whose they are."""

    def __init__(self, page: str, collectors: Sequence[Collector], server: str) -> None:
        self._pages: dict[str, Sequence[Callable[[_Ours], Iterator[Metric]]]] = {
            "cluster": (_cluster, _requests, _software),
            "node": (_node, _requests, _software),
            "bucket": (_buckets,),
        }
        self._page = page
        self._collectors = collectors
        self._server = server

    def collect(self) -> Iterator[Metric]:
        ours = _Ours(metric for collector in self._collectors for metric in collector.collect())
        for make in self._pages[self._page]:
            for metric in make(ours):
                for index, sample in enumerate(metric.samples):
                    metric.samples[index] = sample._replace(labels={**sample.labels, "server": self._server})
                yield metric


class _Ours:
    """Our samples by name without the prefix."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for metric in metrics:
            for sample in metric.samples:
                self._samples[sample.name.removeprefix("bleepstore_")].append((sample.labels, sample.value))

    def all(self, name: str) -> list[tuple[Labels, float]]:
        return self._samples.get(name, [])

    def total(self, name: str) -> float | None:
        """The sum over all labels; None where there is nothing of that name."""
        samples = self.all(name)
        return sum(value for _, value in samples) if samples else None

    def of(self, name: str, **labels: str) -> float | None:
        found = [value for each, value in self.all(name) if labels.items() <= each.items()]
        return sum(found) if found else None


# -- Pages -------------------------------------------------------------------------------------------------------


def _cluster(ours: _Ours) -> Iterator[Metric]:
    for what, text in (("raw", "Capacity"), ("usable", "Usable capacity")):
        yield from _gauge(f"cluster_capacity_{what}_total_bytes", text, ours.of("disk_size_bytes", disk="storage"))
        yield from _gauge(
            f"cluster_capacity_{what}_free_bytes", f"{text} that is free", ours.of("disk_free_bytes", disk="storage")
        )
    yield from _gauge("cluster_usage_object_total", "Objects", ours.total("objects_total"))
    yield from _gauge("cluster_usage_total_bytes", "Bytes of all objects", ours.total("bucket_bytes"))
    for name in ("cluster_bucket_total", "cluster_buckets_total"):  # as it is, and as it is documented
        yield from _gauge(name, "Buckets", ours.total("buckets_total"))
    yield from _gauge("cluster_nodes_online_total", "This server", 1)
    yield from _gauge("cluster_nodes_offline_total", "Other servers: there are none", 0)


def _node(ours: _Ours) -> Iterator[Metric]:
    began_s = ours.total("process_start_time_seconds")
    yield from _gauge("node_process_starttime_seconds", "When the server began", began_s)
    yield from _gauge(
        "node_process_uptime_seconds", "How long it runs", None if began_s is None else time.time() - began_s
    )
    yield from _gauge(
        "node_process_resident_memory_bytes", "Memory of all workers", ours.total("process_resident_memory_bytes")
    )
    yield from _gauge("node_file_descriptor_open_total", "Open files of all workers", ours.total("process_open_fds"))
    yield from _counter(
        "node_process_cpu_total_seconds", "Processor time of all workers", ours.all("process_cpu_seconds_total"), ()
    )
    sizes, free = _by("disk", ours.all("disk_size_bytes")), _by("disk", ours.all("disk_free_bytes"))
    yield from _per("node_drive_total_bytes", "Size of a disk", "drive", sizes)
    yield from _per("node_drive_free_bytes", "What is free on a disk", "drive", free)
    yield from _per("node_drive_used_bytes", "The rest", "drive", {name: sizes[name] - free[name] for name in sizes})
    yield from _per(
        "node_drive_free_inodes", "Files that a disk can still have", "drive", _by("disk", ours.all("inodes_free"))
    )


def _requests(ours: _Ours) -> Iterator[Metric]:
    ended = [(_with_api(labels), value) for labels, value in ours.all("s3_operations_total")]
    yield from _counter("s3_requests_total", "S3 requests", ended, ("api",))
    for name, text, first in (
        ("s3_requests_errors_total", "S3 requests answered with an error", "45"),
        ("s3_requests_4xx_errors_total", "S3 requests answered with an error of the client's", "4"),
        ("s3_requests_5xx_errors_total", "S3 requests answered with an error of ours", "5"),
    ):
        yield from _counter(name, text, _only("status", first, ended), ("api",))
    yield from _gauge("s3_requests_inflight_total", "S3 requests under way", ours.total("s3_requests_in_flight"))
    yield from _counter(
        "s3_traffic_received_bytes", "Bytes of S3 requests' bodies", ours.all("bytes_received_total"), ()
    )
    yield from _counter("s3_traffic_sent_bytes", "Bytes of S3 answers' bodies", ours.all("bytes_sent_total"), ())
    buckets = [(_with_api(labels), value) for labels, value in ours.all("s3_time_to_first_byte_seconds_bucket")]
    for name in (
        "s3_requests_ttfb_seconds_distribution",
        "s3_ttfb_seconds_distribution",
    ):  # today's name and the older one
        yield from _labelled(name, "Time to the first byte, requests up to each bound", buckets, ("api", "le"))


def _software(ours: _Ours) -> Iterator[Metric]:
    yield from _labelled("software_version_info", "This program's version", ours.all("build_info"), ("version",))


def _buckets(ours: _Ours) -> Iterator[Metric]:
    yield from _per("bucket_usage_object_total", "Objects", "bucket", _by("bucket", ours.all("bucket_objects")))
    yield from _per(
        "bucket_usage_total_bytes", "Bytes of all versions", "bucket", _by("bucket", ours.all("bucket_bytes"))
    )
    ended = [(_with_api(labels), value) for labels, value in ours.all("s3_requests_total") if labels["bucket"]]
    yield from _counter("bucket_requests_total", "S3 requests on a bucket", ended, ("bucket", "api"))
    for first in "45":
        failed = [each for each in ended if each[0]["code"].startswith(first)]
        yield from _counter(
            f"bucket_requests_{first}xx_errors_total", "Of them, answered so", failed, ("bucket", "api")
        )


# -- Families ----------------------------------------------------------------------------------------------------


def _with_api(labels: Labels) -> Labels:
    operation = labels["operation"]
    return {**labels, "api": _APIS.get(operation, operation.lower())}


def _only(label: str, first: str, samples: Iterable[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
    """All samples; 0 in place of those whose status begins otherwise, so that what never failed has a rate too."""
    return [(labels, value if labels[label][:1] in first else 0.0) for labels, value in samples]


def _by(label: str, samples: Iterable[tuple[Labels, float]]) -> dict[str, float]:
    return {labels[label]: value for labels, value in samples}


def _gauge(name: str, text: str, value: float | None) -> Iterator[Metric]:
    return _labelled(name, text, [] if value is None else [({}, value)], ())


def _per(name: str, text: str, label: str, values: Mapping[str, float]) -> Iterator[Metric]:
    return _labelled(name, text, [({label: key}, value) for key, value in values.items()], (label,))


def _counter(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], labels: tuple[str, ...]
) -> Iterator[Metric]:
    return _labelled(name, text, samples, labels, "counter")


def _labelled(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], labels: tuple[str, ...], kind: str = "gauge"
) -> Iterator[Metric]:
    """Summed over all other labels. Written as they are named: MinIO's counters do not all end in _total."""
    from prometheus_client import Metric

    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for given, value in samples:
        sums[tuple(given[label] for label in labels)] += value
    if not sums:
        return
    is_counter = kind == "counter" and name.endswith("_total")  # the library's counters all end so
    kind = "counter" if is_counter else "gauge" if kind == "gauge" else "unknown"
    metric = Metric(f"minio_{name.removesuffix('_total') if is_counter else name}", text, kind)
    for values, amount in sums.items():
        metric.add_sample(f"minio_{name}", dict(zip(labels, values, strict=True)), amount)
    yield metric
