"""The page Settings: what can be changed while everything runs, and trying it out."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from flask import Flask, abort, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext

import tasks
from app.accounts.permissions import Permission
from app.admin import login
from app.admin.base import PanelView
from app.admin.language import current, say
from app.core.db import persist, reading
from app.core.text import N_, RequestError
from app.jobs.models import Trigger
from app.mail.ask import trial_request
from app.settings import store
from app.settings.catalogue import (
    ASKING,
    BACKUPS,
    GENERAL,
    KEEPING,
    MAIL,
    Entry,
    entry_of,
    of_source,
)
from app.settings.live import Live
from app.settings.present import ORIGINS, lines
from app.sources.limits import DEFAULT_RATES
from app.sources.registry import ADAPTERS, adapter

# The forms of the page, each saved by itself.
FORMS: Mapping[str, tuple[Entry, ...]] = {
    "general": (*GENERAL, *KEEPING),
    "mail": MAIL,
    "backups": BACKUPS,
    "asking": tuple(entry for entry in ASKING if entry.name != "SOURCES"),
    **{name: of_source(name) for name in ADAPTERS},
}
TITLES = {
    "general": N_("General"),
    "mail": N_("Mail"),
    "backups": N_("Backups"),
    "asking": N_("Which sources are asked"),
}


def init_app(app: Flask) -> None:
    """Let the panel show times in the zone that is set now."""
    app.extensions["babel"].timezone_selector = lambda: current_app.config["FIKSTUR"].time_zone


def live() -> Live:
    """What is in force here."""
    followed: Live = current_app.extensions["live"]
    return followed


class SettingsView(PanelView):
    """For administrators."""

    permission = Permission.MANAGE_SETTINGS

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Settings"), endpoint="settings", url="settings")

    @expose("/")
    def index(self) -> str:
        """Every form with what is in force and where it comes from."""
        with reading() as session:
            known = {line.entry.name: line for line in lines(session, live().base)}
        forms = {name: [known[entry.name] for entry in entries] for name, entries in FORMS.items()}
        return self.render(
            "people/settings.html",
            forms=forms,
            titles=TITLES,
            sources=[adapter(name) for name in ADAPTERS],
            on=current_app.config["FIKSTUR"].sources,
            on_line=known["SOURCES"],
            origins=ORIGINS,
            known_of_source=_known_of_sources(),
            wrong=[line for line in known.values() if line.problem],
        )

    @expose('/<any("general", "mail", "backups", "asking"):form>', methods=("POST",))
    def save(self, form: str) -> ResponseReturnValue:
        """What is empty returns to the environment's; an empty secret stays as it is."""
        return self._save(lambda: _sent(FORMS[form]) | (_sources() if form == "asking" else {}))

    @expose("/source/<source_name>", methods=("POST",))
    def save_source(self, source_name: str) -> ResponseReturnValue:
        """Address, key and limit of one source."""
        if source_name not in ADAPTERS:
            abort(404)
        return self._save(lambda: _sent(FORMS[source_name]))

    @expose("/unset", methods=("POST",))
    def unset(self) -> ResponseReturnValue:
        """Give the environment its say again."""
        return self._save(lambda: {request.form.get("name", ""): None})

    @expose("/mail/test", methods=("POST",))
    def test_mail(self) -> ResponseReturnValue:
        """A letter to oneself; its job says what became of it."""
        try:
            sent = tasks.submit_made(
                lambda session: trial_request(session, login.me(), current()),
                by=login.me().username,
                trigger=Trigger.PANEL,
            )
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".index"))
        return redirect(url_for("job.page", job_id=sent.job_id))

    @expose("/source/<source_name>/test", methods=("POST",))
    def test_source(self, source_name: str) -> ResponseReturnValue:
        """One real request; what came back in a sentence."""
        try:
            probed = tasks.probe(source_name)
            told = f"{say(probed.message)} ({probed.elapsed_ms} ms)"
            flash(told, "success" if probed.ok else "error")
        except RequestError as error:
            flash(say(error.sentence), "error")
        return redirect(self.get_url(".index"))

    def _save(self, read: Callable[[], Mapping[str, str | None]]) -> ResponseReturnValue:
        base = live().base
        try:
            wanted = read()
            changed = persist(lambda session: store.put_many(session, base, wanted))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".index"))
        live().follow_now()
        if changed:
            flash(gettext("Saved: %(names)s.", names=", ".join(changed)), "success")
        else:
            flash(gettext("Nothing was different."), "info")
        return redirect(self.get_url(".index"))


def _known_of_sources() -> dict[str, str]:
    """What holds where nothing is set: the addresses and limits we know."""
    known = {f"{name.upper()}_BASE_URL": adapter(name).default_base_url for name in ADAPTERS}
    for name in ADAPTERS:
        rates = ", ".join(map(str, DEFAULT_RATES.get(name, ())))
        known[f"{name.upper()}_LIMITS"] = rates or "none"
    return defaultdict(str, known)


def _sent(entries: tuple[Entry, ...]) -> dict[str, str | None]:
    """What the form says of these settings; a secret that was left empty is not among it."""
    sent = {entry.name: request.form.get(entry.name, "").strip() for entry in entries}
    return {
        name: value or None for name, value in sent.items() if value or not entry_of(name).secret
    }


def _sources() -> dict[str, str | None]:
    """The ticked sources, unless they are those in force: then it stays open who says so."""
    ticked = [name for name in ADAPTERS if request.form.get(f"on_{name}")]
    in_force = current_app.config["FIKSTUR"].sources
    if set(ticked) == set(in_force):
        return {}
    if not ticked:
        raise RequestError(N_("At least one source must be on."))
    return {"SOURCES": ",".join(sorted(ticked, key=lambda n: (n not in in_force, n)))}
