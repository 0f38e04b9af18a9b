"""Every change there is, made once: by panel, API and command. Each leaves its entry in the log.

The story walks through everything that changes something; what it does not walk through must stand
in a list here, with the reason. Whoever adds a route or a command finds his way here by a failure.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import click
import pytest
from collection import a_suspect
from commands import SQLITE_ONLY, run, run_json
from factories import a_job
from flask import Flask
from panel import PASSWORD, Visitor, a_user, sign_in, signed_in, visitor
from sqlalchemy import select
from test_backup_panel import send, work_on_last
from test_cli_renormalise import filled, mended  # noqa: F401  set-ups
from test_panel_buttons import an_error
from test_panel_details import seal_of
from test_panel_details import wanted as details_form

from app.accounts import reset, users
from app.accounts.entry import PLACE
from app.accounts.models import Role, SavedView, User
from app.audit.models import AuditEntry
from app.backups import catalogue
from app.backups.models import BackupSchedule
from app.core.clock import now
from app.core.db import db, reading, transaction
from app.jobs import ledger
from app.jobs.ledger import Terms
from app.jobs.moves import Report

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)

BACKUPS, SETTINGS, SOURCES = "/admin/backups/", "/admin/settings/", "/admin/sources/"
NEW = "another password"
# Changes that leave no entry, and why.
NO_ENTRY_ROUTES = {
    "POST /sign-in": "changes nothing but when he last came in, which his page tells",
    "POST /sign-out": "forgets a cookie",
    "POST /admin/settings/source/<source_name>/test": "asks; the log of requests has it",
    "POST /api/sources/<name>/test": "the same",
    "POST /api/<path:_rest>": "nobody is at home",
    "PUT /api/<path:_rest>": "the same",
    "PATCH /api/<path:_rest>": "the same",
    "DELETE /api/<path:_rest>": "the same",
}
NO_ENTRY_ROUTES |= {
    "POST /admin/<list>/views/<int:view_id>/first": "where one's own list begins: a bookmark",
    "POST /admin/backups/<backup_id>/compare": "works on a scratch database",
    "POST /api/backups/uploads": "bytes that count for nothing until they are finished",
    "PUT /api/backups/uploads/<upload_id>": "the same",
}
# Whole families that have tests of their own, which look into the log too.
ELSEWHERE = {
    r"(POST|PUT) /(api|admin)/backups/(keys|copies)\b": "test_backup_copies_and_keys.py",
    r"POST /(api|admin)/backups/<backup_id>/copy": "test_backup_copies_and_keys.py",
    r"backup (keys (add|new|prove|retire)|copy|copies|download)$": "test_backup_copies_and_keys.py",
}
NO_ENTRY_COMMANDS = {
    "backup drill": "works on a scratch database",
    "backup verify": "reads; the catalogue remembers the verdict",
    "backup rescan": "reads the files; the catalogue is what they say",
    "drill chaos": "works on a scratch database and sandbox of its own",
    "setup": "migrates; the administrator it makes is that of ensure-admin",
    "sources test": "asks; the log of requests has it",
    "web": "serves",
    "worker": "works; what it does was asked for",
}
LOOKS = {"list", "show", "get", "items", "timeline", "audit", "watch", "roles", "status"}
LOOKS |= {"preview", "schedules", "doctor", "groups"}


def entries_after(last: int) -> list[AuditEntry]:
    with reading() as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.id > last)))


def last_entry() -> int:
    with reading() as session:
        return session.scalar(select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(1)) or 0


class Story:
    """Does things on each way, and sees what the log says of each."""

    def __init__(self, app: Flask) -> None:
        self.app, self.boss = app, signed_in(app, Role.ADMINISTRATOR)
        self.routes: set[str] = set()
        self.commands: set[str] = set()

    def panel(
        self, action: str, place: str, client: Visitor | None = None, **form: Any
    ) -> AuditEntry:
        wanted = [action, *form.pop("also", "").split()]
        last, page = last_entry(), form.pop("page", "/admin/")
        answer = (client or self.boss).press(place, page=page, **form)
        return self.noted(last, "POST", place, wanted, "panel", answer.text)

    def api(self, action: str, method: str, place: str, **body: Any) -> AuditEntry:
        wanted = [action, *body.pop("also", "").split()]
        token, last = {"X-CSRFToken": self.boss.token()}, last_entry()
        answer = self.boss.open(place, method=method, json=body, headers=token)
        assert answer.status_code < 300, (place, answer.text)
        return self.noted(last, method, place, wanted, "api", answer.text)

    def noted(
        self, last: int, method: str, place: str, actions: list[str], via: str, text: str
    ) -> AuditEntry:
        """The first of the entries that were made since, which are those actions and no other."""
        path = place.partition("?")[0]
        rule, _values = self.app.url_map.bind("localhost").match(path, method, return_rule=True)
        self.routes.add(family(f"{method} {rule.rule}"))
        found = entries_after(last)
        told = {entry.action: entry for entry in found}
        assert sorted(told) == sorted(actions), (place, re.findall(r"note-\w+.*", text))
        assert {(e.via, e.address) for e in found} == {(via, "127.0.0.1")}, place
        entry = told[actions[0]]
        assert entry.who == ("" if place == "/forgot" else entry.who or None), place
        return entry

    def drop(self, submitted: AuditEntry) -> None:
        """Nobody works on the job: another like it would join it."""
        self.api("job.cancel", "POST", f"/api/jobs/{submitted.object}/cancel")

    def command(self, action: str, *arguments: object, typed: str | None = None) -> AuditEntry:
        last = last_entry()
        result = run(self.app, *arguments, typed=typed)
        found = entries_after(last)
        assert action in [e.action for e in found], (arguments, result.output)
        assert all(e.via == "cli" and e.who.startswith("cli:") for e in found)
        self.commands.add(" ".join(map(str, arguments[:2])))
        return found[-1]


@pytest.fixture
def story(app: Flask) -> Story:
    return Story(app)


def family(route: str) -> str:
    """What all lists share is one thing."""
    return re.sub(r"/admin/\w+/(views|act)\b", r"/admin/<list>/\1", route)


def not_elsewhere(names: Iterable[str]) -> set[str]:
    return {name for name in names if not any(re.match(known, name) for known in ELSEWHERE)}


def changing_routes(app: Flask) -> set[str]:
    return {
        family(f"{method} {rule.rule}")
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }


def commands_of(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group) and name != "db":  # Flask-Migrate's own
            yield from commands_of(command, f"{before}{name} ")
        elif name not in {*LOOKS, "db"}:
            yield f"{before}{name}"


def test_every_way_of_changing_something_is_in_the_log(story: Story) -> None:
    fetching(story)
    views(story)
    people(story)
    own_account(story)
    settings(story)
    backups(story)
    left = changing_routes(story.app) - story.routes
    assert not_elsewhere(left) == set(NO_ENTRY_ROUTES)


def fetching(story: Story) -> None:
    story.panel("source.pause", SOURCES + "sandbox/pause")
    story.panel("source.resume", SOURCES + "sandbox/resume")
    story.api("source.pause", "POST", "/api/sources/sandbox/pause")
    story.api("source.resume", "POST", "/api/sources/sandbox/resume")
    story.panel("source.pause", SOURCES + "sandbox/pause")
    story.panel("source.reset", SOURCES + "sandbox/reset")
    story.api("source.pause", "POST", "/api/sources/sandbox/pause")
    story.api("source.reset", "POST", "/api/sources/sandbox/reset")
    story.panel("job.submit", "/admin/fetch/day", date="2025-05-05", source="sandbox")
    days = {"from": "2025-01-01", "to": "2025-01-03"}
    noted = story.panel("job.submit", "/admin/fetch/range", **days, sources="sandbox")
    job = f"/admin/job/{noted.object}/"
    for verb in ("pause", "resume", "cancel"):
        story.panel(f"job.{verb}", job + verb)
    noted = story.api("job.submit", "POST", "/api/fixtures/fetch", **{"from": "2025-02-01"})
    for verb in ("pause", "resume", "cancel"):
        story.api(f"job.{verb}", "POST", f"/api/jobs/{noted.object}/{verb}")
    repairing(story)
    form = details_form(ids="11 12")
    seal = seal_of(story.boss.press("/admin/details/", **form).text)
    story.panel("job.submit", "/admin/details/", **form, do="start", seal=seal)
    story.panel("job.submit", "/admin/details/match", source="sandbox", id="4711")
    noted = story.panel("job.submit", "/admin/drill/", items="200", kills="2")
    story.panel("job.cancel", f"/admin/job/{noted.object}/cancel")
    story.api("job.submit", "POST", "/api/drills", items=200, kills=2)


def repairing(story: Story) -> None:
    story.panel("job.submit", "/admin/errors/retry", id=an_error("2024-05-01"))
    an_error("2024-05-02")
    story.panel("job.submit", "/admin/errors/retry-matching", text="2024-05-02")
    error = an_error("2024-05-03")
    story.api("job.submit", "POST", "/api/errors/retry", ids=[error])
    accepting = {"also": "job.submit", "id": a_suspect("2024-05-04")}
    noted = story.panel("day.accept", "/admin/errors/accept", **accepting)
    assert noted.object == "sandbox 2024-05-04"
    asked = {"also": "job.submit", "ids": [a_suspect("2024-05-05")]}
    story.api("day.accept", "POST", "/api/errors/accept", **asked)
    failed = a_failed_job()
    story.panel("job.submit", f"/admin/job/{failed}/retry", state="failed")


def views(story: Story) -> None:
    story.panel("view.save", "/admin/matches/views?search=galata", name="Mine")
    with reading() as session:
        place = f"/admin/matches/views/{session.scalars(select(SavedView.id)).one()}"
    story.panel("view.change", place, name="Yours")
    story.panel("view.delete", f"{place}/delete")
    job = a_job(source="football_data")
    story.panel("job.pause", "/admin/jobs/act/pause", id=job)


def a_failed_job() -> int:
    made, terms = a_job(source="football_data"), Terms(lease_s=30, deadline_s=300, most=1)
    with transaction() as session:
        (claim,) = ledger.claim(session, made, worker="w", kinds=["fetch_day"], terms=terms)
        ledger.fail(session, claim, Report("NOT_FOUND"))
    return made


def people(story: Story) -> None:
    person = {"username": "ayşe", "email": "ayse@example.com", "role": "viewer"}
    page = {"page": "/admin/users/add"}
    story.panel("user.create", "/admin/users/add", **page, **person, password=PASSWORD)
    with reading() as session:
        user = users.get(session, "ayşe")
    place = f"/admin/users/{user.id}"
    changed = story.panel("user.change", place, **person, first_name="Ayşe", is_active="1")
    assert (changed.before, changed.after) == ({"first_name": ""}, {"first_name": "Ayşe"})
    story.panel("user.sign_out", f"{place}/sign-out")
    story.panel("user.reset", f"{place}/link", also="job.submit")
    api = f"/api/users/{user.id}"
    story.api("user.change", "PATCH", api, last_name="Yılmaz")
    story.api("user.sign_out", "POST", f"{api}/sign-out")
    story.api("user.delete", "DELETE", api, username="ayşe")
    told = {**person, "password": PASSWORD}
    made = story.api("user.create", "POST", "/api/users", **told)
    assert PASSWORD not in str(made.after)
    with reading() as session:
        user = users.get(session, "ayşe")
    story.api("user.reset", "POST", f"/api/users/{user.id}/link", also="job.submit")
    story.panel("user.delete", f"/admin/users/{user.id}/delete", typed="ayşe")


def own_account(story: Story) -> None:
    boss = story.boss
    story.panel("user.change", "/language", language="tr")
    story.panel("user.change", "/language", language="en")
    story.panel("user.change", "/profile", first_name="Boss", last_name="", email="")
    story.api("user.change", "PATCH", "/api/me", last_name="B.")
    passwords = {"current": PASSWORD, "new": NEW, "again": NEW}
    story.panel("user.password", "/password", page="/password", **passwords)
    story.panel("user.sign_out", "/sign-out-everywhere")
    sign_in(boss, "administrator", NEW)
    story.api("user.password", "POST", "/api/me/password", current=NEW, new=PASSWORD)
    sign_in(boss, "administrator")
    story.api("user.sign_out", "POST", "/api/me/sign-out")
    sign_in(boss, "administrator")
    with reading() as session:
        user = users.get(session, a_user(Role.VIEWER))
    secret_key = story.app.config["FIKSTUR"].secret_key
    link = PLACE + reset.token_of(user, secret_key, now().replace(year=2100))
    form = {"page": link, "new": NEW, "again": NEW}
    noted = story.panel("user.password", link, visitor(story.app), **form)
    assert noted.who == "viewer"
    nobody = {"page": "/forgot", "email": "nobody@example.com"}
    assert story.panel("job.submit", "/forgot", visitor(story.app), **nobody).who == ""


def settings(story: Story) -> None:
    story.panel("setting.set", SETTINGS + "general", TIME_ZONE="Europe/Berlin")
    story.panel("setting.unset", SETTINGS + "unset", name="TIME_ZONE")
    noted = story.panel("setting.set", SETTINGS + "source/football_data", FOOTBALL_DATA_TOKEN="k3y")
    assert "k3y" not in str((noted.before, noted.after))
    story.api("setting.set", "PUT", "/api/settings/KEEP_AUDIT_DAYS", value="99")
    story.api("setting.unset", "DELETE", "/api/settings/KEEP_AUDIT_DAYS")
    with transaction() as session:
        session.query(User).filter_by(username="administrator").one().email = "boss@example.com"
    story.panel("job.submit", SETTINGS + "mail/test")
    story.api("job.submit", "POST", "/api/settings/test-mail")


def backups(story: Story) -> None:
    """The restore comes last: what happened after the backup is gone with it."""
    app = story.app
    story.panel("job.submit", BACKUPS + "create", type="full", name="first")
    work_on_last(app)
    first = catalogue.find("latest")
    for verb in ("verify", "drill"):
        story.drop(story.panel("job.submit", f"{BACKUPS}{first.id}/{verb}"))
        story.drop(story.api("job.submit", "POST", f"/api/backups/{first.id}/{verb}"))
    story.drop(story.api("job.submit", "POST", f"/api/backups/{first.id}/preview"))
    story.drop(story.api("job.submit", "POST", "/api/backups", type="database", name="second"))
    plan = {"type": "full", "hour": "5", "keep": "9", "enabled": "1"}
    story.panel("backup.schedule", BACKUPS + "schedule/daily", **plan)
    story.drop(story.panel("job.submit", BACKUPS + "prune"))
    download(story, first.id)
    data = (app.config["FIKSTUR"].backup.folder / first.file).read_bytes()
    second = run_json(app, "backup", "create", "--no-drill")
    story.panel("backup.delete", f"{BACKUPS}{first.id}/delete")
    bring(story, first.file, data)
    restore(story, second["id"], second["file"])


def restore(story: Story, backup_id: str, file: str) -> None:
    """As somebody asks for it, and as a worker does it."""
    wanted = {"file": file, "password": PASSWORD}
    story.drop(story.api("job.submit", "POST", f"/api/backups/{backup_id}/restore", **wanted))
    confirmed = {"typed": file, "password": PASSWORD}
    story.panel("job.submit", f"{BACKUPS}{backup_id}/restore", **confirmed)
    for action in ("backup.restore", "backup.undo"):
        work_on_last(story.app)
        db.engine.dispose()
        assert action in [entry.action for entry in entries_after(0)]
        with transaction() as session:
            session.execute(db.text("DELETE FROM throttle"))
        sign_in(story.boss, "administrator")
        if action == "backup.restore":
            story.panel("job.submit", BACKUPS + "undo", **confirmed)


def bring(story: Story, name: str, data: bytes) -> None:
    """An archive by the form of the page, and in pieces; a job takes it in."""
    last = last_entry()
    send(story.boss, data)
    story.drop(story.noted(last, "POST", BACKUPS + "upload", ["job.submit"], "panel", ""))
    in_pieces(story, name, data)


def in_pieces(story: Story, name: str, data: bytes) -> None:
    token, place = {"X-CSRFToken": story.boss.token()}, "/api/backups/uploads"
    begun = story.boss.post(place, json={"name": name, "size": len(data)}, headers=token)
    place += f"/{begun.json['id']}"
    story.boss.put(f"{place}?offset=0&crc32={zlib.crc32(data)}", data=data, headers=token)
    story.drop(story.api("job.submit", "POST", f"{place}/finish"))


def download(story: Story, backup_id: str) -> None:
    """The ticket is asked for, and noted when it is used."""
    place = f"{BACKUPS}{backup_id}/download"
    last, token = last_entry(), story.boss.token(BACKUPS)
    ticket = story.boss.post(place, data={"csrf_token": token, "password": PASSWORD}).location
    story.boss.get(ticket).close()
    story.noted(last, "POST", place, ["backup.download"], "panel", "")
    api = f"/api/backups/{backup_id}/download"
    story.api("backup.download", "POST", api, password=PASSWORD)


def test_every_command_that_changes_something_is_in_the_log(
    mended: Flask,  # noqa: F811  the set-up imported above
) -> None:
    story, app = Story(mended), mended
    do = story.command
    do("source.pause", "sources", "pause", "sandbox")
    do("source.resume", "sources", "resume", "sandbox")
    do("source.pause", "sources", "pause", "sandbox")
    do("source.reset", "sources", "reset", "sandbox")
    noted = do("job.submit", "fixtures", "fetch", "2025-01-01", "--source", "sandbox")
    for verb in ("pause", "resume", "cancel"):
        do(f"job.{verb}", "jobs", verb, noted.object)
    do("job.submit", "details", "fetch", "--source", "sandbox", "4711")
    do("job.submit", "errors", "retry", an_error("2024-05-01"))
    do("day.accept", "errors", "accept", a_suspect("2024-05-02"))
    corrected = do("match.renormalise", "fixtures", "renormalise", "--yes")
    assert corrected.after["corrected"] > 0
    person = ("--role", "viewer", "--email", "a@example.com")
    do("user.create", "users", "create", "ayse", *person, "--generate")
    do("user.change", "users", "change", "ayse", "--first-name", "Ayşe")
    do("user.password", "users", "set-password", "ayse", "--password-stdin", typed=NEW + "\n")
    do("user.sign_out", "users", "sign-out", "ayse")
    do("user.reset", "users", "send-link", "ayse")
    do("user.delete", "users", "delete", "ayse", "--yes", "ayse")
    do("user.invite", "users", "invite", "ali", "--role", "viewer", "--email", "b@example.com")
    with transaction() as session:
        session.query(User).filter_by(username="administrator").delete()
    do("user.create", "users", "ensure-admin")
    do("setting.set", "settings", "set", "KEEP_AUDIT_DAYS", "99")
    do("setting.unset", "settings", "unset", "KEEP_AUDIT_DAYS")
    do("job.submit", "settings", "test-mail", "ali")
    command_backups(story)
    left = set(commands_of(app.cli)) - story.commands
    assert not_elsewhere(left) == set(NO_ENTRY_COMMANDS)


def command_backups(story: Story) -> None:
    do = story.command
    for _ in range(8):
        do("job.submit", "backup", "create", "--no-drill")
    do("job.submit", "backup", "prune")
    do("backup.restore", "backup", "restore", "latest", "--force")
    do("backup.undo", "backup", "undo", "--force")
    do("backup.schedule", "backup", "schedule", "daily", "--type", "database", "--on")
    with transaction() as session:
        session.query(BackupSchedule).one().since = now() - timedelta(days=3)
    do("job.submit", "backup", "run-scheduled")
    made, folder = (
        run_json(story.app, "backup", "create"),
        story.app.config["FIKSTUR"].backup.folder,
    )
    path = (folder / made["file"]).rename(folder.parent / made["file"])
    catalogue.forget(made["id"])
    do("backup.upload", "backup", "upload", path)
