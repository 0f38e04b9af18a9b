"""/api/settings: as `flask settings`; and trying out mail and sources."""

from flask import current_app, jsonify
from flask.typing import ResponseReturnValue

import tasks
from app.accounts.permissions import Permission
from app.api.base import blueprint, body, found, language, me, needs, text_of
from app.core.db import persist, reading
from app.core.text import N_, RequestError
from app.jobs.models import Trigger
from app.mail.ask import trial_request
from app.settings import store
from app.settings.catalogue import entry_of
from app.settings.present import line_as_dict, lines
from app.sources.registry import adapter

settings = blueprint("settings")


@settings.get("/settings")
@needs(Permission.MANAGE_SETTINGS)
def index() -> ResponseReturnValue:
    """What is in force and where it comes from; secrets only as being there."""
    return jsonify(settings=_all())


@settings.put("/settings/<name>")
@needs(Permission.MANAGE_SETTINGS)
def put(name: str) -> ResponseReturnValue:
    """{"value": text}."""
    value = text_of(body(), "value")
    if value is None:
        raise RequestError(N_("“%(name)s” must be text."), name="value")
    return _changed(name, value)


@settings.delete("/settings/<name>")
@needs(Permission.MANAGE_SETTINGS)
def unset(name: str) -> ResponseReturnValue:
    """Give the environment its say again."""
    return _changed(name, None)


@settings.post("/settings/test-mail")
@needs(Permission.MANAGE_SETTINGS)
def test_mail() -> ResponseReturnValue:
    """A letter to oneself; its job says what became of it."""
    user, tongue = me(), language()
    sent = tasks.submit_made(
        lambda session: trial_request(session, user, tongue), by=user.username, trigger=Trigger.API
    )
    return jsonify(job=sent.job_id), 202


@settings.post("/sources/<name>/test")
@needs(Permission.MANAGE_SETTINGS)
def test_source(name: str) -> ResponseReturnValue:
    """One real request to a source; nothing of the answer is kept."""
    with found():
        adapter(name)
    probed = tasks.probe(name)
    return jsonify(
        name=name,
        ok=probed.ok,
        code=probed.code,
        message=probed.message.to(language()),
        elapsed_ms=probed.elapsed_ms,
    )


def _changed(name: str, value: str | None) -> ResponseReturnValue:
    with found():
        entry = entry_of(name)
    live = current_app.extensions["live"]
    persist(lambda session: store.put_many(session, live.base, {entry.name: value}))
    live.follow_now()
    return jsonify(next(line for line in _all() if line["name"] == entry.name))


def _all() -> list[dict[str, object]]:
    with reading() as session:
        known = lines(session, current_app.extensions["live"].base)
    return [line_as_dict(line, language()) for line in known]
