"""The first page: is all well, what is running, what failed, and the buttons to fetch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import current_app, url_for
from flask_admin import AdminIndexView, expose
from flask_babel import lazy_gettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import fetch, live, login, look, sources
from app.admin.base import Guarded
from app.backups.incidents import open_ones
from app.core.clock import now
from app.core.db import current_time, reading
from app.core.text import N_, Sentence
from app.errors.models import FixtureError
from app.fixtures.models import FixtureDay, MatchDetail
from app.jobs.audit import Imbalance, imbalances
from app.jobs.models import OPEN_JOB, ItemState, Job, Worker
from app.jobs.report import JobReport, job_report, live_workers, totals
from app.monitoring.traffic import Hour, last_hours
from app.sources import pause
from app.sources.models import SourceState

MOST_RUNNING = 8
LIVE_S, SUM_S = 2, 15
HOURS_S = 60.0  # how long the requests by the hour count
BOOKS_S = 60.0  # and what was found when every job was added up
MOST_WRONG = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status sentence is made of."""

    submitted: int
    items: dict[str, int]
    workers: int
    paused: Sequence[SourceState]
    errors: Sequence[tuple[str, int]]  # code, open problems; the most frequent first
    late_backups: Sequence[Sentence] = ()
    wrong_jobs: Sequence[Imbalance] = ()

    @property
    def balanced(self) -> bool:
        """Whether the states add up to what was submitted, in all and for every job."""
        return self.submitted == sum(self.items.values()) and not self.wrong_jobs

    @property
    def open_errors(self) -> int:
        """Of all codes."""
        return sum(count for _code, count in self.errors)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, how bad it is (bad, warn, good), and where to go about it."""

    level: str
    sentence: Sentence
    page: str | None = None  # an endpoint
    of: dict[str, object] = field(default_factory=dict)  # what it wants to know


def judge(facts: Facts) -> list[Finding]:
    """What is wrong, the worst first; never empty. Pure."""
    waiting = facts.items[ItemState.WAITING]
    found = []
    if not facts.balanced:
        found += _wrong_books(facts)
    if not facts.workers:
        found.append(Finding(*_no_worker(waiting), "workers.index_view"))
    found += [Finding("bad", sentence, "backups.index") for sentence in facts.late_backups]
    for state in facts.paused:
        text = N_("Source %(source)s is paused (%(code)s); its items wait.")
        sentence = Sentence(text, {"source": state.source, "code": state.code})
        found.append(Finding("warn", sentence, "sources.index"))
    if facts.open_errors:
        text = N_("Open errors: %(count)s.")
        found.append(
            Finding("warn", Sentence(text, {"count": facts.open_errors}), "errors.index_view")
        )
    return found or [Finding("good", Sentence(N_("All is well.")))]


def _wrong_books(facts: Facts) -> list[Finding]:
    """The jobs whose books are wrong, each by its name; the sum when none is known yet."""
    wrong = facts.wrong_jobs
    found = [
        Finding("bad", one.sentence, "job.page", {"job_id": one.job_id})
        for one in wrong[:MOST_WRONG]
    ]
    if len(wrong) > MOST_WRONG:
        text = N_("The books of %(count)s more jobs are wrong: flask --app wsgi jobs audit")
        found.append(Finding("bad", Sentence(text, {"count": len(wrong) - MOST_WRONG})))
    if not wrong:
        text = N_("The books do not add up: %(submitted)s items submitted, %(counted)s there.")
        values = {"submitted": facts.submitted, "counted": sum(facts.items.values())}
        found.append(Finding("bad", Sentence(text, values), "jobs.index_view"))
    return found


def _no_worker(waiting: int) -> tuple[str, Sentence]:
    if not waiting:
        text = N_("No worker is running: nothing new would be done. %(how)s")
        return "warn", Sentence(text, {"how": HOW_TO_START})
    text = N_("No worker is running and %(waiting)s items wait. %(how)s")
    return "bad", Sentence(text, {"waiting": waiting, "how": HOW_TO_START})


HOW_TO_START = Sentence(N_("Start one: python dev.py run, or flask --app wsgi worker"))


def facts(session: Session) -> Facts:
    """Ask the database."""
    sums = totals(session)
    at = current_time(session)
    counted = session.execute(
        select(FixtureError.code, func.count().label("open"))
        .where(FixtureError.resolved_at.is_(None))
        .group_by(FixtureError.code)
        .order_by(func.count().desc(), FixtureError.code)
    )
    return Facts(
        submitted=sums["submitted"],
        items=sums["items"],
        workers=len(live_workers(session)),
        paused=[s for s in pause.states(session) if pause.pause_of(session, s.source, at)],
        errors=[(row.code, row.open) for row in counted],
        late_backups=open_ones(session, current_app.config["FIKSTUR"].time_zone, at),
        wrong_jobs=wrong_jobs(session),
    )


def wrong_jobs(session: Session) -> Sequence[Imbalance]:
    """Job by job, for two wrong ones can make a right sum. Every item is read: once in a minute."""
    kept: tuple[float, Sequence[Imbalance]] | None = current_app.extensions.get("fikstur-books")
    if kept is None or time.monotonic() - kept[0] > BOOKS_S:
        kept = time.monotonic(), imbalances(session)
        current_app.extensions["fikstur-books"] = kept
    return kept[1]


def running(session: Session) -> list[JobReport]:
    """The open jobs with their sums, the oldest first."""
    wanted = select(Job.id).where(Job.state.in_(OPEN_JOB)).order_by(Job.id).limit(MOST_RUNNING)
    return [job_report(session, job_id) for job_id in session.scalars(wanted)]


def last_fetch(session: Session) -> Any:
    """When a good list or good details last came; None when none ever did."""
    lists = session.scalar(select(func.max(FixtureDay.fetched_at)))
    details = session.scalar(select(func.max(MatchDetail.fetched_at)))
    return max((at for at in (lists, details) if at is not None), default=None)


def requests_by_hour() -> Sequence[Hour]:
    """What the drawing shows; counted once in a minute, for there may be very many."""
    kept: tuple[float, Sequence[Hour]] | None = current_app.extensions.get("fikstur-hours")
    if kept is None or time.monotonic() - kept[0] > HOURS_S:
        with reading() as session:
            kept = time.monotonic(), last_hours(session, now())
        current_app.extensions["fikstur-hours"] = kept
    return kept[1]


class DashboardView(Guarded, AdminIndexView):
    """Two parts keep themselves up to date: the jobs often, the sum over everything seldom."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Dashboard"), url="/admin")

    @expose("/")
    def index(self) -> str:
        """All of it."""
        return self.render(
            "panel/dashboard.html",
            day_form=fetch.day_form(),
            usable=sources.table().usable(),
            may_fetch=login.may(Permission.FETCH),
            live_s=LIVE_S,
            sum_s=SUM_S,
            hours=requests_by_hour(),
            clock=look.clock,
            **self._status(),
            **self._running(),
        )

    @expose("/live")
    def live(self) -> Response:
        """The running jobs."""
        return live.answer(self.render("panel/_running.html", **self._running()))

    @expose("/sum")
    def sum(self) -> Response:
        """The status sentence, the sum and the open errors."""
        return live.answer(self.render("panel/_status.html", **self._status()))

    @expose("/light")
    def light(self) -> Response:
        """How the workers are, for the light of every page."""
        return live.answer(self.render("panel/_light.html"))

    def _running(self) -> dict[str, Any]:
        with reading() as session:
            return {"reports": running(session)}

    def _status(self) -> dict[str, Any]:
        with reading() as session:
            known = facts(session)
            workers: Sequence[Worker] = live_workers(session)
            last = last_fetch(session)
        return {
            "facts": known,
            "findings": judge(known),
            "workers": workers,
            "last_fetch": last,
            "errors_url": lambda code: url_for("errors.index_view", **{CODE_FILTER: code}),
        }


CODE_FILTER = "flt1"  # the second filter of the list of errors; a test holds it
