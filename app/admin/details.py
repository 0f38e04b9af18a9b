"""The page "Fetch details": first it says what would be done, then a second button does that."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import Flask, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext, ngettext
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.permissions import Permission
from app.admin import fetch, login, sources
from app.admin.base import PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse
from app.core.clock import now
from app.core.db import reading
from app.core.many import one_of
from app.core.text import N_, RequestError, Sentence
from app.fixtures import ids
from app.fixtures.details_request import DetailsPlan, checked_kinds, details_plan, holders
from app.fixtures.models import Match
from app.fixtures.request import days_between, parse_day
from app.sources.base import Source
from app.sources.present import Standing, standing

MOST_GAPS = 10  # days that are named
MOST_HOLDERS = 5
WAYS = ("ids", "file", "days")
TOO_MUCH = N_("At most %(most)s MB can be sent at once. Give the ids in parts.")


def init_app(app: Flask) -> None:
    """Before the guard is: it reads the form, which is larger here than elsewhere."""
    app.before_request(make_room)


def make_room() -> None:
    """Let this page's form hold a file of ids, and 200,000 pasted ones."""
    if request.endpoint != "details.index" or not current_user.is_authenticated:
        return
    request.max_content_length = request.max_form_memory_size = ids.MOST_BYTES
    if (request.content_length or 0) > ids.MOST_BYTES:
        refuse(413, Sentence(TOO_MUCH, {"most": ids.MOST_BYTES // 1024 // 1024}))


# --- from the form to a plan ----------------------------------------------------------------------


def offered() -> list[Source]:
    """The sources that may be asked and have details."""
    table = sources.table()
    return [source for name in table.usable() if (source := table.get(name)).detail_kinds]


def proposed(values: Mapping[str, str]) -> dict[str, Any]:
    """The fields as the address asks for them: all kinds, pasted ids, today."""
    known = [source.name for source in offered()]
    source, how, today = values.get("source"), values.get("how"), fetch.today().isoformat()
    return {
        "source": source if source in known else next(iter(known), ""),
        "how": how if how in WAYS else "ids",
        "kinds": None,  # not chosen yet: all
        "ids": values.get("ids", ""),
        "from": values.get("from", today),
        "to": values.get("to", today),
        "skip": fetch.fresh(),
    }


def typed(values: Any) -> dict[str, Any]:
    """The fields as they were sent."""
    form: dict[str, Any] = {
        name: values.get(name, "").strip() for name in ("source", "how", "from", "to", "skip")
    }
    return {
        **form,
        "ids": values.get("ids", ""),
        "kinds": values.getlist(f"kinds_{form['source']}"),
    }


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: checked, but not compared with what is there yet."""

    source: Source
    kinds: Sequence[str]
    skip_h: int
    found: ids.Found | None = None  # in a text or file
    days: tuple[Any, Any] | None = None  # or the stored days that hold the matches


def wish(form: Mapping[str, Any], found: ids.Found | None) -> Wish:
    """RequestError says what is wrong with the form."""
    source = sources.table().get(form["source"])
    if source.detail_kinds and not form["kinds"]:
        raise RequestError(N_("No kind of details was chosen. Tick at least one."))
    kinds = checked_kinds(source, form["kinds"])
    skip_h = fetch.hours(form["skip"])
    if form["how"] != "days":
        return Wish(source, kinds, skip_h, found)
    first, last = parse_day(form["from"]), parse_day(form["to"])
    days_between(first, last)
    return Wish(source, kinds, skip_h, days=(first, last))


def found_in(form: Mapping[str, Any], files: Mapping[str, Any]) -> ids.Found | None:
    """The ids in the text or the file; None when days are asked for. RequestError as `ids`."""
    if form["how"] == "days":
        return None
    if form["how"] != "file":
        return ids.from_text(form["ids"])
    file = files.get("file")
    if file is None or not file.filename:
        raise RequestError(N_("No file was chosen. Choose a .txt, .csv or .xlsx file."))
    return ids.from_file(file.filename, file.read())


def plan_of(session: Session, wanted: Wish) -> DetailsPlan:
    """What is left to do of a wish."""
    since = now() - timedelta(hours=wanted.skip_h) if wanted.skip_h else None
    source, kinds = wanted.source, wanted.kinds
    if wanted.days is None:
        told = wanted.found.ids if wanted.found else ()
        return details_plan(session, source, told, kinds, fresh_since=since)
    lacking = {k: ids.of_days(session, source.name, *wanted.days, lacking=k) for k in kinds}
    plans = [
        details_plan(session, source, some, [kind], fresh_since=since)
        for kind, some in lacking.items()
        if some
    ]
    if not plans:
        raise RequestError(
            N_("No match in the stored lists of these days lacks these details. Nothing to do.")
        )
    return _together(plans, len(set().union(*lacking.values())))


def standing_of(session: Session, source: Source) -> Standing:
    """How fast it may be asked now."""
    own = current_app.config["FIKSTUR"].source_settings
    return standing(session, source.name, own.get(source.name), now())


def _together(plans: Sequence[DetailsPlan], matches: int) -> DetailsPlan:
    """One job for all of them."""
    jobs = [plan.job for plan in plans if plan.job is not None]
    kinds = [kind for job in jobs for kind in job.params["kinds"]]
    items = [item for job in jobs for item in job.items]
    return DetailsPlan(
        job=replace(
            jobs[0], items=items, params={**jobs[0].params, "kinds": kinds, "matches": matches}
        )
        if jobs
        else None,
        asked=sum(plan.asked for plan in plans),
        fresh=sum(plan.fresh for plan in plans),
        in_hand=sum(plan.in_hand for plan in plans),
        new=sum(plan.new for plan in plans),
        requests=sum(plan.requests for plan in plans),
    )


def holders_of(session: Session, wanted: Wish, plan: DetailsPlan) -> Sequence[int]:
    """The jobs that have what is left out in hand; of pasted ids only, for days are not few."""
    if not plan.in_hand or wanted.found is None:
        return ()
    return holders(session, wanted.source.name, wanted.kinds, wanted.found.ids)[:MOST_HOLDERS]


def _tell_gaps(days: Sequence[date]) -> None:
    if not days or request.form.get("do") == "start":
        return
    text = ngettext(
        "%(num)s of these days was never fetched, so its matches are not known: %(days)s",
        "%(num)s of these days were never fetched, so their matches are not known: %(days)s",
        len(days),
        days=", ".join(day.isoformat() for day in days[:MOST_GAPS])
        + (", …" if len(days) > MOST_GAPS else ""),
    )
    flash(text, "info")


def seal(plan: DetailsPlan) -> str:
    """The same for the same items: what is started must be what was shown."""
    digest = hashlib.sha256()
    for item in plan.job.items if plan.job else ():
        digest.update(f"{item.source} {item.kind} {item.key}\n".encode())
    return digest.hexdigest()[:32]


def for_matches(ids: list[int]) -> ResponseReturnValue:
    """The page as if their ids had been typed. RequestError unless all are of one source."""
    with reading() as session:
        rows = session.execute(select(Match.source, Match.source_id).where(one_of(Match.id, ids)))
        keys = sorted((source, key) for source, key in rows)
    names = sorted({source for source, _key in keys})
    if len(names) != 1:
        raise RequestError(
            N_("These matches are of several sources (%(sources)s). Filter the list by one first."),
            sources=", ".join(names),
        )
    source = sources.table().get(names[0])
    view = next(v for v in current_app.extensions["admin"][0]._views if v.endpoint == "details")
    typed_ids = "\n".join(key for _source, key in keys)
    form = proposed({}) | {"source": source.name, "ids": typed_ids, "kinds": source.detail_kinds}
    answer: ResponseReturnValue = view.looked_at(form)
    return answer


# --- the page -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """The answer to "what would be done?"."""

    wish: Wish
    plan: DetailsPlan
    standing: Standing
    holders: Sequence[int] = ()  # the jobs that have some of it in hand

    @property
    def seal(self) -> str:
        """See `seal`."""
        return seal(self.plan)

    @property
    def least_s(self) -> float:
        """The time it takes at best."""
        return self.standing.least_time_s(self.plan.requests)


class DetailsView(PanelView):
    """One form with two buttons: the first looks only, the second starts what was looked at."""

    permission = Permission.FETCH

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Fetch details"), endpoint="details", url="details")

    @expose("/", methods=("GET", "POST"))
    def index(self) -> ResponseReturnValue:
        """The form; when it was sent, what would be done; when that was confirmed, the job."""
        if request.method == "GET":
            return self._page(proposed(request.args))
        return self.looked_at(typed(request.form))

    def looked_at(self, form: dict[str, Any]) -> ResponseReturnValue:
        """What the fields ask for: shown, or started when that was confirmed."""
        found = None
        try:
            found = found_in(form, request.files)
            if form["how"] == "file" and found:  # a file is not kept: its ids are typed now
                form |= {"how": "ids", "ids": "\n".join(found.ids)}
            wanted = wish(form, found)
            with reading() as session:
                if wanted.days:
                    _tell_gaps(ids.never_fetched(session, wanted.source.name, *wanted.days))
                plan, standing = plan_of(session, wanted), standing_of(session, wanted.source)
                shown = Shown(wanted, plan, standing, holders_of(session, wanted, plan))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return self._page(form, found=found), 422
        if request.form.get("do") == "start":
            return self._start(form, shown)
        return self._page(form, found=found, shown=shown)

    def _start(self, form: dict[str, Any], shown: Shown) -> ResponseReturnValue:
        if shown.plan.job is not None and shown.seal == request.form.get("seal"):
            return redirect(url_for("job.page", job_id=submit(shown.plan.job)))
        flash(
            gettext("This is not what was shown before. Look at it again, then start it."), "error"
        )
        return self._page(form, found=shown.wish.found, shown=shown), 409

    def _page(
        self, form: dict[str, Any], found: ids.Found | None = None, shown: Shown | None = None
    ) -> str:
        return self.render(
            "panel/fetch_details.html", form=form, offered=offered(), found=found, shown=shown
        )

    @expose("/match", methods=("POST",))
    def match(self) -> ResponseReturnValue:
        """All details of one match, without asking back."""
        back = login.own_path(request.form.get("url") or url_for("matches.index_view"))
        try:
            source = sources.table().get(request.form.get("source", ""))
            found = ids.from_text(request.form.get("id", ""))
            with reading() as session:
                plan = details_plan(session, source, found.ids[:1], source.detail_kinds)
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(back)
        if plan.job is None:
            flash(gettext("They are being fetched already; look at the running jobs."), "info")
            return redirect(back)
        return redirect(url_for("job.page", job_id=submit(plan.job)))
