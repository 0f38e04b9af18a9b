"""What the frame around every page shows: the menu, the worker light, where this runs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request, url_for
from flask_babel import gettext

from app.accounts.permissions import ROLES
from app.admin import sources
from app.core.text import N_, Sentence
from app.monitoring import health

LIGHT_S = 3.0  # how long a look at the workers counts
# In this order in the menu; a view that is not named here comes last, under System.
SECTIONS: dict[str, tuple[str, ...]] = {
    "": ("admin",),
    N_("Data"): ("matches", "calendar", "days", "changes", "answers", "imports", "media"),
    N_("Operations"): ("jobs", "errors", "details", "schedules", "requests"),
    N_("System"): ("sources", "workers", "backups", "drill", "users", "audit", "settings"),
}
ICONS = {
    "admin": "dashboard",
    "matches": "ball-football",
    "calendar": "calendar",
    "days": "calendar-event",
    "changes": "history",
    "answers": "file-code",
    "imports": "file-spreadsheet",
    "media": "archive",
    "jobs": "list-check",
    "errors": "alert-triangle",
    "details": "list-details",
    "schedules": "clock",
    "requests": "arrows-exchange",
    "sources": "plug-connected",
    "workers": "server-2",
    "backups": "database",
    "drill": "flame",
    "users": "users",
    "audit": "clipboard-list",
    "settings": "settings",
    "mail": "mail",
}
# Pages that belong to another one's place in the menu.
PART_OF = {"backup_copies": "backups", "backup_keys": "backups", "job": "jobs", "fetch": "admin"}
ENVIRONMENTS = {"development": N_("development"), "production": N_("production")}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the menu."""

    name: str
    url: str
    icon: str
    now: bool


@dataclass(frozen=True, slots=True)
class Light:
    """How the workers are (good, warn, bad), in a word and in a sentence."""

    level: str
    word: Sentence
    reason: Sentence


def init_app(app: Flask) -> None:
    """Hand the templates what is here."""
    app.jinja_env.globals.update(
        shell_menu=menu,
        shell_section=section,
        shell_light=light,
        shell_environment=environment,
        ROLES=ROLES,
    )


# --- the menu -------------------------------------------------------------------------------------


def pages() -> Iterator[Any]:
    """The views of the panel that whoever asks may open and that have a place in the menu."""
    for view in current_app.extensions["admin"][0]._views:
        if view.is_visible() and view.is_accessible():
            yield view


def menu() -> list[tuple[str, list[Entry]]]:
    """Sections with their lines, for whoever asks."""
    lines: dict[str, list[Any]] = {title: [] for title in SECTIONS}
    for view in pages():
        lines[_section_of(view.endpoint)].append(view)
    return [
        (title and gettext(title), [entry(view) for view in _in_order(title, views)])
        for title, views in lines.items()
        if views
    ]


def entry(view: Any) -> Entry:
    """The line of one view."""
    here = request.blueprint or ""
    return Entry(
        name=str(view.name),
        url=url_for(f"{view.endpoint}.{view._default_view}"),
        icon=ICONS.get(view.endpoint, "circle-dot"),
        now=PART_OF.get(here, here) == view.endpoint,
    )


def section() -> str:
    """The section of this page, empty when it has none."""
    here = request.blueprint or ""
    known = any(here in names for names in SECTIONS.values())
    title = _section_of(PART_OF.get(here, here)) if known or here in PART_OF else ""
    return title and gettext(title)


def _section_of(endpoint: str) -> str:
    return next((title for title, names in SECTIONS.items() if endpoint in names), _LAST)


def _in_order(title: str, views: list[Any]) -> list[Any]:
    places = {name: place for place, name in enumerate(SECTIONS[title])}
    return sorted(views, key=lambda view: places.get(view.endpoint, len(places)))


_LAST = list(SECTIONS)[-1]


# --- the worker light -----------------------------------------------------------------------------


def light() -> Light:
    """How the workers are; asks the database only when the last look is some seconds old."""
    seen: tuple[float, Light] | None = current_app.extensions.get("fikstur-light")
    if seen is None or time.monotonic() - seen[0] > LIGHT_S:
        seen = time.monotonic(), _look()
        current_app.extensions["fikstur-light"] = seen
    return seen[1]


def _look() -> Light:
    worker = health.check_worker()
    if not worker.ok:
        return Light("bad", Sentence(N_("no worker")), worker.message)
    others = health.check_disk(current_app.config["FIKSTUR"].data_dir), _sources()
    wrong = next((check for check in others if not check.ok), None)
    if wrong:
        return Light("warn", Sentence(N_("attention")), wrong.message)
    return Light("good", Sentence(N_("working")), worker.message)


def _sources() -> health.Check:
    return health.check_sources(sources.table())


def environment() -> str:
    """Where this runs: one must not take the one for the other."""
    where = current_app.config["FIKSTUR"].environment
    return gettext(ENVIRONMENTS[where])
