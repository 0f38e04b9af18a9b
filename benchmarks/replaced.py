"""The design that Fikstür replaces, as a baseline: one Celery task per id, nothing pooled.

A task asks with `requests.get`, then looks for its row and inserts or updates it, each in a
transaction of its own. Results are off, as nobody reads them. Started as
`celery -A benchmarks.replaced worker`, with BENCH_BROKER, BENCH_DATABASE and BENCH_SOURCE set.
"""

import os
from datetime import UTC, datetime
from typing import Any

import requests
import sqlalchemy as sa
from celery import Celery
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Celery("replaced", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, worker_send_task_events=False)
engine = sa.create_engine(os.environ["BENCH_DATABASE"], pool_size=16)
source = os.environ["BENCH_SOURCE"]


class Base(DeclarativeBase):
    """The table of this design alone."""


class Row(Base):
    """A match and its raw answer, as the replaced system kept them."""

    __tablename__ = "replaced_match"

    match_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    home: Mapped[str]
    away: Mapped[str]
    competition: Mapped[str]
    kickoff: Mapped[int]
    status: Mapped[str]
    home_score: Mapped[int | None]
    away_score: Mapped[int | None]
    raw: Mapped[Any] = mapped_column(sa.JSON)
    began_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))
    stored_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


@app.task
def fetch(match_id: int) -> None:
    """Ask for one match and store it."""
    began_at = datetime.now(UTC)
    answer = requests.get(f"{source}/api/v1/event/{match_id}", timeout=30)
    answer.raise_for_status()
    told = answer.json()
    values = _values(told["event"]) | {"raw": told, "began_at": began_at}
    with Session(engine) as session:
        row = session.scalar(sa.select(Row).where(Row.match_id == match_id))
        if row is None:
            row = Row(match_id=match_id)
            session.add(row)
        for name, value in values.items():
            setattr(row, name, value)
        row.stored_at = datetime.now(UTC)
        session.commit()


def _values(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "home": event["homeTeam"]["name"],
        "away": event["awayTeam"]["name"],
        "competition": event["tournament"]["name"],
        "kickoff": event["startTimestamp"],
        "status": event["status"]["type"],
        "home_score": event.get("homeScore", {}).get("current"),
        "away_score": event.get("awayScore", {}).get("current"),
    }
