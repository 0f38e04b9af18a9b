"""/api/audit: as `flask audit list`."""

from datetime import UTC, datetime

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from app.accounts.permissions import Permission
from app.api.base import blueprint, choice_arg, limit_arg, needs, number_arg
from app.audit import present
from app.audit.present import ACTIONS, KINDS, VIAS, Filter, entry_as_dict
from app.core.db import reading
from app.core.text import N_, RequestError

audit = blueprint("audit")


@audit.get("/audit")
@needs(Permission.SEE_AUDIT)
def index() -> ResponseReturnValue:
    """Newest first: ?who= &via= &action= &kind= &object= &since= &until= &before= &limit="""
    wanted = Filter(
        who=request.args.get("who", "").replace("\0", "") or None,
        object=request.args.get("object", "").replace("\0", "") or None,
        via=choice_arg("via", [*VIAS]),
        action=choice_arg("action", [*ACTIONS]),
        kind=choice_arg("kind", [*KINDS]),
        since=_time_arg("since"),
        until=_time_arg("until"),
    )
    with reading() as session:
        rows = present.entries(session, wanted, before=number_arg("before"), most=limit_arg(100))
    return jsonify(entries=[entry_as_dict(row) for row in rows])


def _time_arg(name: str) -> datetime | None:
    """A time of the query string; without a zone it is UTC. RequestError when it is none."""
    value = request.args.get(name)
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestError(
            N_("“%(name)s” must be a time such as 2026-01-31T12:00:00."), name=name
        ) from None
