"""The page about copies off-site: what lies there, whether it works, and bringing one back."""

from flask import current_app, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import lazy_gettext

from app.accounts.permissions import Permission
from app.admin import login
from app.admin.backup_shared import bench, shared, submitted
from app.admin.base import PanelView
from app.backups import catalogue, offsite_copies
from app.backups import request as requests
from app.backups.models import State
from app.backups.offsite import far_of
from app.backups.status import status
from app.core.clock import now
from app.core.db import reading


class BackupCopiesView(PanelView):
    """Everybody may look; the buttons are for administrators."""

    def __init__(self) -> None:
        super().__init__(
            name=lazy_gettext("Copies off-site"), endpoint="backup_copies", url="backups/copies"
        )

    def is_visible(self) -> bool:
        """Reached from the page Backups."""
        return False

    @expose("/")
    def index(self) -> str:
        """From our own rows: nobody is asked for this."""
        config = current_app.config["FIKSTUR"]
        far = far_of(config.offsite)
        with reading() as session:
            found = status(session, bench().depot, config, now())
            known = offsite_copies.copies(session, far.name) if far else {}
        here = {row.file for row in catalogue.all_backups() if row.state != State.MISSING}
        rows = sorted(known.values(), key=lambda row: row.at, reverse=True)
        return self.render(
            "backups/copies.html",
            rows=rows,
            here=here,
            there=found.offsite,
            keep=config.offsite.keep,
            may_set=login.may(Permission.MANAGE_SETTINGS),
            **shared(),
        )

    @expose("/check", methods=("POST",))
    def check(self) -> ResponseReturnValue:
        """Try it out, and look what lies there."""
        login.require(Permission.RESTORE)
        return submitted(requests.check_offsite_request, self.get_url(".index"))

    @expose("/fetch", methods=("POST",))
    def fetch(self) -> ResponseReturnValue:
        """Bring one back."""
        login.require(Permission.RESTORE)
        file = request.form.get("file", "")[:200]
        return submitted(lambda: requests.fetch_request(file), self.get_url(".index"))
