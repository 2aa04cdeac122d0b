"""Which buckets are labels: the first few that got requests, the same ones in every worker.

They stand in a file, a line each, that all workers append to and nobody locks: the kernel puts lines behind each other, and
the first so many different ones are it, whoever reads.
"""

from __future__ import annotations

import os
from typing import Final

OTHER_BUCKETS: Final = "__other__"  # which is no bucket's name


class BucketLabels:
    """`path` is the file's; None where this process counts alone. `labels_max`: the number of labels."""

    def __init__(self, path: str | None, labels_max: int) -> None:
        self._file = -1
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._max = labels_max
        self._labels: dict[str, str] = {}
        self._is_full = labels_max == 0

    def label(self, bucket: str) -> str:
        """`bucket` is one that exists, so its name is well formed."""
        return self._labels.get(bucket) or (OTHER_BUCKETS if self._is_full else self._learn(bucket))

    def _learn(self, bucket: str) -> str:
        names = self._names()
        if bucket not in names and len(names) < self._max:
            if self._file >= 0:
                os.write(self._file, f"{bucket}\n".encode())
                names = self._names()  # others may have come between
            else:
                names.append(bucket)
        self._labels = {name: name for name in names}
        self._is_full = len(names) >= self._max
        return self._labels.get(bucket, OTHER_BUCKETS)

    def _names(self) -> list[str]:
        if self._file < 0:
            return list(self._labels)
        text = os.pread(self._file, os.fstat(self._file).st_size, 0).decode()
        return list(dict.fromkeys(text.split("\n")[:-1]))[: self._max]
