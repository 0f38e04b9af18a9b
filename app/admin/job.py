"""The page of one job: live progress, its items, the history of each, and the ways to steer it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flask import current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext, ngettext
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import export, live, login, look, words
from app.admin.base import MOST_ID, PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse
from app.backups.present import step_told
from app.backups.progress import in_hand
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.drill.models import DrillReceipt
from app.errors.models import FixtureError
from app.fixtures.detail_kinds import PREFIX
from app.fixtures.models import Match, MatchDetail, RawAnswer
from app.jobs import steer
from app.jobs.models import ItemOutcome, ItemState, JobItem
from app.jobs.report import JobReport, job_report, requests_of, timeline, why_item_waits
from app.jobs.slices import (
    RETRIABLE,
    Retriable,
    Slice,
    count_retriable,
    each_item,
    list_slice,
    retry_jobs,
    retry_slice,
)

ITEMS_PER_PAGE = 50
EVERY_S = 2
_ID = f"<int(max={MOST_ID}):job_id>"


class JobView(PanelView):
    """Addressed by the job's number; the list of jobs leads here."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Job"), endpoint="job", url="job")

    def is_visible(self) -> bool:
        """Not in the menu."""
        return False

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """Without a number: the list."""
        return redirect(url_for("jobs.index_view"))

    @expose(f"/{_ID}")
    def page(self, job_id: int) -> str:
        """Everything about the job; the script of the page keeps it up to date."""
        return self.render("panel/job.html", every_s=EVERY_S, **shown(job_id))

    @expose(f"/{_ID}/live")
    def live(self, job_id: int) -> ResponseReturnValue:
        """The moving parts of the page, until nothing moves any more."""
        parts = shown(job_id)
        html = self.render("panel/_job.html", **parts)
        return live.answer(html, ended=not parts["report"].is_open)

    @expose(f"/{_ID}/item/<int(max={MOST_ID}):item_id>")
    def item(self, job_id: int, item_id: int) -> str:
        """What happened to one item, request by request."""
        with reading() as session:
            item = session.get(JobItem, item_id)
            if item is None or item.job_id != job_id:
                refuse(404, Sentence(N_("There is no item %(id)s in this job."), {"id": item_id}))
            events = timeline(session, item_id)
            parts = {
                "requests": requests_of(session, item),
                "waits_for": why_item_waits(session, item),
                "links": leads(session, item),
            }
        return self.render("panel/item.html", item=item, events=events, **parts)

    @expose(f"/{_ID}/items.xlsx")
    def items_xlsx(self, job_id: int) -> Response:
        """The items of the slice shown, as a workbook."""
        return export_items(slice_of(job_id, request.args), "xlsx")

    @expose(f"/{_ID}/items.csv")
    def items_csv(self, job_id: int) -> Response:
        """The same as text."""
        return export_items(slice_of(job_id, request.args), "csv")

    @expose(f"/{_ID}/retry", methods=("POST",))
    def retry(self, job_id: int) -> ResponseReturnValue:
        """A new job for what of the slice has ended without being done."""
        login.require(Permission.FETCH)
        try:
            with reading() as session:
                job_report(session, job_id)
                job, left_out = retry_slice(session, slice_of(job_id, request.form))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(url_for(".page", job_id=job_id))
        if left_out:
            flash(
                ngettext(
                    "%(num)s item is being tried by another job and left out.",
                    "%(num)s items are being tried by other jobs and left out.",
                    left_out,
                ),
                "info",
            )
        return redirect(url_for(".page", job_id=submit(job)))

    @expose(f"/{_ID}/cancel", methods=("POST",))
    def cancel(self, job_id: int) -> ResponseReturnValue:
        """What waits is cancelled at once, what runs when its worker next looks."""
        by = login.me().username
        return self._steer(
            job_id,
            lambda session: steer.cancel(session, job_id, by=by),
            gettext("Job %(id)s: everything that waited is cancelled.", id=job_id),
        )

    @expose(f"/{_ID}/pause", methods=("POST",))
    def pause(self, job_id: int) -> ResponseReturnValue:
        """Hand out no more of its items."""
        said = gettext("Job %(id)s is paused; what runs is finished.", id=job_id)
        return self._steer(job_id, lambda session: steer.pause(session, job_id), said)

    @expose(f"/{_ID}/resume", methods=("POST",))
    def resume(self, job_id: int) -> ResponseReturnValue:
        """Go on; the steward rings for it."""
        said = gettext("Job %(id)s goes on.", id=job_id)
        return self._steer(job_id, lambda session: steer.resume(session, job_id), said)

    def _steer(
        self, job_id: int, change: Callable[[Session], object], said: str
    ) -> ResponseReturnValue:
        login.require(Permission.FETCH)
        try:
            persist(change)
            flash(said, "success")
        except RequestError as error:
            flash(say(error.sentence), "error")
        return redirect(url_for(".page", job_id=job_id))


def leads(session: Session, item: JobItem) -> list[tuple[str, str]]:
    """What there is of an item elsewhere: the words of each link, and its address."""
    match = select(Match.id).where(Match.source == item.source, Match.source_id == item.key)
    answer = select(MatchDetail.raw_id).where(  # of many matches perhaps: not known by its key
        MatchDetail.source == item.source,
        MatchDetail.source_id == item.key,
        MatchDetail.kind == item.kind.removeprefix(PREFIX),
    )
    if not item.kind.startswith(PREFIX):
        answer = select(func.max(RawAnswer.id)).where(
            RawAnswer.source == item.source,
            RawAnswer.key == item.key,
            RawAnswer.kind == item.kind,
        )
    error = select(FixtureError.id).where(
        FixtureError.source == item.source,
        FixtureError.kind == item.kind,
        FixtureError.key == item.key,
        FixtureError.resolved_at.is_(None),
    )
    places = (
        (gettext("Match"), "matches.details_view", match),
        (gettext("Raw answer"), "answers.details_view", answer),
        (gettext("Open error"), "errors.details_view", error),
    )
    found = [(name, place, session.scalar(query)) for name, place, query in places]
    return [(name, url_for(place, id=number)) for name, place, number in found if number]


def slice_of(job_id: int, values: Mapping[str, str]) -> Slice:
    """The slice an address or a form asks for; what nobody knows is left out."""
    asked = {name: values.get(name, "").strip() for name in ASKED}
    known = {name: value for name, value in asked.items() if _is_known(name, value)}
    return Slice(job_id, **known)


def _is_known(name: str, value: str) -> bool:
    # Codes may be older than the taxonomy; a key is a day or the id of a match.
    if name == "key":
        return bool(_KEY.fullmatch(value))
    return value in TABLES[name] or (name == "code" and bool(_CODE.fullmatch(value)))


_KEY = re.compile(r"[\w:.-]{1,100}")
_CODE = re.compile(r"[A-Z_]{1,30}")
# What a slice can be made of, and the words for it.
TABLES: dict[str, dict[str, str]] = {
    "state": words.ITEM_STATES,
    "outcome": words.OUTCOMES,
    "code": words.CODES,
}
ASKED = (*TABLES, "key")


def shown(job_id: int) -> dict[str, Any]:
    """What the page and its moving parts show."""
    wanted = slice_of(job_id, request.args)
    after = min(max(request.args.get("after", 0, type=int), 0), MOST_ID)
    with reading() as session:
        report = _report(session, job_id)
        items = list_slice(session, wanted, after=after, most=ITEMS_PER_PAGE + 1)
        retriable = _retriable(session, wanted)
        retries = retry_jobs(session, job_id)
        receipt = select(DrillReceipt.id).where(DrillReceipt.job_id == job_id)
        receipt_id = session.scalar(receipt.limit(1)) if report.job.kind == "drill_chaos" else None
    chosen = {name: value for name in ASKED if (value := getattr(wanted, name)) is not None}
    folder = current_app.config["FIKSTUR"].backup.folder
    return {
        "report": report,
        "job": report.job,
        "slice": wanted,
        "chosen": chosen,
        "in_slice": _count(report, wanted),
        "retriable": retriable if login.may(Permission.FETCH) else Retriable(0, 0),
        "retries": retries,
        "receipt_id": receipt_id,
        "state_bar": state_bar(report),
        "after": after,
        "items": items[:ITEMS_PER_PAGE],
        "more_after": items[ITEMS_PER_PAGE - 1].id if len(items) > ITEMS_PER_PAGE else None,
        "may_steer": login.may(Permission.FETCH) and report.is_open,
        "in_hand": [one for one in in_hand(folder) if one.job_id == job_id],
        "step_told": step_told,
    }


def _retriable(session: Session, wanted: Slice) -> Retriable:
    """How many of the slice "Retry this slice" would try again; none where it is not offered."""
    retry_makes_sense = wanted.state in {None, *RETRIABLE} and wanted.outcome is None
    return count_retriable(session, wanted) if retry_makes_sense else Retriable(0, 0)


def _count(report: JobReport, wanted: Slice) -> int | None:
    """How many items the slice has, where the sums of the job say it."""
    if wanted.key is not None:
        return None
    sums = {"state": report.items, "outcome": report.outcomes, "code": report.errors}
    asked = [(name, value) for name in sums if (value := getattr(wanted, name)) is not None]
    if not asked:
        return report.job.submitted
    ((name, value), *more) = asked
    return None if more else sums[name].get(value, 0)


# --- the bar: done is shaded by what it means -----------------------------------------------------

_BAR = (
    *((outcome, "done") for outcome in ItemOutcome),
    *((state, "") for state in (ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED)),
    *((state, "") for state in (ItemState.RUNNING, ItemState.WAITING)),
)


def state_bar(report: JobReport) -> Markup:
    """A bar made of states, done made of its outcomes. Widths are attributes: no inline style."""
    if not report.job.submitted:
        return look.NONE
    counts = {**report.items, **report.outcomes}
    parts, at = [], 0.0
    for name, inside in _BAR:
        width = 100 * counts.get(name, 0) / report.job.submitted
        if width:
            part = Markup(
                '<rect class="is-{} {}" x="{:.2f}%" width="{:.2f}%" height="100%"></rect>'
            )
            parts.append(part.format(name, inside and f"is-{inside}", at, width))
        at += width
    words_of = {**words.ITEM_STATES, **words.OUTCOMES}
    told = ", ".join(f"{counts[n]} {look.word(words_of, n)}" for n, _in in _BAR if counts.get(n))
    return Markup('<svg class="bar" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        told, told, Markup("").join(parts)
    )


# --- a slice as a file ----------------------------------------------------------------------------

COLUMNS = {
    "key": lazy_gettext("Key"),
    "source": lazy_gettext("Source"),
    "kind": lazy_gettext("Work"),
    "state": lazy_gettext("State"),
    "outcome": lazy_gettext("Outcome"),
    "code": lazy_gettext("Code"),
    "message": lazy_gettext("What happened"),
    "attempts": lazy_gettext("Attempts"),
    "crashes": lazy_gettext("Crashes"),
    "started_at": lazy_gettext("Started"),
    "finished_at": lazy_gettext("Ended"),
    "id": lazy_gettext("Item"),  # last: the first column is what people take for the ids
}


def export_items(wanted: Slice, form: str) -> Response:
    """The slice as a file to keep; 404 when there is no such job."""
    chosen = [value for name in ASKED if (value := getattr(wanted, name)) is not None]
    with reading() as session:
        _report(session, wanted.job_id)
        name = "-".join(["job", str(wanted.job_id), *chosen])
        header = [str(text) for text in COLUMNS.values()]
        title = gettext("Job %(id)s", id=wanted.job_id)
        return export.download(name, form, header, _rows(session, wanted), title)


def _rows(session: Session, wanted: Slice) -> Iterator[Sequence[export.Value]]:
    """In the words of the page, as every list; only the codes are the same in all languages."""
    for item in each_item(session, wanted):
        yield [_value(item, name) for name in COLUMNS]


def _value(item: Any, name: str) -> export.Value:
    value: export.Value = getattr(item, name)
    if name == "message":
        return say(item.message)
    return look.word(_WORDS[name], value) if name in _WORDS and isinstance(value, str) else value


_WORDS = {"kind": words.KINDS, "state": words.ITEM_STATES, "outcome": words.OUTCOMES}


def _report(session: Session, job_id: int) -> JobReport:
    try:
        return job_report(session, job_id)
    except RequestError as error:
        refuse(404, error.sentence)
