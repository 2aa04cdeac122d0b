"""`gunicorn -c gunicorn.conf.py wsgi:app` serves exactly as `bleepstore serve` does."""

from gevent import monkey

# First of all, before anything else is imported; app/server/patching.py says why these five wait.
monkey.patch_all(os=False, signal=False, subprocess=False, time=False, queue=False)

from app.config import load_config  # noqa: E402
from app.server.settings import gunicorn_settings  # noqa: E402

globals().update(gunicorn_settings(load_config()))
