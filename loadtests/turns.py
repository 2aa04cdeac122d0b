"""Every case at every server in turn: A B A B …, each round of a case at all of them before the next round of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import conditions, results, wrk
from loadtests.cases import Case
from loadtests.measure import Answers, Job, run_clients, watched
from loadtests.peers import Server
from loadtests.results import Cell, Comparison, Round
from loadtests.stage import Prepared, Stage, StageFailed
from tests.process_tree import pss_bytes

CLIENT_PROCESSES = 2
WARM_UP_S = 0.3


@dataclass(frozen=True)
class Turns:
    """How it is done. `wrk_program` None leaves all cases to our own client; `say` is told about each measurement."""

    rounds: int
    duration_s: float
    wrk_program: str | None
    say: Callable[[str], None]

    def take(self, servers: Sequence[Server], chosen: Sequence[Case], comparison: Comparison, path: Path) -> None:
        """Adds what is measured to the comparison, whose servers are the same, in the same order; what is known so far is
        written to the path after each case. Raises: StageFailed, for a server that is of no use at all.
        """
        stages = [Stage(server) for server in servers]
        try:
            for stage, fact in zip(stages, comparison.servers, strict=True):
                stage.few_requests()
                fact.memory.idle_mb = pss_mb(stage.server)
            for case in chosen:
                self._case(stages, case, comparison)
                results.write(comparison, path)
            for server, fact in zip(servers, comparison.servers, strict=True):
                known = [each.pss_mb for cell in comparison.cells if cell.server == server.name for each in cell.rounds]
                fact.memory.largest_mb = max((mb for mb in known if mb is not None), default=None)
                fact.memory.after_mb = pss_mb(server)
            results.write(comparison, path)
        finally:
            for stage in stages:
                if stage.server.is_foreign:
                    with contextlib.suppress(OSError, StageFailed):  # it may be what failed
                        stage.leave()

    def _case(self, stages: Sequence[Stage], case: Case, comparison: Comparison) -> None:
        client = "wrk" if self._is_for_wrk(case) else "own"
        cells = [Cell(case.name, stage.server.name, client, []) for stage in stages]
        comparison.cells += cells
        for number in range(self.rounds):
            for stage, cell in zip(stages, cells, strict=True):
                cell.rounds.append(self._round(stage, case, is_first=number == 0))
                self.say(f"{case.name} {number + 1}/{self.rounds} {_brief(cell)}")

    def _round(self, stage: Stage, case: Case, *, is_first: bool) -> Round:
        """One measurement. One that could not be made is a round with an error."""
        try:
            if is_first:
                stage.check(case)
                warm_up = stage.prepare(case, WARM_UP_S)
                stage.clean(case, warm_up, self._own(stage, case, warm_up, WARM_UP_S).counts)
            prepared = stage.prepare(case, self.duration_s)
            conditions.settle()
            result, answers = watched(stage.server.target, lambda: self._answers(stage, case, prepared))
            stage.clean(case, prepared, answers.counts)
        except (StageFailed, RuntimeError, OSError) as error:
            return Round(0, 1, str(error), 0.0, 0.0, 0.0, 0.0, None, 0.0, None, None, 0.0, 0, ran_out=False)
        moved = answers.requests * case.moved_bytes
        return Round(**vars(result), elapsed_s=answers.elapsed_s, bytes=moved, ran_out=answers.ran_out)

    def _answers(self, stage: Stage, case: Case, prepared: Prepared) -> Answers:
        if self.wrk_program is None or not self._is_for_wrk(case) or not isinstance(prepared.work, Job):
            return self._own(stage, case, prepared, self.duration_s)
        least = case.size_bytes if case.operation == "GET" else 0
        target = stage.server.target
        return wrk.run(self.wrk_program, target, prepared.work, case.clients, CLIENT_PROCESSES, self.duration_s, least)

    def _own(self, stage: Stage, case: Case, prepared: Prepared, duration_s: float) -> Answers:
        processes = case.clients if case.operation == "UPLOAD" else CLIENT_PROCESSES
        return run_clients(stage.server.target, prepared.work, case.clients, processes, duration_s)

    def _is_for_wrk(self, case: Case) -> bool:
        return self.wrk_program is not None and case.is_for_wrk


def pss_mb(server: Server) -> float | None:
    """Of all its processes; None for one on another machine."""
    return None if server.target.pid is None else pss_bytes(server.target.pid) / 1e6


def _brief(cell: Cell) -> str:
    last = cell.rounds[-1]
    cpu = "" if last.server_cpu_us is None else f", {last.server_cpu_us:,.0f} µs"
    return f"{cell.server} {last.ops_per_s:,.1f} ops/s{cpu}{f', {last.errors} errors' if last.errors else ''}"
