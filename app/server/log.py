"""What gunicorn says, as events of ours.

Gunicorn's own logger loads what it may need for files, syslog and configuration files of logging: half a megabyte. The
level and the way out are set by app.observe.logging, whose handler serves "gunicorn.error" too.
"""

from __future__ import annotations

import logging
from typing import Any


class GunicornLog:
    """What gunicorn's master and workers use of their `log`."""

    def __init__(self, cfg: Any) -> None:
        log = logging.getLogger("gunicorn.error")
        self.debug, self.info, self.warning, self.error = log.debug, log.info, log.warning, log.error
        self.critical, self.exception, self.log = log.critical, log.exception, log.log
        self.setup(cfg)

    def setup(self, cfg: Any) -> None:
        """With a new configuration too. The master's hooks do what there is to be done."""
        self.cfg = cfg

    def access(self, *_: Any) -> None:
        """The application logs every request."""

    def reopen_files(self) -> None:
        """SIGUSR1: everything goes to standard error, and whoever runs the server keeps it."""

    def close_on_exec(self) -> None:
        """There is no file."""
