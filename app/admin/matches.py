"""The matches as their sources told them last, and how each one changed."""

from typing import Any

from flask import request
from flask_admin import expose
from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from app.accounts.permissions import Permission
from app.admin import changes, details, filters, login, look, words
from app.admin.base import MOST_ID, ListView
from app.core.db import reading
from app.fixtures.details_report import stored_details
from app.fixtures.models import (
    FixtureDay,
    FixtureDayMatch,
    Match,
    RawAnswer,
)
from app.fixtures.report import history
from app.sources.base import MatchStatus


def _wanted_day() -> int | None:
    """The fixture day whose matches are asked for, from the address."""
    day = request.args.get("day", "")
    return int(day) if day.isascii() and day.isdigit() and int(day) <= MOST_ID else None


class MatchesView(ListView):
    """Latest kick-off first. Names are found whatever the case and the accents."""

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
    }
    column_formatters_detail = column_formatters
    column_sortable_list = (
        "kickoff",
        "home",
        "away",
        "status",
        "competition",
        "country",
        "source",
    )
    column_default_sort = [("kickoff", True), ("id", True)]  # noqa: RUF012
    column_searchable_list = ("home", "away", "competition", "source_id")
    column_filters = (
        filters.of_source(Match.source),
        filters.Choice(Match.status, lazy_gettext("Status"), MatchStatus, words.STATUSES),
        filters.Contains(Match.competition, lazy_gettext("Competition")),
        filters.Contains(Match.country, lazy_gettext("Country")),
        filters.OnOrAfter(Match.kickoff, lazy_gettext("Kick-off from")),
        filters.OnOrBefore(Match.kickoff, lazy_gettext("Kick-off until")),
    )

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
                self._template_args["stored"] = stored_details(
                    session, match.source, match.source_id
                )
            self._template_args["can_fetch"] = can_fetch(match.source)
            self._template_args["heading"] = f"{match.home} – {match.away}"
        return super().details_view()

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
