"""The palette: a few letters lead to a page, a team, a competition, a match or a job."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Flask, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import Subquery, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.accounts.permissions import Permission
from app.admin import login, search, shell, words
from app.admin.address import row_id
from app.admin.look import word
from app.core.db import reading
from app.core.text import N_
from app.fixtures.models import Match
from app.jobs.models import Job
from config import KNOWN_SOURCES

MOST_LETTERS = 100
MOST_FOUND = 6  # of one kind
# Names are looked for among the matches played last; the list of matches looks through all.
LATEST = 10_000
ACTIONS = (
    (N_("Fetch a day"), "fetch.day", "world-download"),
    (N_("Fetch a range"), "fetch.range", "world-download"),
)

palette = Blueprint("palette", __name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the palette."""

    name: str
    url: str
    icon: str
    note: str = ""


def init_app(app: Flask) -> None:
    """Add the page that is asked at each letter."""
    app.register_blueprint(palette)


@palette.get("/admin/palette")
def find() -> str:
    """What fits the letters, by kind."""
    login.require(Permission.SEE)
    wanted = request.args.get("q", "").replace("\0", "").strip()[:MOST_LETTERS]
    groups = [(gettext("Pages"), list(_pages(wanted)))]
    if wanted:
        with reading() as session:
            groups += [
                (gettext("Numbers"), list(_numbers(session, wanted))),
                (gettext("Teams"), _names(session, wanted, Match.home, Match.away)),
                (gettext("Competitions"), _names(session, wanted, Match.competition)),
            ]
        groups.append((gettext("Search"), [_everywhere(wanted)]))
    return render_template("panel/palette.html", groups=[g for g in groups if g[1]])


def _pages(wanted: str) -> Iterator[Found]:
    entries = [shell.entry(view) for view in shell.pages()]
    known = [Found(entry.name, entry.url, entry.icon) for entry in entries]
    if login.may(Permission.FETCH):
        known += [Found(gettext(name), url_for(at), sign) for name, at, sign in ACTIONS]
    letters = search.fold(wanted) or ""
    return (page for page in known if letters in (search.fold(page.name) or ""))


# "#5", "job 5", and the same in the language of the page.
_JOB = re.compile(r"^(?:#|(?:job|i[şs]|İ[şŞsS])\s*#?)\s*(?=\d)", re.IGNORECASE)


def _numbers(session: Session, wanted: str) -> Iterator[Found]:
    number = _JOB.sub("", wanted)
    job_id = row_id(number)
    if job_id is not None:
        job = session.get(Job, job_id)
        if job is not None:
            name = gettext("Job %(id)s", id=job.id)
            url = url_for("job.page", job_id=job.id)
            yield Found(name, url, "list-check", word(words.KINDS, job.kind))
    same = Match.source.in_(KNOWN_SOURCES), Match.source_id == number
    for match in session.scalars(select(Match).where(*same).limit(MOST_FOUND)):
        url = url_for("matches.details_view", id=match.id)
        yield Found(str(match), url, "ball-football", f"{match.source} {match.source_id}")


def _names(
    session: Session,
    wanted: str,
    *columns: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
) -> list[Found]:
    latest = _latest()
    sign = "trophy" if columns == (Match.competition,) else "shirt-sport"
    found: dict[str, None] = {}
    for column in columns:
        name = latest.c[column.key]
        fitting = select(name).where(search.contains(name, wanted)).distinct().limit(MOST_FOUND)
        found |= dict.fromkeys(session.scalars(fitting))
    return [
        Found(name, url_for("matches.index_view", search=name), sign)
        for name in sorted(found, key=lambda name: _rank(name, wanted))[:MOST_FOUND]
    ]


def _rank(name: str, wanted: str) -> tuple[bool, str]:
    """What begins with the letters comes before what only holds them."""
    plain = search.fold(name) or ""
    return not plain.startswith(search.fold(wanted) or ""), plain


def _latest() -> Subquery:
    return (
        select(Match.home, Match.away, Match.competition)
        .where(Match.kickoff.is_not(None))
        .order_by(Match.kickoff.desc(), Match.id.desc())
        .limit(LATEST)
        .subquery()
    )


def _everywhere(wanted: str) -> Found:
    name = gettext("Look for “%(text)s” in all matches", text=wanted)
    return Found(name, url_for("matches.index_view", search=wanted), "search")
