"""/api/backups: the catalogue, and whether all is in order; also at the address it once had."""

from flask import current_app, jsonify
from flask.typing import ResponseReturnValue

from app.accounts.permissions import Permission
from app.api.base import blueprint, language, needs
from app.backups.catalogue import all_backups
from app.backups.present import backup_as_dict, schedule_as_dict, status_as_dict
from app.backups.schedule import schedules
from app.backups.status import status
from app.backups.work import bench_of
from app.core.clock import now
from app.core.db import reading

backups = blueprint("backups")
old_address = blueprint("backup_status")


@backups.get("/backups")
@needs(Permission.SEE)
def index() -> ResponseReturnValue:
    """As `flask backup list`, newest first, and when they are made by themselves."""
    zone = current_app.config["FIKSTUR"].time_zone
    with reading() as session:
        plans = [schedule_as_dict(one, zone, now()) for one in schedules(session)]
    rows = [backup_as_dict(row, language()) for row in all_backups()]
    return jsonify(backups=rows, schedules=plans)


@backups.get("/backups/status")
@old_address.get("/settings/api/backup-status/")
@needs(Permission.SEE)
def backup_status() -> ResponseReturnValue:
    """As `flask backup status`."""
    config = current_app.config["FIKSTUR"]
    with reading() as session:
        found = status(session, bench_of(config).depot, config.time_zone, now())
    return jsonify(status_as_dict(found, language()))
