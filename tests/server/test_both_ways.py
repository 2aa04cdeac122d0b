"""A request is answered the same whichever way the server takes: every byte, the connection's end, log and counts.

Seen to fail with each of these changes to the short way: a header left out, a connection kept that has to end, an event not
written, a byte counted that was not sent, a client's address lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.auth_matrix import Scene
from tests.security.fuzz import Fuzzer
from tests.server.certificates import self_signed
from tests.server.smuggling import ambiguous
from tests.server.test_framing import REFUSED, SMUGGLED
from tests.server.ways import Case, Ways, both_ways, events
from tests.server.ways_callers import GROUPS, cases_of
from tests.server.ways_corpus import DOMAIN, ROOT, seed
from tests.servers import RunningServer

FLAGS = ("--server.limits.body_stall_timeout_s", "1", "--server.domain", DOMAIN)
PIPELINED = 12
FUZZ_SEED = 20
AGAIN = 3  # the first is noted, the second remembered, the third found
ONE_BY_ONE = AGAIN + 2  # and from the fourth on the answer is repeated, where a request comes alone


class Scenes:
    """Seeds the first server, and keeps what requests need to know of it."""

    def __init__(self) -> None:
        self.upload_id = ""

    def __call__(self, server: RunningServer) -> None:
        seed(server)
        client = server.client()
        client.create_bucket(Bucket="scene")
        client.put_object(Bucket="scene", Key="there", Body=b"as it was")
        self.upload_id = client.create_multipart_upload(Bucket="scene", Key="there")["UploadId"]

    def scene(self) -> Scene:
        return Scene(0, ROOT, "scene", "there", self.upload_id)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes()


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, scenes: Scenes) -> Iterator[Ways]:
    with both_ways(tmp_path_factory.mktemp("ways"), scenes, *FLAGS) as both:
        yield both


@pytest.fixture(scope="module")
def secure_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    home = tmp_path_factory.mktemp("secure-ways")
    with both_ways(home, seed, *FLAGS, certificate=self_signed(home)) as both:
        yield both


def check(found: list[str]) -> None:
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:20])


@pytest.mark.parametrize("group", GROUPS)
def test_both_ways_answer_the_same(ways: Ways, group: str) -> None:
    check(ways.differences(cases_of(group)))


@pytest.mark.parametrize("group", ["reads", "writes", "callers"])
def test_both_ways_answer_the_same_on_a_connection_that_takes_turns(ways: Ways, group: str) -> None:
    """Requests of either way behind each other, more of them here than are answered."""
    wires = [case.steps[0] for case in cases_of(group) if not case.ends]
    streams = [b"".join(wires[at : at + PIPELINED]) for at in range(0, len(wires), PIPELINED)]
    listing = b"GET /public?list-type=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found = [
        ways.streams_differ(stream[:cut] + listing) for stream in streams for cut in (len(stream), len(stream) // 2)
    ]
    check([each for each in found if each] + ways.differences_in_log() + ways.differences_in_metrics())


@pytest.mark.parametrize("group", ["reads", "writes", "callers"])
def test_both_ways_answer_the_same_over_tls(secure_ways: Ways, group: str) -> None:
    wires = [case.steps[0] for case in cases_of(group) if not case.ends]
    listing = b"GET /public?list-type=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    streams = [b"".join(wires[at : at + PIPELINED]) + listing for at in range(0, len(wires), PIPELINED)]
    found = [difference for stream in streams if (difference := secure_ways.streams_differ(stream))]
    check(found + secure_ways.differences_in_log() + secure_ways.differences_in_metrics())


@pytest.mark.parametrize(
    "flags",
    [
        ("--storage.encrypted_at_rest", "true", "--storage.inline_max_bytes", "0", "--server.region", ""),
        ("--auth.enabled", "false", "--observability.metrics", "false", "--observability.health_check", "false"),
    ],
)
def test_both_ways_answer_the_same_with_other_settings(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with both_ways(tmp_path, seed, *FLAGS, *flags) as both:
        cases = [case for group in GROUPS for case in cases_of(group) if len(case.steps) == 1]
        found = [f"{case.name}: {difference}" for case in cases if (difference := both.streams_differ(case.steps[0]))]
        check(found + both.differences_in_log() + both.differences_in_metrics())


@pytest.mark.parametrize("group", GROUPS)
def test_both_ways_answer_what_comes_again_the_same(ways: Ways, group: str) -> None:
    """Heads that come again are remembered, on the short way only."""
    cases = [case for case in cases_of(group) if len(case.steps) == 1 and not case.ends]
    found = [
        f"{case.name}: {difference}" for case in cases if (difference := ways.streams_differ(case.steps[0] * AGAIN))
    ]
    found += [difference for case in cases if (difference := ways.replies_differ(case, ONE_BY_ONE))]
    check(found + ways.differences_in_log() + ways.differences_in_metrics())


def test_both_ways_refuse_the_same_heads(ways: Ways) -> None:
    """S-21: and what stands behind them is answered by neither."""
    check(ways.differences([Case(name, status, (sent + SMUGGLED,)) for name, (sent, status, _) in REFUSED.items()]))
    assert "smuggled" not in ways.short.log() + ways.long.log()


def test_both_ways_find_the_same_end_of_a_request(ways: Ways) -> None:
    """S-21: what is hidden in a body or behind a broken one is served by neither."""
    found = [f"{name}: {difference}" for name, sent in ambiguous() if (difference := ways.streams_differ(sent))]
    check(found + ways.differences_in_log() + ways.differences_in_metrics())
    assert "smuggled" not in ways.short.log() + ways.long.log()


@pytest.mark.parametrize(
    "count", [2_000, pytest.param(50_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3_600)])]
)
def test_both_ways_answer_the_same_to_anything(ways: Ways, scenes: Scenes, count: int) -> None:
    """S-24, of both ways: 0 differences over requests changed before and after they were signed, each sent again and again."""
    found = []
    for attempt in Fuzzer(scenes.scene(), FUZZ_SEED).attempts(count):
        difference = ways.streams_differ(attempt.wire * AGAIN)
        if difference:
            found.append(f"{attempt.name}: {difference}")
    check(found + ways.differences_in_log() + ways.differences_in_metrics())
    assert not [event for event in events(ways.short) if event.get("status") == 500]
    assert not [server.log_path for server in ways.servers if "Traceback" in server.log()]
