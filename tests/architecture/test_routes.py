"""Every route, whoever adds it: nobody gets in unasked, nothing changes without a token."""

import re
from collections.abc import Iterator

from flask import Flask
from panel import signed_in, visitor
from werkzeug.routing import Rule

from app.accounts.models import Role, User
from app.accounts.permissions import Permission, allows
from app.core.db import db, reading

# Open to everybody; each line is a decision.
OPEN = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),  # CSRF is checked all the same
    ("POST", "/language"),
    ("GET", "/forgot"),
    ("POST", "/forgot"),
    ("GET", "/reset/<token>"),
    ("POST", "/reset/<token>"),  # CSRF is checked here too
    ("GET", "/static/<path:filename>"),
    ("GET", "/admin/static/<path:filename>"),
    ("GET", "/healthz"),
}
CHANGES = {"POST", "PUT", "PATCH", "DELETE"}


def routes(app: Flask) -> Iterator[tuple[str, Rule]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule


def an_address(rule: Rule) -> str:
    """The rule with something plausible in each place."""
    text = re.sub(r"<int[^>]*>", "1", rule.rule)
    text = text.replace("<day>", "2025-01-01").replace("<name>", "sandbox")
    text = text.replace("<source_name>", "sandbox").replace("<which>", "pause")
    text = re.sub(r"<uuid:[^>]*>", "00000000-0000-0000-0000-000000000000", text)
    text = re.sub(r'<any\("([^"]+)"[^>]*>', r"\1", text)
    return re.sub(r"<[^>]+>", "anything", text)


def rows(app: Flask) -> dict[str, int]:
    with reading() as session:
        return {table.name: session.query(table).count() for table in db.metadata.sorted_tables}


def test_nobody_passes_without_signing_in(app: Flask) -> None:
    passed = []
    for method, rule in routes(app):
        if (method, rule.rule) in OPEN:
            continue
        answer = visitor(app).open(an_address(rule), method=method)
        to_sign_in = answer.status_code == 302 and answer.location.startswith("/sign-in")
        if not to_sign_in and answer.status_code not in {401, 403}:
            passed.append((method, rule.rule, answer.status_code))
    assert passed == []


def test_the_list_of_open_routes_names_only_what_exists(app: Flask) -> None:
    assert {(method, rule.rule) for method, rule in routes(app)} >= OPEN


def test_nothing_changes_without_a_token(app: Flask) -> None:
    client = signed_in(app, Role.ADMINISTRATOR)
    before = rows(app)
    passed = []
    for method, rule in routes(app):
        if method in CHANGES:
            answer = client.open(an_address(rule), method=method)
            if answer.status_code != 400:
                passed.append((method, rule.rule, answer.status_code))
    assert passed == []
    assert rows(app) == before


def test_nothing_changes_on_get(app: Flask) -> None:
    client = signed_in(app, Role.ADMINISTRATOR)
    before = rows(app)
    with reading() as session:
        keys = {user.id: user.session_key for user in session.query(User)}
    for method, rule in routes(app):
        if method == "GET" and not rule.rule.startswith("/api/"):
            assert client.get(an_address(rule)).status_code < 500, rule.rule
    assert rows(app) == before
    with reading() as session:
        assert keys == {user.id: user.session_key for user in session.query(User)}


def test_what_is_not_wanted_is_not_mounted(app: Flask) -> None:
    addresses = " ".join(rule.rule for rule in app.url_map.iter_rules())
    for part in ("/new/", "/edit/", "/delete/", "/ajax/", "/export/", "redis", "/file"):
        assert part not in addresses


# What a route needs beyond a sign-in: the first row whose method and beginning fit. What fits none
# is for every role; whoever adds a page that is not adds a row.
CHANGING, ANY = frozenset(CHANGES), frozenset({"GET", *CHANGES})
NEEDS: tuple[tuple[frozenset[str], str, Permission], ...] = (
    (ANY, "/admin/users", Permission.MANAGE_USERS),
    (ANY, "/api/users", Permission.MANAGE_USERS),
    (ANY, "/admin/audit", Permission.SEE_AUDIT),
    (ANY, "/api/audit", Permission.SEE_AUDIT),
    (ANY, "/admin/settings", Permission.MANAGE_SETTINGS),
    (ANY, "/api/settings", Permission.MANAGE_SETTINGS),
    (ANY, "/api/sources/<name>/test", Permission.MANAGE_SETTINGS),
    (ANY, "/admin/drill", Permission.DRILL),
    (ANY, "/api/drills", Permission.DRILL),
    (CHANGING, "/api/backups/<backup_id>/verify", Permission.BACKUP),
    (ANY, "/api/backups/<backup_id>/preview", Permission.BACKUP),
    (CHANGING, "/api/backups/<backup_id>/drill", Permission.BACKUP),
    (CHANGING, "/api/backups/", Permission.RESTORE),
    (CHANGING, "/api/backups", Permission.BACKUP),
    (ANY, "/api/backups/uploads", Permission.RESTORE),
    (ANY, "/api/backups/keys", Permission.RESTORE),
    (ANY, "/admin/backups/keys/", Permission.RESTORE),
    (CHANGING, "/admin/backups/create", Permission.BACKUP),
    (CHANGING, "/admin/backups/<backup_id>/verify", Permission.BACKUP),
    (CHANGING, "/admin/backups/<backup_id>/drill", Permission.BACKUP),
    (ANY, "/admin/backups/<backup_id>/preview", Permission.BACKUP),
    (CHANGING, "/admin/backups/<backup_id>/compare", Permission.BACKUP),
    (ANY, "/admin/backups/download/<ticket>", Permission.RESTORE),
    (CHANGING, "/admin/backups/", Permission.RESTORE),
    (CHANGING, "/admin/sources/", Permission.PAUSE_SOURCES),
    (CHANGING, "/api/sources/", Permission.PAUSE_SOURCES),
    (ANY, "/admin/fetch", Permission.FETCH),
    (ANY, "/admin/details/", Permission.FETCH),
    (ANY, "/admin/calendar/plan", Permission.FETCH),
    (CHANGING, "/admin/errors/views", Permission.SEE),  # one's own saved views
    (CHANGING, "/admin/errors/act", Permission.SEE),  # it has no “pause”: not found, for everybody
    (CHANGING, "/admin/jobs/act", Permission.FETCH),
    (CHANGING, "/admin/errors/", Permission.FETCH),
    (CHANGING, "/admin/job/", Permission.FETCH),
    (CHANGING, "/api/errors/", Permission.FETCH),
    (CHANGING, "/api/jobs/", Permission.FETCH),
    (CHANGING, "/api/fixtures/", Permission.FETCH),
)
ENDS_THE_SESSION = {"/sign-out", "/sign-out-everywhere", "/api/me/sign-out"}


def needed(method: str, rule: Rule) -> Permission:
    fits = (p for methods, start, p in NEEDS if method in methods and rule.rule.startswith(start))
    return next(fits, Permission.SEE)


def test_each_role_is_refused_exactly_what_its_row_says(app: Flask) -> None:
    wrong = []
    for role in Role:
        client = signed_in(app, role)
        token = {"X-CSRFToken": client.token()}
        for method, rule in routes(app):
            if rule.rule in ENDS_THE_SESSION:
                continue
            status = client.open(an_address(rule), method=method, headers=token).status_code
            if (status == 403) is allows(role, needed(method, rule)):
                wrong.append((role, method, rule.rule, status))
    assert wrong == []


def test_the_table_of_needs_has_no_row_too_many(app: Flask) -> None:
    there = [(method, rule.rule) for method, rule in routes(app)]
    for methods, start, _permission in NEEDS:
        assert any(method in methods and rule.startswith(start) for method, rule in there), start
