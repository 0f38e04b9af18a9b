"""The control: a worker whose steward does not take back what a dead one had in hand."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import tasks
from app.jobs import steward

steward.duties_of_all.__globals__["take_back_expired"] = lambda: None
consumer = tasks.huey.create_consumer(workers=4, initial_delay=0.02, max_delay=0.1)
consumer.run()
