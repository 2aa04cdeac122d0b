"""`bleepstore serve`: gunicorn started from within, with the settings that gunicorn.conf.py has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from app.config import Config
    from app.server.service import Application


def serve(config: Config) -> NoReturn:
    """Run the server until it is told to stop, then exit. Call it before anything has started threads."""
    from app.server.settings import gunicorn_settings

    def load() -> Application:
        from app import create_app

        return create_app(config)

    run_gunicorn(gunicorn_settings(config), load)


def run_gunicorn(settings: Mapping[str, Any], load: Callable[[], Application]) -> NoReturn:
    """Be gunicorn's master with these settings. `load` is called once, in the master."""
    from gunicorn.app.base import BaseApplication

    class Embedded(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        def load_config(self) -> None:
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Application:
            return load()

    Embedded(prog="bleepstore").run()
    raise SystemExit(0)
