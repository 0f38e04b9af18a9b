"""The web application, for a WSGI server and for `flask --app wsgi`."""

import sys

import config
from app import create_app

# A worker shows no pages, and the panel would be a tenth of its memory.
app = create_app(config.load(), panel="worker" not in sys.argv)
