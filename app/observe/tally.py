"""What all workers counted, added up in a scrape, and as prometheus_client's families."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from app.observe.families import FAMILIES, PREFIX, Family

if TYPE_CHECKING:
    from prometheus_client import Metric

Labels = tuple[str, ...]
T = TypeVar("T")


class Tally:
    """Histograms are lists: how many in each bucket, those above the last bound, and the sum."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Labels, float]] = defaultdict(dict)
        self._histograms: dict[str, dict[Labels, list[float]]] = defaultdict(dict)

    def add(self, family: Family, labels: Labels, amount: float) -> None:
        of_family = self._numbers[family.name]
        of_family[labels] = of_family.get(labels, 0.0) + amount

    def raise_to(self, family: Family, labels: Labels, value: float) -> None:
        """Of a gauge whose largest value is the newest."""
        of_family = self._numbers[family.name]
        of_family[labels] = max(of_family.get(labels, 0.0), value)

    def add_buckets(self, family: Family, labels: Labels, counts: Sequence[float], total: float) -> None:
        of_family = self._histograms[family.name]
        known = of_family.get(labels)
        if known is None:
            of_family[labels] = [*counts, total]
            return
        for index, count in enumerate(counts):
            known[index] += count
        known[-1] += total

    def metrics(self) -> Iterator[Metric]:
        """Every family, those too of which nothing was counted: one that is not there yet looks like one that is gone."""
        for family in FAMILIES:
            if family.kind == "histogram":
                yield _histogram(family, self._histograms[family.name].items())
            else:
                yield _numbers(family, self._numbers[family.name].items())


def _with_always(family: Family, samples: Iterable[tuple[Labels, T]], zero: T) -> list[tuple[Labels, T]]:
    always = family.always if family.labels else ((),)
    return sorted((dict.fromkeys(always, zero) | dict(samples)).items(), key=itemgetter(0))


def _numbers(family: Family, samples: Iterable[tuple[Labels, float]]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = made(PREFIX + family.name, family.help, labels=family.labels)
    for labels, value in _with_always(family, samples, 0.0):
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, samples: Iterable[tuple[Labels, list[float]]]) -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily
    from prometheus_client.utils import floatToGoString

    metric = HistogramMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    for labels, values in _with_always(family, samples, [0.0] * (len(bounds) + 1)):
        metric.add_metric(labels, list(zip(bounds, accumulate(values[:-1]), strict=True)), values[-1])
    return metric
