"""`python -m app` is `bleepstore`: a checkout runs without being installed."""

from __future__ import annotations

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
