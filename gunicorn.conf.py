"""`gunicorn -c gunicorn.conf.py wsgi:app` serves exactly as `bleepstore serve` does."""

from app.server.patching import patch_early

patch_early()  # first of all, before anything else is imported

from app.config import load_config  # noqa: E402
from app.server.settings import gunicorn_settings  # noqa: E402

globals().update(gunicorn_settings(load_config()))
