"""What `gunicorn -c gunicorn.conf.py wsgi:app` serves; the configuration comes from the environment and its file."""

from app import create_app
from app.config import load_config

app = create_app(load_config())
