"""The bell: Huey on Redis or SQLite, carrying nothing but a job's id. The ledger is the queue."""

import json
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from huey import Huey, RedisHuey, SqliteHuey
from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer
from redis import ConnectionPool
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

# What may wait unheard. Few messages keep priority, pause and cancel immediate, and make a lost
# queue cheap: whatever waits in the ledger is rung again.
MOST_BELLS = 16
# A queue that did not answer is not rung for so long: one that is frozen costs ten seconds a try.
QUIET_S = 5.0
_quiet_until: WeakKeyDictionary[Huey, float] = WeakKeyDictionary()  # monotonic


class JsonSerializer(Serializer):
    """Messages as JSON: a queue that somebody else can write to must not be able to run code."""

    def _serialize(self, data: Message) -> bytes:
        fields = {name: value for name, value in data._asdict().items() if value is not None}
        return json.dumps(fields, default=str).encode()

    def _deserialize(self, data: bytes) -> Message:
        return Message(**json.loads(data))


class QueueAwayError(Exception):
    """The queue cannot be reached; its text says why."""


def build_huey(redis_url: str | None, data_dir: Path, name: str = "fikstur") -> Huey:
    """Huey on Redis, or on a file of its own beside the database when there is no Redis.

    Queues of different names on one Redis know nothing of each other.
    """
    options: dict[str, Any] = {"results": False, "serializer": JsonSerializer(), "utc": True}
    if redis_url:
        # socket_timeout above read_timeout: else a message may go to a socket already closed.
        pool = ConnectionPool.from_url(redis_url, socket_timeout=10, socket_connect_timeout=3)
        return RedisHuey(name, connection_pool=pool, read_timeout=1, **options)
    return SqliteHuey(name, filename=str(data_dir / "queue.db"), timeout=10, **options)


def ring(huey: Huey, task: str, job_id: int, times: int = 1) -> bool:
    """Wake workers for a job by the task named as its kind; False when nobody could be told.

    A lost bell costs nothing: the steward rings again for what waits unclaimed.
    """
    if time.monotonic() < _quiet_until.get(huey, 0):
        return False
    try:
        room = MOST_BELLS - huey.pending_count()
        for _ in range(min(times, room)):
            huey.enqueue(huey._registry.string_to_task(f"tasks.{task}")((job_id,)))
    except HueyException:  # another version's, in the middle of an upgrade or after going back
        log.warning("no task is named %s; job %s waits for a worker that has it", task, job_id)
        return False
    except (RedisError, sqlite3.Error, OSError) as error:
        _quiet_until[huey] = time.monotonic() + QUIET_S
        log.warning("the queue cannot be reached (%s); the steward rings again", error)
        return False
    return room > 0


def bells(huey: Huey) -> set[int]:
    """The jobs whose bells nobody has heard yet; none when the queue cannot be asked."""
    try:
        return {task.args[0] for task in huey.pending() if task.args}
    except (HueyException, RedisError, sqlite3.Error, OSError) as error:
        log.warning("the queue cannot be reached (%s)", error)
        return set()


def check(huey: Huey) -> int:
    """How many bells wait. Raises when the queue cannot be reached."""
    return int(huey.pending_count())


def wipe(redis_url: str | None, data_dir: Path, name: str) -> None:
    """Forget every message of the queue of this name, and nothing else on the same Redis.

    Raises QueueAwayError.
    """
    try:
        huey = build_huey(redis_url, data_dir, name)
        huey.flush()
    except (RedisError, sqlite3.Error, OSError) as error:
        raise QueueAwayError(str(error)) from error
    huey.storage.close()
    if redis_url:
        huey.storage.pool.disconnect()
