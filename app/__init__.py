"""Fikstür. `create_app` is the wiring diagram: what is built, in what order, and nothing else."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from config import Config


def create_app(config: "Config", *, edges: bool = True, panel: bool = True) -> "Flask":
    """The app; without `edges` (panel, API, commands) it is what works on jobs.

    Without `panel` of the edges only the commands are there.
    """
    from flask import Flask

    from app.core import log
    from app.core.db import init_db
    from app.core.text import read_times_in
    from app.sources.limits import tell_rates

    log.set_up(config.log_level, config.log_format)
    log.hide(config)
    read_times_in(config.time_zone)
    tell_rates(config)
    app = Flask("app")
    app.config["SECRET_KEY"] = config.secret_key
    app.config["FIKSTUR"] = config
    init_db(app, config.database_url, threads=config.worker_threads + 16)
    follow_settings(app, config)
    if edges:
        # Imported here: the edges import the tasks, which build an app of their own.
        from app import cli

        if panel:
            from app import admin, api

            admin.init_app(app, config)
            api.init_app(app, config)
        cli.init_app(app, config)
    return app


def follow_settings(app: "Flask", config: "Config") -> None:
    """Let stored settings take the place of the configuration whenever they change."""
    from flask import request

    from app.core import log
    from app.core.text import read_times_in
    from app.settings.live import Live
    from app.sources.limits import tell_rates

    def apply(changed: "Config") -> None:
        log.hide(changed)
        app.config["FIKSTUR"] = changed
        read_times_in(changed.time_zone)
        tell_rates(changed)

    def before_request() -> None:
        if request.endpoint != "static":
            live.follow()

    live = app.extensions["live"] = Live(config)
    live.on_change(apply)
    app.before_request(before_request)
