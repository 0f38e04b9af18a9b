"""Every route, whoever adds it: nobody gets in unasked, nothing changes without a token."""

import re
from collections.abc import Iterator

from flask import Flask
from panel import signed_in, visitor
from werkzeug.routing import Rule

from app.accounts.models import Role, User
from app.core.db import db, reading

# Open to everybody; each line is a decision.
OPEN = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),  # CSRF is checked all the same
    ("POST", "/language"),
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
    text = text.replace("<source_name>", "sandbox")
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
