"""Slots in time that all processes share: so many in so many seconds, on Redis or in a file.

pyrate-limiter counts them. Its buckets are used without its Limiter, whose thread and whose waiting
are not wanted here: what was counted and is past is swept in passing.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import cast

from filelock import FileLock
from pyrate_limiter import AbstractBucket, Rate, RateItem, RedisBucket, SQLiteBucket
from pyrate_limiter.abstracts.algorithm import Decision
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

Rates = Sequence[tuple[int, float]]  # requests, seconds; ever longer, ever thinner

MOST_WAIT_S = 1.0  # for the file's lock and for Redis: whoever holds it may be stopped
AWAY_S = 5.0  # after a failure nobody asks again for so long
SWEEP_S = 60.0
# Two processes that ask in the same moment must see each other's slot, but Redis counts only up to
# the asker's own time. Times are rounded up to a tick, so that they nearly always share one.
TICK_MS = 20


class SlotsAwayError(Exception):
    """The slots cannot be counted together at the moment."""


class Slots:
    """Counts for any number of names. Safe to use from all threads of a process."""

    def __init__(self, redis_url: str | None, data_dir: Path, namespace: str = "fikstur") -> None:
        self._redis = _client(redis_url) if redis_url else None
        self._namespace = namespace
        self._path = data_dir / "limits.db"
        self._buckets: dict[str, AbstractBucket] = {}
        self._swept_at: dict[str, float] = {}
        self._away_until = 0.0
        self._lock = threading.Lock()

    def take(self, name: str, rates: Rates, want: int) -> tuple[int, float]:
        """Reserve up to `want` slots: how many there were, and the seconds until the next one.

        The seconds are 0 when all were there. SlotsAwayError when nobody can be asked.
        """
        with self._lock:
            if time.monotonic() < self._away_until:
                raise SlotsAwayError("asked a moment ago")
            try:
                return self._take(name, rates, want)
            except (RedisError, sqlite3.Error, OSError) as error:
                self._forget(name)
                if not isinstance(error, NoScriptError):  # Redis was restarted: the next one is new
                    self._away_until = time.monotonic() + AWAY_S
                raise SlotsAwayError(str(error)) from error

    def forget(self, name: str) -> None:
        """Count from nothing again. SlotsAwayError when nobody can be asked."""
        with self._lock:
            try:
                self._bucket(name, [(1, 1.0)]).flush()
            except (RedisError, sqlite3.Error, OSError) as error:
                raise SlotsAwayError(str(error)) from error

    def close(self) -> None:
        """Let go of the file or the connections."""
        with self._lock:
            for name in list(self._buckets):
                self._forget(name)
            if self._redis is not None:
                self._redis.close()

    def _take(self, name: str, rates: Rates, want: int) -> tuple[int, float]:
        bucket = self._bucket(name, rates)
        # One hold of the file's lock for the time and all that is counted at it.
        with bucket.limiter_lock() or nullcontext():  # type: ignore[attr-defined]
            at = self._now_ms()
            self._sweep(name, bucket, at)
            return _fill(bucket, min(want, rates[0][0]), at)

    def _bucket(self, name: str, rates: Rates) -> AbstractBucket:
        given = [Rate(requests, round(seconds * 1000)) for requests, seconds in rates]
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = (
                RedisBucket.init(given, self._redis, f"{self._namespace}:slots:{name}")
                if self._redis
                else _in_file(given, self._path, f"slots_{name}")
            )
        bucket.rates = given  # they change when a source asks for fewer
        return bucket

    def _now_ms(self) -> int:
        """One clock for all: that of Redis; who shares a file shares a machine."""
        if self._redis is None:
            return time.time_ns() // 1_000_000
        seconds, micros = self._redis.time()
        return -((seconds * 1_000_000 + micros) // (-1000 * TICK_MS)) * TICK_MS

    def _sweep(self, name: str, bucket: AbstractBucket, at: int) -> None:
        if time.monotonic() >= self._swept_at.get(name, 0.0):
            bucket.leak(at)
            self._swept_at[name] = time.monotonic() + SWEEP_S

    def _forget(self, name: str) -> None:
        bucket = self._buckets.pop(name, None)
        if isinstance(bucket, SQLiteBucket):
            bucket.conn.close()


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=MOST_WAIT_S,
        socket_connect_timeout=MOST_WAIT_S,
        retry=Retry(NoBackoff(), 1),  # for a connection that was closed while idle
    )


def _in_file(rates: list[Rate], path: Path, table: str) -> SQLiteBucket:
    """As `use_file_lock=True` makes it, but with a lock that is not waited for without end."""
    lock = FileLock(f"{path}.lock", timeout=MOST_WAIT_S)
    with lock:
        bucket = SQLiteBucket.init_from_file(rates, table, str(path))
        bucket.conn.execute("PRAGMA journal_mode=WAL")
        bucket.conn.execute("PRAGMA synchronous=NORMAL")
    bucket.lock = lock  # type: ignore[assignment]
    bucket.use_limiter_lock = True
    return bucket


def _fill(bucket: AbstractBucket, want: int, at: int) -> tuple[int, float]:
    """Ask for all, then for halves: a bucket gives all that is asked for or nothing."""
    got, step = 0, want
    while step:
        decision = cast(Decision, bucket.put_decision(RateItem("slot", at, weight=step)))
        if decision.allowed:
            got += step
            step = min(step, want - got)
        elif step > 1:
            step //= 2
        else:
            return got, ((decision.retry_after_ms or 0) + TICK_MS) / 1000
    return got, 0.0
