"""`gunicorn -c gunicorn.conf.py wsgi:app` serves exactly as `bleepstore serve` does."""

from app.config import load_config
from app.server.settings import gunicorn_settings

globals().update(gunicorn_settings(load_config()))
