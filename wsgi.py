"""The web application, for a WSGI server and for `flask --app wsgi`."""

import config
from app import create_app

app = create_app(config.load())
