"""When what happens: Locust's events, from the first look at the options to the end of the process."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from typing import Any

from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.scenarios.client import S3User
from loadtests.scenarios.ground import Ground
from loadtests.scenarios.options import Settings, settings_of
from loadtests.scenarios.setup import Setup, SetupFailed

logger = logging.getLogger(__name__)


class Lifecycle:
    """Of one process. Where there are several, the master alone sets up and cleans up."""

    def __init__(self, environment: Environment) -> None:
        assert environment.parsed_options is not None
        self._environment = environment
        self._options: Namespace = environment.parsed_options
        self._is_worker = isinstance(environment.runner, WorkerRunner)
        self._setups: dict[Settings, Setup] = {}
        self._keep_tagged_users()
        environment.events.test_start.add_listener(self._begin)
        environment.events.quit.add_listener(self._end)
        if self._options.headless and not self._is_worker:
            try:
                self._set_up()  # already now: the clock of --run-time begins before test_start
            except (SetupFailed, ValueError) as error:
                sys.exit(f"the test cannot start: {error}")

    def _keep_tagged_users(self) -> None:
        """With --tags, Locust would start users that have no task left, only to see them fail."""
        tags = set(self._options.tags or ())
        tagged = [user for user in self._environment.user_classes if not tags or _tags(user) & tags]
        if not tagged:
            sys.exit(f"no scenario has one of the tags {', '.join(sorted(tags))}")
        self._environment.user_classes[:] = tagged

    def _begin(self, **_: Any) -> None:
        """Users are started next, whether the setup worked or not; what fails then is counted and named."""
        try:
            S3User.ground = Ground(self._settings())
            if not self._is_worker:
                self._set_up()
        except (SetupFailed, ValueError) as error:
            logger.error("the test cannot succeed: %s", error)  # noqa: TRY400 - the message says it all

    def _end(self, **_: Any) -> None:
        for settings, setup in reversed(self._setups.items()):
            try:
                if not settings.keeps:
                    setup.clear()
            except SetupFailed as error:
                logger.error("objects are left: %s", error)  # noqa: TRY400 - as above

    def _settings(self) -> Settings:
        return settings_of(self._environment.host, self._options)

    def _set_up(self) -> None:
        settings = self._settings()
        if settings.prepares:
            if settings not in self._setups:
                self._setups[settings] = Setup(Ground(settings))
            self._setups[settings].prepare()


def _tags(user: Any) -> set[str]:
    return set().union(*(getattr(task, "locust_tag_set", ()) for task in user.tasks))
