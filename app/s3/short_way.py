"""The short way of hot requests: from the server to the pipeline and back, without WSGI and Flask.

The same rule, authentication, authorisation, view, metrics and log event as by the long way, for they are the
pipeline's; and the same bytes, for the server builds both answers alike. What is not taken here goes the long way untouched.
"""

from __future__ import annotations

from collections.abc import Callable

from app.s3.outcome import Repeat
from app.s3.pipeline import Incoming, Pipeline, Routed
from app.s3.sending import SentBody, start_line
from app.s3.service_paths import SERVICE_PREFIX

HOT_OPERATIONS = frozenset({"GetObject", "HeadObject", "PutObject", "DeleteObject"})

Start = Callable[[str, list[tuple[str, str]]], object]  # of WSGI, as far as it is used here


class ShortWay:
    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def answer(self, incoming: Incoming, start: Start, routed: Routed | None = None) -> SentBody | None:
        """Begin the answer and give its body; None, with nothing done, for what goes the long way.

        `routed`: what `remember` gave for the same bytes.
        """
        if routed is None:
            if not _may_be_hot(incoming):
                return None
            routed = self._pipeline.route(incoming)
            if routed is None or routed.rule.operation not in HOT_OPERATIONS:
                return None
        answer, finish = self._pipeline.handle(incoming, routed)
        start(*start_line(answer))
        return SentBody(answer, finish)

    def repeat(self, routed: Routed, remote_address: str) -> Repeat | None:
        """The answer at once, of what `remember` gave; None, with nothing done, where `answer` is to be asked."""
        return self._pipeline.repeat(routed, remote_address) if routed.is_plain else None

    def remember(self, incoming: Incoming) -> Routed | None:
        """What a request means whose bytes are expected again. No verdict: all is decided anew each time."""
        if not _may_be_hot(incoming):
            return None
        routed = self._pipeline.remember(incoming)
        return routed if routed is not None and routed.rule.operation in HOT_OPERATIONS else None


def _may_be_hot(incoming: Incoming) -> bool:
    return incoming.raw_target[:1] == "/" and not incoming.raw_target.startswith(SERVICE_PREFIX)
