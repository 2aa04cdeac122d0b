"""Load for any S3 server, by Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:9000 ReadHeavy`.

loadtests/README.md lists the scenarios and what they can be told.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

# Locust puts this folder on the path, and not the one that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.scenarios.backup import Backup
from loadtests.scenarios.lifecycle import Lifecycle
from loadtests.scenarios.links import Presigned
from loadtests.scenarios.listing import ListHeavy
from loadtests.scenarios.options import add_options
from loadtests.scenarios.parts import Checkpoint, Multipart
from loadtests.scenarios.shuffle import MLShuffle
from loadtests.scenarios.small import Mixed, ReadHeavy, WriteHeavy

__all__ = [
    "Backup",
    "Checkpoint",
    "ListHeavy",
    "MLShuffle",
    "Mixed",
    "Multipart",
    "Presigned",
    "ReadHeavy",
    "WriteHeavy",
]

events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    Lifecycle(environment)
