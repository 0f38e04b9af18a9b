"""/api/drills: past receipts, and starting a drill on an instance for trying out."""

from flask import current_app, jsonify
from flask.typing import ResponseReturnValue

import tasks
from app.accounts.permissions import Permission
from app.api.base import blueprint, body, language, me, needs, whole_of
from app.core.db import reading
from app.drill.plan import MOST_ITEMS, PROPOSED_ITEMS, PROPOSED_KILLS, Plan
from app.drill.receipt import from_kept, headline
from app.drill.work import drill_request, receipts, refuse_in_production
from app.jobs.models import Trigger

drills = blueprint("drills")


@drills.get("/drills")
@needs(Permission.DRILL)
def index() -> ResponseReturnValue:
    """The receipts that are kept, newest first."""
    with reading() as session:
        rows = receipts(session)
    told = [(row, headline(from_kept(row.facts))) for row in rows]
    return jsonify(
        drills=[
            {"id": row.id, "job_id": row.job_id, "said": said.to(language()), "facts": row.facts}
            for row, said in told
        ]
    )


@drills.post("/drills")
@needs(Permission.DRILL)
def start() -> ResponseReturnValue:
    """{"items": 500, "kills": 3, "wipe": false}, each of which may be missing."""
    refuse_in_production(current_app.config["FIKSTUR"])
    sent = body()
    items = whole_of(sent, "items", MOST_ITEMS) if "items" in sent else PROPOSED_ITEMS
    kills = whole_of(sent, "kills", MOST_ITEMS) if "kills" in sent else PROPOSED_KILLS
    wanted = Plan.checked(items, kills, wipe=sent.get("wipe") is True)
    submitted = tasks.submit(drill_request(wanted), by=me().username, trigger=Trigger.API)
    return jsonify(id=submitted.job_id, joined=submitted.joined), 202
