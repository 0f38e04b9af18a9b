"""/api/sources: as `flask sources list`, `pause` and `resume`."""

from typing import Any

from flask import current_app, jsonify
from flask.typing import ResponseReturnValue

from app.accounts.permissions import Permission
from app.api.base import blueprint, found, language, me, needs
from app.core.db import current_time, persist, reading
from app.sources import pause as pausing
from app.sources.present import as_dict, standing
from app.sources.registry import ADAPTERS, adapter, source_table

sources = blueprint("sources")


@sources.get("/sources")
@needs(Permission.SEE)
def list_() -> ResponseReturnValue:
    """Every known source: is it usable, is it paused, its limit and its breaker."""
    return jsonify(sources=[_source(name) for name in ADAPTERS])


def _source(name: str) -> dict[str, Any]:
    config = current_app.config["FIKSTUR"]
    with reading() as session:
        at = current_time(session)
        pause = pausing.pause_of(session, name, at)
        stands = standing(session, name, config.source_settings.get(name), at)
    return {
        "name": name,
        "title": adapter(name).title,
        "usable": name in source_table(config).usable(),
        "paused": pause is not None,
        "paused_until": pause.paused_until.isoformat() if pause and pause.paused_until else None,
        "code": pause.code if pause else None,
        "message": pause.message.to(language()) if pause and pause.message else None,
        **as_dict(stands),
    }


@sources.post("/sources/<name>/pause")
@needs(Permission.PAUSE_SOURCES)
def pause(name: str) -> ResponseReturnValue:
    """Hand out no more work of a source until it is resumed."""
    with found():
        adapter(name)
    by = me().username
    persist(lambda session: pausing.pause_by_hand(session, name, by))
    return jsonify(name=name, paused=True)


@sources.post("/sources/<name>/resume")
@needs(Permission.PAUSE_SOURCES)
def resume(name: str) -> ResponseReturnValue:
    """Hand out the work of a source again."""
    with found():
        adapter(name)
    persist(lambda session: pausing.resume(session, name))
    return jsonify(name=name, paused=False)


@sources.post("/sources/<name>/reset")
@needs(Permission.PAUSE_SOURCES)
def reset(name: str) -> ResponseReturnValue:
    """Clear its pause, its breaker and its slowed-down speed; its limit stays."""
    with found():
        adapter(name)
    was_in_the_way = persist(lambda session: pausing.reset(session, name))
    return jsonify(name=name, reset=was_in_the_way)
