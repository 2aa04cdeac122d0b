"""The server with one fault in it: `python -m tests.mutants.serve NAME serve --data-dir …`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from app import cli
    from tests.mutants.faults import FAULTS

    FAULTS[sys.argv[1]]()
    sys.exit(cli.main(sys.argv[2:]))
