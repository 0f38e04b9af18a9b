"""The sources: which may be asked, why not, and who paused them."""

from dataclasses import dataclass

from flask import abort, current_app, flash, redirect
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import login
from app.admin.base import PanelView
from app.core.db import current_time, persist, reading
from app.core.text import RequestError, Sentence
from app.sources import pause
from app.sources.base import Source
from app.sources.models import SourceState
from app.sources.present import Standing, standing
from app.sources.registry import ADAPTERS, SourceTable, adapter, source_table


def table() -> SourceTable:
    """The sources as this process is configured."""
    return source_table(current_app.config["FIKSTUR"])


@dataclass(frozen=True, slots=True)
class Shown:
    """One source as the page shows it."""

    source: Source
    refusal: Sentence | None  # why it cannot be asked
    paused: SourceState | None
    standing: Standing


def shown(sources: SourceTable) -> list[Shown]:
    """All known sources, usable ones first."""
    with reading() as session:
        at, own = current_time(session), current_app.config["FIKSTUR"].source_settings
        rows = [
            Shown(
                adapter(name),
                _refusal(sources, name),
                pause.pause_of(session, name, at),
                standing(session, name, own.get(name), at),
            )
            for name in ADAPTERS
        ]
    return sorted(rows, key=lambda row: row.refusal is not None)


def _refusal(sources: SourceTable, name: str) -> Sentence | None:
    try:
        sources.get(name)
    except RequestError as error:
        return error.sentence
    return None


class SourcesView(PanelView):
    """A card per source."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Sources"), endpoint="sources", url="sources")

    @expose("/")
    def index(self) -> str:
        """All of them."""
        return self.render(
            "panel/sources.html",
            rows=shown(table()),
            may_pause=login.may(Permission.PAUSE_SOURCES),
        )

    # Not <name>: Flask-Admin has an argument of that name of its own.
    @expose("/<source_name>/pause", methods=("POST",))
    def pause(self, source_name: str) -> Response:
        """Ask it nothing until somebody resumes it."""
        source = _known(source_name)
        by = login.me().username
        persist(lambda session: pause.pause_by_hand(session, source.name, by))
        flash(gettext("%(source)s is paused; its items wait.", source=source.title), "success")
        return redirect(self.get_url(".index"))

    @expose("/<source_name>/resume", methods=("POST",))
    def resume(self, source_name: str) -> Response:
        """Ask it again."""
        source = _known(source_name)
        if persist(lambda session: pause.resume(session, source.name)):
            flash(gettext("%(source)s is resumed.", source=source.title), "success")
        else:
            flash(gettext("%(source)s was not paused.", source=source.title), "info")
        return redirect(self.get_url(".index"))

    @expose("/<source_name>/reset", methods=("POST",))
    def reset(self, source_name: str) -> Response:
        """Ask it again as if it had never been in the way."""
        source = _known(source_name)
        if persist(lambda session: pause.reset(session, source.name)):
            said = gettext(
                "%(source)s is reset: asked again, at its full speed.", source=source.title
            )
            flash(said, "success")
        else:
            flash(gettext("There was nothing to reset at %(source)s.", source=source.title), "info")
        return redirect(self.get_url(".index"))


def _known(name: str) -> Source:
    login.require(Permission.PAUSE_SOURCES)
    if name not in ADAPTERS:
        abort(404)
    return adapter(name)
