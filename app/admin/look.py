"""How values look: times in the reader's zone, badges, bars, scores. Everything is escaped."""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from flask import Flask, url_for
from flask_babel import (
    format_date,
    format_datetime,
    format_decimal,
    format_timedelta,
    gettext,
    lazy_gettext,
    ngettext,
)
from markupsafe import Markup, escape

from app.admin import words
from app.admin.assets import icon
from app.admin.language import current, say
from app.backups import present as backups
from app.core.clock import now
from app.core.text import LANGUAGES, Sentence
from app.fixtures.models import Match
from app.jobs.failover import order_of
from app.jobs.models import ItemState, Job, JobState
from app.sources.pause import UNTIL_RESUMED

NONE = Markup('<span class="none">–</span>')
_DATES = {"tr": "dd.MM.yyyy", "en": "yyyy-MM-dd"}
_COLOURS = {
    "good": ("done", "DONE", "stored", "unchanged", "OK", "OK_UNCHANGED", "FINISHED"),
    "busy": ("running", "PROCESSING", "LIVE", "PAUSED"),
    "bad": ("failed", "FAILED", "quarantined"),
    "quiet": ("waiting", "PENDING", "SCHEDULED", "NO_DATA", "no_data", "TIME_TBD"),
    "odd": ("cancelled", "CANCELLED", "POSTPONED", "SUSPENDED", "ABANDONED", "DELAYED", "UNKNOWN"),
}
# Nothing is told by colour alone: each has a sign as well.
SIGNS = {
    "good": "circle-check",
    "busy": "loader-2",
    "bad": "circle-x",
    "quiet": "clock",
    "odd": "ban",
    "warn": "alert-triangle",
    "plain": "point",
}
SIGN_OF = {
    "unchanged": "circle-dot",
    "NO_DATA": "circle-dashed",
    "no_data": "circle-dashed",
    "quarantined": "alert-circle",
    "PAUSED": "player-pause",
    "FINISHED": "check",
    "LIVE": "activity",
    "POSTPONED": "calendar-event",
    "UNKNOWN": "help-circle",
}
_BAR = ("done", "failed", "quarantined", "cancelled", "running", "waiting")  # left to right
_COLOUR_OF = {value: colour for colour, values in _COLOURS.items() for value in values}


def init_app(app: Flask) -> None:
    """Hand the templates what is here."""
    app.jinja_env.filters.update(
        moment=moment,
        ago=ago,
        day=day,
        number=number,
        seconds=seconds,
        say=say,
        pretty=pretty,
        code=code,
    )
    app.jinja_env.globals.update(
        bar=bar,
        badge=badge,
        job_badge=job_badge,
        mark=mark,
        word=word,
        words=words,
        what=what,
        page_language=current,
        LANGUAGES=LANGUAGES,
        NONE=NONE,
    )


# --- times and numbers ----------------------------------------------------------------------------


def moment(value: datetime | None) -> Markup:
    """A time to the second in the configured zone; UTC when one points at it."""
    if value is None:
        return NONE
    if value >= UNTIL_RESUMED:
        return escape(gettext("until somebody resumes it"))
    shown = format_datetime(value, f"{_DATES[current()]} HH:mm:ss")
    told = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), told, shown)


def clock(value: datetime) -> Markup:
    """The time of day in the configured zone; UTC when one points at it."""
    told = f"{value:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(), told, format_datetime(value, "HH:mm")
    )


def ago(value: datetime | None) -> Markup:
    """How long ago, in words; the time itself when one points at it."""
    if value is None:
        return NONE
    shown = format_timedelta(min(value - now(), timedelta(minutes=-1)), add_direction=True)
    told = format_datetime(value, f"{_DATES[current()]} HH:mm:ss")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), told, shown)


def day(value: date | None) -> Markup:
    """A day of the calendar, which has no zone."""
    return NONE if value is None else escape(format_date(value, _DATES[current()]))


def number(value: float | None) -> Markup:
    """A count or measure, with the separators of the language."""
    return NONE if value is None else escape(format_decimal(value))


def seconds(value: float | None) -> str:
    """A length of time in words."""
    return "" if value is None else format_timedelta(max(round(value), 1), threshold=1.3)


# --- words and badges -----------------------------------------------------------------------------


def word(table: Mapping[str, str], value: str | None) -> str:
    """What people call it; a value we have no word for as it is."""
    if value is None:
        return ""
    return gettext(table[value]) if value in table else value


def badge(value: str | None, table: Mapping[str, str] | None = None) -> Markup:
    """A coloured word with its sign."""
    if value is None:
        return NONE
    colour = _COLOUR_OF.get(value, "plain")
    text = value if table is None else word(table, value)
    return mark(colour, text, SIGN_OF.get(value))


def job_badge(state: str, items: Mapping[str, int]) -> Markup:
    """The state of a job; one that failed at some of its items only is not all red."""
    if state == JobState.FAILED and items.get(ItemState.DONE):
        return mark("warn", gettext("partly done"))
    return badge(state, words.JOB_STATES)


def mark(colour: str, text: object, sign: str | None = None) -> Markup:
    """A coloured word with a sign; good, busy, bad, quiet, odd, warn or plain."""
    shape = icon(sign or SIGNS[colour])
    return Markup('<span class="mark mark-{}">{}{}</span>').format(colour, shape, text)


def code(value: str | None) -> Markup:
    """A code of the taxonomy, with its meaning beside it for those who do not know it by heart."""
    if value is None:
        return NONE
    colour = _COLOUR_OF.get(value, "warn")
    return Markup('<span class="mark mark-{}" title="{}">{}{}</span>').format(
        colour, word(words.CODES, value), icon(SIGN_OF.get(value) or SIGNS[colour]), value
    )


def bar(items: Mapping[str, int], submitted: int) -> Markup:
    """A bar made of states. Its widths are attributes, which a strict CSP lets through."""
    if not submitted:
        return NONE
    parts, at = [], 0.0
    for state in _BAR:
        width = 100 * items.get(state, 0) / submitted
        if width:
            part = Markup('<rect class="is-{}" x="{:.2f}%" width="{:.2f}%" height="100%"></rect>')
            parts.append(part.format(state, at, width))
        at += width
    told = ", ".join(f"{items[s]} {word(words.ITEM_STATES, s)}" for s in items if items[s])
    return Markup('<svg class="bar" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        told, told, Markup("").join(parts)
    )


# --- of football and of jobs ----------------------------------------------------------------------


def score(match: Match) -> Markup:
    """2 : 1 (1 : 0), and how it came about when not in 90 minutes."""
    if match.home_score is None or match.away_score is None:
        return NONE
    shown = Markup("<b>{} : {}</b>").format(match.home_score, match.away_score)
    if match.home_half_time is not None and match.away_half_time is not None:
        shown += Markup(' <span class="aside">({} : {})</span>').format(
            match.home_half_time, match.away_half_time
        )
    if note := _ending(match):
        shown += Markup(' <span class="aside">{}</span>').format(note)
    return shown


def _ending(match: Match) -> str:
    if match.home_penalties is not None and match.away_penalties is not None:
        pens = f"{match.home_penalties}-{match.away_penalties}"
        return gettext("(pens %(score)s)", score=pens)
    return {"AET": gettext("aet"), "AWARDED": gettext("awarded")}.get(match.decided_by or "", "")


def what(job: Job) -> str:
    """What a job was asked to do, in one line; about a backup: its file."""
    tell = _ASKED.get(job.kind)
    return tell(job) if tell else str(job.params.get("file", ""))


def _days_asked(job: Job) -> str:
    first, last = str(job.params.get("from", "")), str(job.params.get("to", ""))
    days = first if first == last else f"{first} – {last}"
    between = " → " if order_of(job.params) else ", "
    return f"{days} · {between.join(map(str, job.params.get('sources', [])))}"


def _details_asked(job: Job) -> str:
    kinds = ", ".join(word(words.DETAILS, str(kind)) for kind in job.params.get("kinds", []))
    matches = job.params.get("matches")
    count = "" if matches is None else format_decimal(matches)
    return f"{count} × {kinds} · {job.params.get('source', '')}"


def _backup_asked(job: Job) -> str:
    return f"{job.params.get('name', '')} · {word(backups.TYPES, str(job.params.get('type', '')))}"


_ASKED: Mapping[str, Callable[[Job], str]] = {
    "fetch_day": _days_asked,
    "fetch_range": _days_asked,
    "fetch_details": _details_asked,
    "retry_errors": lambda job: ngettext("%(num)s error", "%(num)s errors", job.submitted),
    "send_mail": lambda job: word(words.LETTERS, str(job.params.get("letter", ""))),
    "drill_chaos": lambda job: gettext(
        "%(items)s matches, workers killed: %(kills)s", **job.params
    ),
    "create_backup": _backup_asked,
}


def pretty(value: object) -> str:
    """Evidence as readable text: strings as they are, the rest as indented JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def answer_link(raw_id: int | None) -> Markup:
    """The number of a raw answer, leading to what is known of it."""
    if raw_id is None:
        return NONE
    url = url_for("answers.details_view", id=raw_id)
    return Markup('<a href="{}">{}</a>').format(url, raw_id)


def job_item_link(row: Any) -> Markup:
    """The number of a row's job, leading to the item where it is known."""
    if row.job_id is None:
        return NONE
    if row.item_id is None:
        url = url_for("job.page", job_id=row.job_id)
    else:
        url = url_for("job.item", job_id=row.job_id, item_id=row.item_id)
    return Markup('<a href="{}">{}</a>').format(url, row.job_id)


# --- for the lists --------------------------------------------------------------------------------


def cell(show: Callable[[Any], Any]) -> Callable[..., Any]:
    """A column formatter of Flask-Admin from a function of the value."""
    return lambda _view, _context, row, name: show(getattr(row, name))


def row_cell(show: Callable[[Any], Any]) -> Callable[..., Any]:
    """The same from a function of the whole row."""
    return lambda _view, _context, row, _name: show(row)


def marked(table: Mapping[str, str]) -> Callable[..., Any]:
    """A column of badges."""
    return cell(lambda value: badge(value, table))


def named(table: Mapping[str, str]) -> Callable[..., Any]:
    """A column of words."""
    return cell(lambda value: NONE if value is None else word(table, value))


def long_text(value: object) -> Markup:
    """A text that may wrap, in a column that may not grow beyond reason."""
    return Markup('<span class="long">{}</span>').format(value)


# Flask-Admin takes the first type that fits: bool is an int, datetime is a date.
TYPES: dict[type, Callable[..., Any]] = {
    type(None): lambda _view, _value, _name: NONE,
    bool: lambda _view, value, _name: lazy_gettext("yes") if value else lazy_gettext("no"),
    datetime: lambda _view, value, _name: moment(value),
    date: lambda _view, value, _name: day(value),
    Sentence: lambda _view, value, _name: long_text(say(value)),
}
