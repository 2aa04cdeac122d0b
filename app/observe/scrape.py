"""What is read when a scrape asks: what the store holds now, its files, the disks below it.

The store is known here by functions that give numbers; app/__init__ hands them in. A reading that fails takes its own
families with it and no others, and is an event in the log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from app.domain.types import BucketUsage, Usage
from app.observe.shared import Kept

if TYPE_CHECKING:
    from prometheus_client import Metric

    from app.config import Config

OTHER_BUCKETS: Final = "__other__"  # no bucket's name may hold an underscore

_log = logging.getLogger("bleepstore.observe")


class Disk(NamedTuple):
    size_bytes: int
    free_bytes: int  # for us, who may not be root
    inodes: int
    inodes_free: int


class Sources:
    """`usage(largest)` is what the buckets hold; `files` are the metadata engine's, bytes by "database" and "wal".

    `disks` are directories by what lies there: "metadata", "storage", "storage.NAME".
    """

    def __init__(
        self,
        usage: Callable[[int], Usage],
        files: Callable[[], Mapping[str, int]],
        disks: Mapping[str, str],
        bucket_labels_max: int,
    ) -> None:
        self.usage: Callable[[], Usage] = Kept(lambda: usage(bucket_labels_max))
        self.files = files
        self._directories = disks

    def disks(self) -> dict[str, Disk]:
        return {name: read_disk(path) for name, path in self._directories.items() if os.path.isdir(path)}


def read_disk(path: str) -> Disk:
    status = os.statvfs(path)
    return Disk(
        size_bytes=status.f_blocks * status.f_frsize,
        free_bytes=status.f_bavail * status.f_frsize,
        inodes=status.f_files,
        inodes_free=status.f_favail,
    )


def largest_and_rest(usage: Usage) -> Iterator[BucketUsage]:
    """The buckets that have labels, and all others as one, where there are others."""
    yield from usage.largest
    if usage.buckets > len(usage.largest):
        yield BucketUsage(
            OTHER_BUCKETS,
            usage.objects - sum(each.objects for each in usage.largest),
            usage.versions - sum(each.versions for each in usage.largest),
            usage.size_bytes - sum(each.size_bytes for each in usage.largest),
        )


def disks_of(config: Config) -> dict[str, str]:
    """The directories where a configuration's data lie, for Sources."""
    from app.config_backends import config_of

    found = {"metadata": os.path.dirname(config.metadata.sqlite.path)} if config.metadata.engine == "sqlite" else {}
    below = {"storage": config.storage}
    below |= {f"storage.{each.name}": config_of(config, each).storage for each in config.storage.backends}
    for name, storage in below.items():
        if storage.backend == "local":
            found[name] = storage.local.root_dir
        elif storage.backend == "sqlite":
            found[name] = os.path.dirname(storage.sqlite.path)
    return {name: path or "." for name, path in found.items()}


class StoreCollector:
    """For the registry of a scrape, in a thread."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        for name, read in (("usage", self._usage), ("files", self._files), ("disks", self._disks)):
            yield from attempted(name, read)

    def _usage(self) -> list[Metric]:
        usage = self._sources.usage()
        buckets = list(largest_and_rest(usage))
        return [
            gauge("buckets_total", "Buckets", {(): usage.buckets}),
            gauge("objects_total", "Current objects", {(): usage.objects}),
            gauge("multipart_uploads_open", "Uploads that are neither completed nor aborted", {(): usage.uploads_open}),
            gauge("bucket_objects", "Current objects", {(each.bucket,): each.objects for each in buckets}, "bucket"),
            gauge(
                "bucket_versions",
                "Versions with bytes, current ones included and delete markers not",
                {(each.bucket,): each.versions for each in buckets},
                "bucket",
            ),
            gauge(
                "bucket_bytes", "Bytes of all versions", {(each.bucket,): each.size_bytes for each in buckets}, "bucket"
            ),
        ]

    def _files(self) -> list[Metric]:
        files = self._sources.files()
        texts = {
            "database": ("sqlite_db_bytes", "The database file"),
            "wal": ("sqlite_wal_bytes", "Its write-ahead log"),
        }
        return [gauge(*texts[name], {(): size_bytes}) for name, size_bytes in files.items() if name in texts]

    def _disks(self) -> list[Metric]:
        disks = self._sources.disks()
        columns = {
            "disk_size_bytes": ("Size of the file system", "size_bytes"),
            "disk_free_bytes": ("Bytes that the server may still take", "free_bytes"),
            "inodes": ("Files that the file system can hold; 0 where it has no such limit", "inodes"),
            "inodes_free": ("Files that the server may still make", "inodes_free"),
        }
        return [
            gauge(name, help_, {(disk,): getattr(status, field) for disk, status in disks.items()}, "disk")
            for name, (help_, field) in columns.items()
        ]


def attempted(name: str, read: Callable[[], list[Metric]]) -> list[Metric]:
    """What a reading gives; nothing where it fails, for the rest of a scrape is worth having."""
    try:
        return read()
    except Exception as error:
        _log.warning("scrape.incomplete", extra={"missing": name, "reason": f"{type(error).__name__}: {error}"})
        return []


def gauge(name: str, help_: str, samples: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(f"bleepstore_{name}", help_, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family
