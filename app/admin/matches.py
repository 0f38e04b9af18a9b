"""The matches as their sources told them last: by day, as one list, and each by itself."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session, defer
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import changes, details, fetch, filters, live, login, look, words
from app.admin.address import row_id
from app.admin.base import ListView
from app.admin.bulk import Action
from app.core.db import reading
from app.core.text import N_
from app.fixtures import raw
from app.fixtures.board import KINDS, Chip, board, condition
from app.fixtures.compare import BEING_PLAYED
from app.fixtures.details_report import stored_details
from app.fixtures.models import (
    FixtureDay,
    FixtureDayMatch,
    Match,
    RawAnswer,
)
from app.fixtures.report import history
from app.sources.base import MatchStatus
from app.sources.registry import ADAPTERS

CHIPS: dict[str, str] = {
    Chip.ALL: N_("All"),
    Chip.LIVE: N_("Live"),
    Chip.LACKING: N_("Details missing"),
    Chip.POSTPONED: N_("Postponed"),
}
BOARD_S = 20  # between two looks at the matches of today
WAS_PLAYED = BEING_PLAYED | {MatchStatus.FINISHED}
LIST_ARGS = ("search", "flt", "sort", "day")  # how the arguments of the list begin
SINCE, UNTIL, QUICK = 4, 5, 6  # filters of the list, by their place; a test holds them


class Quick(filters.Choice):
    """What the chips of a day let through."""

    suffix = "_only"

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """The same condition."""
        del alias
        return query.filter(condition(Chip(value)))


def _wanted_day() -> int | None:
    """The fixture day whose matches are asked for, from the address."""
    return row_id(request.args.get("day", ""))


class MatchesView(ListView):
    """A day; and the list of all, latest kick-off first, where names are found however typed."""

    model_class = Match
    label = lazy_gettext("Matches")
    place = "matches"
    empty = lazy_gettext("No match was seen yet. Press “Fetch a day” on the dashboard.")
    details_template = "panel/match.html"
    list_template = "panel/matches.html"
    kept_args = ("day",)
    show_empty = False  # extra time, penalties, two legs: most matches have none of it

    column_list = (
        "kickoff",
        "home",
        "score",
        "away",
        "status",
        "competition",
        "round",
        "country",
        "source",
    )
    column_details_exclude_list = ("id",)
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        **{name: lazy_gettext(text) for name, text in words.MATCH_FIELDS.items()},
        "score": lazy_gettext("Score"),
    }
    column_formatters = {  # noqa: RUF012
        "score": look.row_cell(look.score),
        "status": look.marked(words.STATUSES),
        "decided_by": look.named(words.DECIDED),
        "winner": look.named(words.WINNERS),
    }
    column_formatters_detail = column_formatters
    # What an index puts in order among a million; by the rest one filters.
    column_sortable_list = ("kickoff", "home", "away")
    column_default_sort = [("kickoff", True), ("id", True)]  # noqa: RUF012
    column_searchable_list = ("home", "away", "competition", "source_id")
    column_filters = (
        filters.of_source(Match.source),
        filters.Choice(Match.status, lazy_gettext("Status"), MatchStatus, words.STATUSES),
        filters.Contains(Match.competition, lazy_gettext("Competition")),
        filters.Contains(Match.country, lazy_gettext("Country")),
        filters.OnOrAfter(Match.kickoff, lazy_gettext("Kick-off from")),
        filters.OnOrBefore(Match.kickoff, lazy_gettext("Kick-off until")),
        Quick(Match.id, lazy_gettext("Only"), list(Chip)[1:], CHIPS),
    )

    actions_on_rows = (
        Action(
            "details",
            lazy_gettext("Fetch details"),
            "world-download",
            None,
            details.for_matches,
        ),
    )

    # --- a day ---

    @expose("/")
    def board(self) -> ResponseReturnValue:
        """Today where people are, unless the address says another day; one query."""
        if any(name.startswith(LIST_ARGS) for name in request.args):
            # Somebody kept an address from when the list was here.
            return redirect(f"{url_for('matches.index_view')}?{request.query_string.decode()}")
        return self.render("panel/matches_day.html", **self._board())

    @expose("/live")
    def live(self) -> Response:
        """The matches of the day alone, for the page that is open."""
        return live.answer(self.render("panel/_matches_board.html", **self._board()))

    def _board(self) -> dict[str, Any]:
        day, chip, source = changes.wanted_day(), wanted_chip(), request.args.get("source")
        source = source if source in ADAPTERS else None
        since, until = filters.midnight(day), filters.midnight(day + timedelta(days=1))
        with reading() as session:
            found = board(session, since, until, chip, source)
        return {
            "board": found,
            "chip": chip,
            "chips": CHIPS,
            "day": day,
            "source": source,
            "today": fetch.today(),
            "before": day - timedelta(days=1),
            "after": day + timedelta(days=1),
            "offered": {each.name: each for each in details.offered()},
            "skip": fetch.fresh(),
            "every_s": BOARD_S,
            "clock": look.clock,
            "score": look.score,
            "known": known,
            # Made once, not for each of a thousand matches.
            "marks": {each: look.badge(each, words.STATUSES) for each in MatchStatus},
            "list_url": list_url(day, chip, source),
        }

    # --- all of them ---

    @expose("/all")
    def index_view(self) -> Any:
        """The list of all, at an address of its own: the first page is that of a day."""
        return super().index_view()

    def get_query(self) -> Any:
        """All of them, or those of one day's list."""
        query = super().get_query()
        if (day := _wanted_day()) is None:
            return query
        listed = select(FixtureDayMatch.match_id).where(FixtureDayMatch.day_id == day)
        return query.filter(Match.id.in_(listed))

    def day_shown(self) -> FixtureDay | None:
        """The day whose matches are shown, None when they are those of all days."""
        day = _wanted_day()
        with reading() as session:
            return None if day is None else session.get(FixtureDay, day)

    @expose("/details/")
    def details_view(self) -> Any:
        """One match, its details, its changes and the answers that told of it."""
        match = self.get_one(request.args.get("id"))
        if match is not None:
            with reading() as session:
                self._template_args["changes"] = history(session, match.id)
                self._template_args["lists"] = lists_with(session, match.id)
                self._template_args["answers"] = raw.answers_about(
                    session, match.id, match.source, match.source_id
                )
                self._template_args["stored"] = stored_details(
                    session, match.source, match.source_id
                )
            self._template_args["can_fetch"] = can_fetch(match.source)
            self._template_args["periods"] = periods(match)
            self._template_args["heading"] = f"{match.home} – {match.away}"
        return super().details_view()

    @expose("/raw")
    def raw(self) -> Response:
        """A raw answer as it came, or with `match` its row of that match: to see or to keep."""
        number = row_id(request.args.get("id", ""))
        if number is None:
            abort(404)
        with reading() as session:
            found = raw.document(session, number, request.args.get("match"))
        if found is None:
            abort(404)
        kind = "application/json" if found.is_json else "text/plain; charset=utf-8"
        answer = Response(found.content, content_type=kind)
        if "download" in request.args:
            answer.headers.set("Content-Disposition", "attachment", filename=found.name)
        return answer

    def told(self, field: str, value: str | None) -> Any:
        """An old or new value of the history, in words where there are some."""
        return changes.told(field, value)


def can_fetch(source: str) -> bool:
    """Whether whoever asks may fetch details from the source, and it has some."""
    names = [each.name for each in details.offered()]
    return login.may(Permission.FETCH) and source in names


def lists_with(session: Session, match_id: int) -> list[tuple[FixtureDay, RawAnswer | None]]:
    """The days whose lists hold the match, with the answer each list came from."""
    rows = session.execute(
        select(FixtureDay, RawAnswer)
        .join(FixtureDayMatch, FixtureDayMatch.day_id == FixtureDay.id)
        .outerjoin(RawAnswer, RawAnswer.id == FixtureDay.raw_id)
        .where(FixtureDayMatch.match_id == match_id)
        .options(defer(RawAnswer.body))
        .order_by(FixtureDay.date)
    )
    return [(day, answer) for day, answer in rows]


# --- what the page of a day is made of ------------------------------------------------------------


def wanted_chip() -> Chip:
    """The chip of the address; all when it names none."""
    text = request.args.get("show", "")
    return Chip(text) if text in list(Chip) else Chip.ALL


def list_url(day: date, chip: Chip, source: str | None) -> str:
    """The same matches in the list of all, where they can be searched, filtered and sorted."""
    arg = ListView.filter_arg
    wanted: dict[str, Any] = {arg(SINCE): day.isoformat(), arg(UNTIL): day.isoformat()}
    wanted[arg(0)] = source
    if chip is not Chip.ALL:
        wanted[arg(QUICK)] = chip
    return url_for("matches.index_view", **wanted)


def known(row: Any) -> tuple[str, int]:
    """How much is known of the details of a match, and of how many kinds: all, some, none.

    No kinds where there is nothing to know yet.
    """
    kinds = KINDS.get(row.source, 0)
    if row.answered:
        return ("all" if row.answered >= kinds else "some"), kinds
    return "none", kinds if row.status in WAS_PLAYED else 0


def periods(match: Match) -> Iterable[tuple[str, int | None, int | None]]:
    """The parts of a score that are known, in the order of time."""
    told = (
        (N_("Half time"), match.home_half_time, match.away_half_time),
        (N_("90 minutes"), match.home_regular, match.away_regular),
        (N_("Extra time alone"), match.home_extra, match.away_extra),
        (N_("Penalties"), match.home_penalties, match.away_penalties),
        (N_("Both legs"), match.home_aggregate, match.away_aggregate),
    )
    return [part for part in told if part[1] is not None and part[2] is not None]
