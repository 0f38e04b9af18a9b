"""The JSON interface under /api, and /healthz. The words of the panel and the commands in JSON."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from config import Config


def init_app(app: "Flask", config: "Config") -> None:
    """Mount it. Sign-in and CSRF protection come with the panel, which must be there first."""
    from app.api import (
        audit,
        backup_keys,
        backup_uploads,
        backups,
        base,
        drills,
        errors,
        fixtures,
        jobs,
        me,
        settings,
        sources,
        users,
    )
    from app.api.health import healthz

    base.init_app(app)
    parts = (
        jobs.jobs,
        fixtures.fixtures,
        errors.errors,
        sources.sources,
        users.everybody,
        me.myself,
        audit.audit,
        settings.settings,
        backups.backups,
        backup_uploads.pieces,
        backup_keys.keys,
        drills.drills,
        base.rest,
    )
    for part in parts:
        app.register_blueprint(part, url_prefix="/api")
    app.register_blueprint(backups.old_address)
    app.add_url_rule("/healthz", "healthz", healthz)
