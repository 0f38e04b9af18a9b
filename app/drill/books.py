"""Looking into the drill's own database and the sandbox's log, from outside its workers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from app.core.db import BATCH, current_time
from app.fixtures.details_request import details_plan
from app.fixtures.models import MatchDetail, RawAnswer
from app.jobs.audit import imbalances
from app.jobs.models import OPEN_JOB, ItemState, Job, JobEvent, JobItem, Trigger
from app.jobs.report import sums
from app.jobs.submit import submit
from app.sources.registry import adapter

SOURCE, KIND, FIRST_ID = "sandbox", "event", 100_000_000
_EXPLAINS = ("crashed", "gave_back", "retry")
_ENDS = ("done", "failed", "cancelled")
_Key = tuple[int | None, int | None, str]  # item, fence, event


@dataclass(frozen=True, slots=True)
class Look:
    """The job at one moment."""

    states: dict[str, int]
    balanced: bool
    is_open: bool

    @property
    def done(self) -> int:
        return self.states[ItemState.DONE]


@dataclass(frozen=True, slots=True)
class Held:
    """What one worker had in hand: item id -> fence."""

    fences: Mapping[int, int]
    most_crashes: int  # that one of them has behind it


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted at the end; the names are those of the receipt."""

    done_once: int
    effects: int
    doubled: int
    executions: int
    never_asked: int
    unexplained: int
    claimed_again: int
    explained: int


class Books:
    """The ledger of the drill; every question is a session of its own."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(database_url)
        self.job_id = 0

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def submit(self, items: int) -> datetime:
        """Ask for the details of so many matches of the sandbox. The time by the database."""
        ids = [str(FIRST_ID + n) for n in range(items)]
        with Session(self._engine) as session, session.begin():
            wanted = details_plan(session, adapter(SOURCE), ids, [KIND]).job
            if wanted is None:
                raise RuntimeError("a scratch database has details already")
            done = submit(session, wanted, by="drill", trigger=Trigger.CLI)
            self.job_id = done.job_id
            return current_time(session)

    def now(self) -> datetime:
        """The database's clock."""
        with Session(self._engine) as session:
            return current_time(session)

    def look(self) -> Look:
        """How the job stands."""
        with Session(self._engine) as session:
            states = sums(session, self.job_id)[0]
            job = session.get_one(Job, self.job_id)
            fine = sum(states.values()) == job.submitted and not imbalances(session)
            return Look(states, fine, job.state in OPEN_JOB)

    def held(self) -> dict[str, Held]:
        """What is in whose hands, by the worker's name in the ledger."""
        running = select(JobItem.worker, JobItem.id, JobItem.fence, JobItem.crashes).where(
            JobItem.job_id == self.job_id, JobItem.state == ItemState.RUNNING
        )
        found: dict[str, list[tuple[int, int, int]]] = {}
        with Session(self._engine) as session:
            for worker, *values in session.execute(running):
                found.setdefault(str(worker), []).append((values[0], values[1], values[2]))
        return {
            worker: Held({item: fence for item, fence, _ in rows}, max(row[2] for row in rows))
            for worker, rows in found.items()
        }

    def aftermath(self, fences: Mapping[int, int]) -> tuple[datetime | None, datetime | None]:
        """When the last of what a dead worker held could be claimed again, and when the last of it
        was running again or had ended; None: at least one never."""
        events: dict[_Key, datetime] = {}
        with Session(self._engine) as session:
            for some in _batches(list(fences)):
                rows = session.scalars(select(JobEvent).where(JobEvent.item_id.in_(some)))
                events |= {(row.item_id, row.fence, row.event): row.at for row in rows}
        back, again = [], []
        for item, fence in fences.items():
            ended = _first(events, item, fence, _ENDS)
            back.append(ended or _first(events, item, fence, _EXPLAINS))
            again.append(ended or events.get((item, fence + 1, "claimed")))
        return _last(back), _last(again)

    def tally(self, asked: Counter[str]) -> Tally:
        """Count everything; `asked` is what the sandbox says it was asked for, by match id."""
        with Session(self._engine) as session:
            fences = _fences(session, self.job_id)
            ends = _ends(session, self.job_id)
            raws = _answers(session)
            stored = session.scalar(
                select(func.count())
                .select_from(MatchDetail)
                .where(MatchDetail.kind == KIND, MatchDetail.fetched_at.is_not(None))
            )
            explained = session.scalar(
                select(func.count())
                .select_from(JobEvent)
                .where(JobEvent.job_id == self.job_id, JobEvent.event.in_(_EXPLAINS))
            )
        twice = {key for counted in (ends, raws) for key, count in counted.items() if count > 1}
        return Tally(
            done_once=sum(count == 1 for count in ends.values()),
            effects=min(stored or 0, len(raws)),
            doubled=len(twice),
            executions=asked.total(),
            never_asked=sum(not asked[key] for key in fences),
            unexplained=sum(max(0, n - fences.get(key, 0)) for key, n in asked.items()),
            claimed_again=sum(max(0, fence - 1) for fence in fences.values()),
            explained=explained or 0,
        )


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


def _first(
    events: Mapping[_Key, datetime], item: int, fence: int, names: Sequence[str]
) -> datetime | None:
    return next((at for name in names if (at := events.get((item, fence, name)))), None)


def _last(times: Sequence[datetime | None]) -> datetime | None:
    known = [at for at in times if at is not None]
    return max(known) if known and len(known) == len(times) else None


def _fences(session: Session, job_id: int) -> dict[str, int]:
    """How often each item was claimed."""
    rows = session.execute(select(JobItem.key, JobItem.fence).where(JobItem.job_id == job_id))
    return {row.key: row.fence for row in rows}


def _ends(session: Session, job_id: int) -> dict[str, int]:
    """How often each item was done."""
    counted = (
        select(JobItem.key, func.count())
        .join(JobEvent, JobEvent.item_id == JobItem.id)
        .where(JobItem.job_id == job_id, JobEvent.event == "done")
        .group_by(JobItem.key)
    )
    return {key: count for key, count in session.execute(counted)}  # noqa: C416  rows are no pairs


def _answers(session: Session) -> dict[str, int]:
    """How many answers of each match are stored."""
    counted = (
        select(RawAnswer.key, func.count())
        .where(RawAnswer.source == SOURCE)
        .group_by(RawAnswer.key)
    )
    return {key: count for key, count in session.execute(counted)}  # noqa: C416


def requests(log: Path) -> Counter[str]:
    """How often the sandbox was asked for each match, by its own log."""
    lines = log.read_text("utf-8").splitlines()
    return Counter(json.loads(line)["path"].rpartition("/")[2] for line in lines)
