"""Settings in the panel, by command and through the API; the checklist of the first steps."""

import re

import pytest
from commands import SQLITE_ONLY, run, run_json
from fakes import FakeOutside, a_desk, answer
from flask import Flask
from panel import Visitor, signed_in
from sqlalchemy import select

import tasks
from app.accounts import users
from app.accounts.models import Role
from app.audit.models import AuditEntry
from app.backups.models import BackupSchedule
from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import Sentence
from app.fixtures.probe import probe
from app.jobs.models import Job
from app.mail.models import Mail
from app.sources import pause
from app.sources.base import Code
from app.sources.models import RequestLog, SourceState

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
TOKEN = "a-token-nobody-may-see-0123456789"
PAGE = "/admin/settings/"


@pytest.fixture
def boss(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


def config(app: Flask):
    return app.config["FIKSTUR"]


def noted() -> list[tuple[str, str, object]]:
    with reading() as session:
        mine = select(AuditEntry).where(AuditEntry.kind == "setting").order_by(AuditEntry.id)
        rows = session.scalars(mine)
        return [(row.action, row.object, row.after) for row in rows]


def test_a_form_saves_what_is_different_and_it_holds_at_once(boss: Visitor, app: Flask) -> None:
    answer = boss.press(f"{PAGE}general", page=PAGE, TIME_ZONE="Asia/Tokyo", FRESH_HOURS="6")
    assert "Saved: TIME_ZONE, FRESH_HOURS" in answer.text
    assert (config(app).time_zone, config(app).fresh_hours) == ("Asia/Tokyo", 6)
    assert 'name="skip" min="0" max="87840" step="1" value="6"' in boss.text("/admin/fetch/range")
    boss.press(f"{PAGE}general", page=PAGE, FRESH_HOURS="6")  # an empty field gives it back
    assert config(app).time_zone == "Europe/Istanbul"
    assert [row[:2] for row in noted()] == [
        ("setting.set", "TIME_ZONE"),
        ("setting.set", "FRESH_HOURS"),
        ("setting.unset", "TIME_ZONE"),
    ]


def test_times_are_shown_in_the_zone_that_is_set(boss: Visitor) -> None:
    boss.press(f"{PAGE}general", page=PAGE, TIME_ZONE="Pacific/Kiritimati")  # UTC+14
    page = boss.text("/admin/users/")
    from zoneinfo import ZoneInfo

    assert f"{now().astimezone(ZoneInfo('Pacific/Kiritimati')):%Y-%m-%d %H:}" in page


def test_a_refused_value_is_a_sentence_and_changes_nothing(boss: Visitor, app: Flask) -> None:
    answer = boss.press(f"{PAGE}general", page=PAGE, TIME_ZONE="Mars/Base", FRESH_HOURS="6")
    assert "IANA" in answer.text
    assert (config(app).fresh_hours, noted()) == (0, [])


def test_a_key_is_written_never_shown_and_kept_by_an_empty_field(boss: Visitor, app: Flask) -> None:
    place = f"{PAGE}source/football_data"
    page = boss.press(place, page=PAGE, FOOTBALL_DATA_TOKEN=TOKEN).text
    assert config(app).source_settings["football_data"].token == TOKEN
    boss.press(place, page=PAGE, FOOTBALL_DATA_LIMITS="5/60")
    assert config(app).source_settings["football_data"].token == TOKEN
    shown = page + boss.text(PAGE) + boss.text("/admin/audit/")
    shown += boss.get("/admin/audit/entries.csv").text + boss.get("/api/settings").text
    shown += boss.get("/api/audit").text + run(app, "settings", "list").output
    shown += run(app, "settings", "get", "FOOTBALL_DATA_TOKEN").output
    assert TOKEN not in shown
    boss.press(f"{PAGE}unset", page=PAGE, name="FOOTBALL_DATA_TOKEN")
    assert config(app).source_settings["football_data"].token == "not-a-real-token"


def test_sources_are_ticked_and_given_back(boss: Visitor, app: Flask) -> None:
    boss.press(f"{PAGE}asking", page=PAGE, on_sandbox="1", on_espn="1")
    assert set(config(app).sources) == {"sandbox", "espn"}
    assert boss.get("/api/sources").json["sources"][0]["usable"] is True
    answer = boss.press(f"{PAGE}asking", page=PAGE)
    assert "At least one source" in answer.text
    boss.press(f"{PAGE}unset", page=PAGE, name="SOURCES")
    assert set(config(app).sources) == {"sandbox", "sofascore", "football_data"}


def test_commands_and_the_api_do_the_same(boss: Visitor, app: Flask) -> None:
    assert run_json(app, "settings", "set", "keep_audit_days", "30")["changed"] is True
    assert run_json(app, "settings", "set", "KEEP_AUDIT_DAYS", "30")["changed"] is False
    assert run(app, "settings", "get", "KEEP_AUDIT_DAYS").stdout == "30\n"
    token = {"X-CSRFToken": boss.token()}
    answer = boss.put("/api/settings/KEEP_AUDIT_DAYS", json={"value": "31"}, headers=token)
    assert (answer.json["value"], answer.json["origin"]) == ("31", "stored")
    assert answer.json["updated_by"] == "administrator"
    bad = boss.put("/api/settings/KEEP_AUDIT_DAYS", json={"value": "x"}, headers=token)
    assert (bad.status_code, "whole number" in bad.json["error"]) == (400, True)
    assert boss.put("/api/settings/NOPE", json={"value": "x"}, headers=token).status_code == 404
    assert run_json(app, "settings", "unset", "KEEP_AUDIT_DAYS")["origin"] == "default"
    typed = run(app, "settings", "set", "SMTP_PASSWORD", "--stdin", typed=f"{TOKEN}\n")
    assert (typed.exit_code, TOKEN in typed.output) == (0, False)
    assert run(app, "settings", "set", "NOPE", "1").exit_code == 2
    assert run(app, "settings", "set", "KEEP_AUDIT_DAYS").exit_code == 2
    assert run(app, "settings", "set", "KEEP_AUDIT_DAYS", "x").exit_code == 1
    assert {row[0] for row in noted()} == {"setting.set", "setting.unset"}


def test_a_source_is_tested_by_one_real_request(boss: Visitor, app: Flask) -> None:
    """Nobody listens at the sandbox's port here: the sentence says so, and the log has it."""
    answer = boss.press(f"{PAGE}source/sandbox/test", page=PAGE)
    assert "refused the connection" in answer.text
    with reading() as session:
        row = session.scalars(select(RequestLog)).one()
    assert (row.source, row.key, row.code, row.job_id) == ("sandbox", "test", Code.CONN_RESET, None)
    told = run(app, "sources", "test", "sandbox")
    assert told.exit_code == 1
    assert "refused the connection" in told.output


def test_a_source_that_has_sent_us_away_is_not_asked_before_its_time(
    boss: Visitor, app: Flask
) -> None:
    token = {"X-CSRFToken": boss.token()}
    for code in (Code.BLOCKED, Code.RATE_LIMITED, Code.QUOTA_EXHAUSTED):
        with transaction() as session:
            pause.pause(session, "sandbox", 3600, code, Sentence("why"), now())
        said = f"Source sandbox is paused ({code}) until"
        assert said in boss.press(f"{PAGE}source/sandbox/test", page=PAGE).text
        answer = boss.post("/api/sources/sandbox/test", headers=token)
        assert (answer.status_code, said in answer.json["error"]) == (400, True)
        told = run(app, "sources", "test", "sandbox")
        assert (told.exit_code, said in told.output) == (1, True)
        with transaction() as session:
            assert session.scalars(select(RequestLog)).all() == []
            pause.resume(session, "sandbox")


def test_what_a_test_was_told_holds_for_the_workers_too(app: Flask) -> None:
    limiter = tasks.build_limiter(config(app))
    refused = a_desk(FakeOutside(answer(b"{}", 429, retry_after="60")))
    assert probe(refused, limiter, "football_data").code == Code.RATE_LIMITED
    unknown = a_desk(FakeOutside(answer(b"{}", 401)))
    assert probe(unknown, limiter, "sofascore").code == Code.AUTH_INVALID
    limiter.close()
    with reading() as session:
        found = session.get_one(SourceState, "football_data")
        assert (found.code, found.factor) == (Code.RATE_LIMITED, 0.5)
        assert session.get(SourceState, "sofascore") is None, "a wrong key is being mended"


def test_a_source_that_may_not_be_asked_is_not_tested(boss: Visitor) -> None:
    token = {"X-CSRFToken": boss.token()}
    answer = boss.post("/api/sources/api_football/test", headers=token)
    assert (answer.status_code, "needs a key" in answer.json["error"]) == (400, True)
    with reading() as session:
        assert session.scalars(select(RequestLog)).all() == []


def test_a_test_mail_goes_to_oneself_by_a_job(boss: Visitor) -> None:
    answer = boss.press(f"{PAGE}mail/test", page=PAGE)
    assert "no e-mail address" in answer.text
    with transaction() as session:
        users.get(session, "administrator").email = "boss@example.com"
    boss.press(f"{PAGE}mail/test", page=PAGE)
    with reading() as session:
        assert session.scalars(select(Job)).one().kind == "send_mail"
        assert session.scalars(select(Mail)).one().to == "boss@example.com"


def test_the_first_steps_go_when_they_are_done(boss: Visitor) -> None:
    from datetime import date

    from app.fixtures.models import FixtureDay

    page = boss.text("/admin/")
    assert "First steps" in page
    of = re.search(r"<small>1 / (\d)</small>", page)  # the configuration of the tests names sources
    assert of, page
    with transaction() as session:
        users.get(session, "administrator").password_is_given = False
        session.add(Mail(kind="test", to="x@y.zz", language="en", asked_at=now(), sent_at=now()))
        day = {"hour": 2, "weekday": 0, "day": 1, "keep": 7, "since": now()}
        session.add(BackupSchedule(name="daily", type="full", enabled=True, **day))
    assert f"<small>{int(of[1]) - 1} / {of[1]}</small>" in boss.text("/admin/")
    with transaction() as session:
        session.add(
            FixtureDay(
                source="sandbox",
                date=date(2025, 5, 5),
                data_id=20250505,
                fetched_at=now(),
                looked_at=now(),
                code="OK",
            )
        )
    assert "First steps" not in boss.text("/admin/")


def test_only_administrators_see_the_first_steps(app: Flask) -> None:
    assert "First steps" not in signed_in(app, Role.OPERATOR).text("/admin/")
