"""A worker that believes it is some seconds later (or earlier) than it is: `… SECONDS`."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
offset_s = float(sys.argv.pop())
true_time, true_time_ns = time.time, time.time_ns
time.time = lambda: true_time() + offset_s
time.time_ns = lambda: true_time_ns() + int(offset_s * 1e9)

from app.core import clock  # noqa: E402

clock.now = lambda: datetime.now(UTC) + timedelta(seconds=offset_s)

import tasks  # noqa: E402

tasks.huey.create_consumer(workers=2, initial_delay=0.02, max_delay=0.1).run()
