"""The panel: lists on Flask-Admin, pages of our own; `init_app` is its wiring diagram."""

from flask import Flask, redirect, url_for
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme
from werkzeug.wrappers import Response

from app.admin import (
    assets,
    backups,
    checklist,
    details,
    language,
    login,
    look,
    palette,
    problems,
    profile,  # noqa: F401  adds its pages to those of login
    reset,  # noqa: F401  the same
    search,
    security,
    settings,
    shell,
)
from app.admin.answers import AnswersView
from app.admin.audit import AuditView
from app.admin.backup_copies import BackupCopiesView
from app.admin.backup_keys import BackupKeysView
from app.admin.backups import BackupsView
from app.admin.calendar import CalendarView
from app.admin.changes import ChangesView
from app.admin.dashboard import DashboardView
from app.admin.days import DaysView
from app.admin.details import DetailsView
from app.admin.drill import DrillView
from app.admin.errors import ErrorsView
from app.admin.fetch import FetchView
from app.admin.job import JobView
from app.admin.jobs import JobsView
from app.admin.matches import MatchesView
from app.admin.requests import RequestsView
from app.admin.settings import SettingsView
from app.admin.sources import SourcesView
from app.admin.users import UsersView
from app.admin.workers import WorkersView
from config import Config

# In the order of the menu; the last four have no place in it.
VIEWS = (
    MatchesView,
    CalendarView,
    DaysView,
    ChangesView,
    DetailsView,
    ErrorsView,
    JobsView,
    SourcesView,
    RequestsView,
    AnswersView,
    WorkersView,
    BackupsView,
    DrillView,
    UsersView,
    AuditView,
    SettingsView,
    FetchView,
    JobView,
    BackupCopiesView,
    BackupKeysView,
)


def init_app(app: Flask, config: Config) -> None:
    """Mount the panel at /admin, behind the sign-in page."""
    details.init_app(app)  # before the guard, see there
    backups.init_app(app)  # the same
    security.init_app(app, config)
    language.init_app(app, config)
    settings.init_app(app)
    checklist.init_app(app)
    login.init_app(app)
    assets.init_app(app)
    look.init_app(app)
    shell.init_app(app)
    palette.init_app(app)
    problems.init_app(app)
    search.init_app(app)
    app.add_url_rule("/", "home", home)
    theme = Bootstrap4Theme(base_template="panel/base.html")
    panel = Admin(
        app,
        name="Fikstür",
        index_view=DashboardView(),
        theme=theme,
        csp_nonce_generator=security.nonce,
    )
    for view in VIEWS:
        panel.add_view(view())


def home() -> Response:
    """The address without a path."""
    return redirect(url_for("admin.index"))
