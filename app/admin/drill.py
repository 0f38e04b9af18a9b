"""The page Drill: the button that starts one on an instance for trying out, and past receipts."""

from collections.abc import Mapping

from flask import current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import lazy_gettext

from app.accounts.permissions import Permission
from app.admin.base import MOST_ID, PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse, whole_number
from app.core.db import reading
from app.core.text import N_, RequestError, Sentence
from app.drill import present
from app.drill.models import DrillReceipt
from app.drill.plan import FEWEST_ITEMS, PROPOSED_ITEMS, PROPOSED_KILLS, Plan, most_kills
from app.drill.receipt import from_kept, headline, judge
from app.drill.work import IN_PRODUCTION, drill_request, receipts, refuse_in_production

PROPOSED = {"items": str(PROPOSED_ITEMS), "kills": str(PROPOSED_KILLS)}
MOST_ITEMS = 5000  # of a drill that is started by a button; about two minutes


class DrillView(PanelView):
    """For administrators only: it keeps the machine busy."""

    permission = Permission.DRILL

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Drill"), endpoint="drill", url="drill")

    @expose("/", methods=("GET", "POST"))
    def index(self) -> ResponseReturnValue:
        """The form and the list; a refused form comes back with its sentence."""
        config = current_app.config["FIKSTUR"]
        status, form = 200, request.form if request.method == "POST" else PROPOSED
        if request.method == "POST":
            try:
                refuse_in_production(config)
                return redirect(url_for("job.page", job_id=submit(drill_request(_plan(form)))))
            except RequestError as error:
                flash(say(error.sentence), "error")
                status = 403 if config.production else 422
        return self.render("panel/drill.html", form=form, **self._shown()), status

    def _shown(self) -> dict[str, object]:
        with reading() as session:
            rows = receipts(session)
        return {
            "rows": [(row, headline(from_kept(row.facts))) for row in rows],
            "refusal": IN_PRODUCTION if current_app.config["FIKSTUR"].production else None,
            "least": FEWEST_ITEMS,
            "most": MOST_ITEMS,
            "most_kills": most_kills(MOST_ITEMS),
        }

    @expose(f"/<int(max={MOST_ID}):receipt_id>")
    def receipt(self, receipt_id: int) -> str:
        """All of one receipt."""
        with reading() as session:
            row = session.get(DrillReceipt, receipt_id)
        if row is None:
            refuse(404, Sentence(N_("There is no receipt %(id)s."), {"id": receipt_id}))
        facts = from_kept(row.facts)
        return self.render(
            "panel/drill_receipt.html",
            row=row,
            headline=headline(facts),
            why=judge(facts),
            note=present.note(facts),
            counted=present.rows(facts),
            labels=present.KILL_LABELS,
            kills=present.kill_rows(facts),
        )


def _plan(form: Mapping[str, str]) -> Plan:
    """RequestError says what is wrong with the form."""
    items, kills = (whole_number(form.get(name, "").strip()) for name in ("items", "kills"))
    return Plan.checked(items, kills, wipe=bool(form.get("wipe")), most_items=MOST_ITEMS)
