"""Health check of a worker container: has a worker of this host said lately that it is alive?"""

import socket
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine, select

from app.jobs.models import Worker
from config import Config

FRESH = timedelta(minutes=2)


def is_alive(database_url: str) -> bool:
    recent = select(Worker.id).where(
        Worker.host == socket.gethostname()[:60],
        Worker.heartbeat_at > datetime.now(UTC) - FRESH,
        Worker.stopped_at.is_(None),
    )
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            return connection.execute(recent).first() is not None
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(0 if is_alive(Config.from_env().database_url) else 1)
