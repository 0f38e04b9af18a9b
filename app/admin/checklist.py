"""The first steps on the dashboard, for administrators, until all are done."""

from flask import Flask, current_app

from app.accounts.permissions import Permission
from app.admin import login
from app.core.db import reading
from app.monitoring.checklist import Step, steps


def init_app(app: Flask) -> None:
    """Hand it to the templates."""
    app.jinja_env.globals["first_steps"] = first_steps


def first_steps() -> list[Step]:
    """Empty when all is done, or when whoever asks could not do it."""
    if not login.may(Permission.MANAGE_SETTINGS):
        return []
    live = current_app.extensions["live"]
    chosen = "SOURCES" in live.now.stored or "SOURCES" in live.base.given
    with reading() as session:
        found = steps(session, login.me(), current_app.config["FIKSTUR"], chosen=chosen)
    found = [step for step in found if step.page in current_app.view_functions]
    return [] if all(step.done for step in found) else found
