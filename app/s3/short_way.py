"""The short way of hot requests: from the server to the pipeline and back, without WSGI and Flask.

The same rule, authentication, authorisation, view, metrics and log event as by the long way, for they are the
pipeline's; and the same bytes, for the server builds both answers alike. What is not taken here goes the long way untouched.
"""

from __future__ import annotations

from collections.abc import Callable

from app.s3.outcome import Repeat
from app.s3.pipeline import Incoming, Pipeline, Routed
from app.s3.request import Headers
from app.s3.sending import SentBody, start_line
from app.s3.service_paths import DEEP_PREFIXES

HOT_OPERATIONS = frozenset({"GetObject", "HeadObject", "PutObject", "DeleteObject"})

Start = Callable[[str, list[tuple[str, str]]], object]  # of WSGI, as far as it is used here


class ShortWay:
    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def route(self, method: str, raw_target: str, headers: Headers) -> Routed | None:
        """What a request means, for the others; None for what goes the long way."""
        if raw_target[:1] != "/" or raw_target.startswith(DEEP_PREFIXES):
            return None
        routed = self._pipeline.route(method, raw_target, headers)
        return routed if routed is not None and routed.rule.operation in HOT_OPERATIONS else None

    def prove(self, routed: Routed, headers: Headers) -> Routed | None:
        """For the same bytes when they come again; None where they are to be parsed again. No verdict: that is given each time."""
        return self._pipeline.prove(routed, headers)

    def repeat(self, routed: Routed, headers: Headers, remote_address: str) -> Repeat | None:
        """The whole answer at once; None, with nothing done, where `answer` is to be asked."""
        return self._pipeline.repeat(routed, headers, remote_address)

    def answer(self, incoming: Incoming, start: Start, routed: Routed) -> SentBody:
        """Begin the answer and give its body."""
        answer, ending = self._pipeline.handle(incoming, routed)
        start(*start_line(answer))
        return SentBody(answer, ending, ending.begin)
