"""Starting a mutant as any other server."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.servers import RunningServer


@dataclass
class MutantServer(RunningServer):
    """A server with the fault that `tests/mutants/faults.py` has under the name `mutant`."""

    mutant: str = ""

    def command(self) -> list[str]:
        interpreter, option, _, *rest = super().command()
        assert (interpreter, option) == (sys.executable, "-m")
        return [interpreter, option, "tests.mutants.serve", self.mutant, *rest]
