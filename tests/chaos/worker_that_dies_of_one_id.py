"""A worker that is killed whenever it asks for one certain match: a poison item."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import tasks
from app.sources.http import Client

POISON = "100000150"
ask = Client.ask


def ask_or_die(client: Client, request: object) -> object:
    if request.url.endswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    return ask(client, request)


Client.ask = ask_or_die
tasks.huey.create_consumer(workers=2, initial_delay=0.02, max_delay=0.1).run()
