"""The control: one Huey task per id, as it would be without a ledger. Needs REDIS or DATA_DIR.

`plain_huey.py ask N` submits; `plain_huey.py work` works. Each task notes its effect in a file.
"""

import os
import sys
import time
from pathlib import Path

from huey import RedisHuey, SqliteHuey

url = os.environ.get("REDIS_URL")
folder = Path(os.environ["DATA_DIR"])
folder.mkdir(exist_ok=True)
huey = (
    RedisHuey("plain", url=url, results=False, read_timeout=1)
    if url
    else SqliteHuey("plain", filename=str(folder / "plain.db"), results=False)
)


@huey.task(retries=3)
def fetch(number: int) -> None:
    """Take as long as a request does, then leave an effect."""
    time.sleep(0.1)
    (folder / f"effect-{number}").touch()


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        for n in range(int(sys.argv[2])):
            fetch(n)
    else:
        huey.create_consumer(workers=8, initial_delay=0.02, max_delay=0.1).run()
