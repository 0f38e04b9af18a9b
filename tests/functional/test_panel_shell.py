"""The frame around every page: headers, menu, light, live parts, the palette, error pages."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import settings
from factories import a_job
from flask import Flask
from panel import Visitor, a_user, sign_in, signed_in, visitor

from app import create_app
from app.accounts.models import Role
from app.admin import live, palette
from app.core.db import db, transaction
from app.fixtures.models import Match

PAGE = "/admin/"
KICKOFF = datetime(2025, 5, 5, 18, tzinfo=UTC)


def a_match(**more: Any) -> Match:
    """A match as a source may tell it."""
    plain = {"source": "sandbox", "source_id": "1", "status": "FINISHED", "raw_status": "ft"}
    names = {"home": "Home", "away": "Away", "kickoff": KICKOFF}
    seen = dict.fromkeys(("first_seen_at", "last_seen_at", "changed_at"), KICKOFF)
    return Match(**{**plain, **names, **seen, **more})


def policy(answer: Any) -> dict[str, str]:
    """The Content-Security-Policy: directive -> sources."""
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return dict(part.partition(" ")[::2] for part in parts)


def headers_of(client: Visitor, place: str) -> Any:
    """The headers of an answer, which is closed: it may be a file."""
    with client.get(place) as answer:
        return answer.headers


def test_scripts_run_only_with_the_nonce_of_the_answer(app: Flask) -> None:
    client = signed_in(app)
    first, second = client.get(PAGE), client.get(PAGE)
    nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", policy(first)["script-src"])[1]
    assert nonce not in second.headers["Content-Security-Policy"]
    scripts = re.findall(r"<script[^>]*>", first.text)
    assert len(scripts) >= 4
    assert all(f'nonce="{nonce}"' in script for script in scripts)


def test_the_policy_opens_nothing(app: Flask) -> None:
    told = policy(signed_in(app).get(PAGE))
    assert told["default-src"] == told["base-uri"] == told["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(told)
    assert "*" not in str(told)
    assert "//" not in str(told)


def test_every_answer_has_the_headers(app: Flask) -> None:
    client = signed_in(app)
    for place in (PAGE, "/admin/nothing-here", "/static/panel.css", "/healthz", "/api/jobs"):
        headers = headers_of(client, place)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in headers


def test_production_insists_on_https_and_secure_cookies(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "fikstur.db")
    app = create_app(settings(tmp_path, FIKSTUR_ENV="production"))
    with app.app_context():
        secure = visitor(app).get("/sign-in", base_url="https://panel.test")
        assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
        cookie = secure.headers["Set-Cookie"]
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Strict-Transport-Security" not in visitor(app).get("/sign-in").headers
        db.engine.dispose()


def test_files_may_be_kept_only_under_the_address_of_their_contents(app: Flask) -> None:
    page = visitor(app).text("/sign-in")
    address = re.search(r'href="(/static/panel\.css\?v=\w{12})"', page)[1]
    kept = {
        place: "immutable" in headers_of(visitor(app), place).get("Cache-Control", "")
        for place in (address, "/static/panel.css", "/static/nothing.css?v=1")
    }
    assert list(kept.values()) == [True, False, False]


# --- menu and light -------------------------------------------------------------------------------


def test_the_menu_has_three_sections_and_marks_where_one_is(app: Flask) -> None:
    page = signed_in(app).text("/admin/jobs/")
    menu = page.split('<nav class="menu"')[1].split("</nav>")[0]
    assert re.findall(r'class="menu-title"[^>]*>(\w+)<', menu) == ["Data", "Operations", "System"]
    assert re.findall(r'href="([^"]+)" class="now" aria-current="page"', menu) == ["/admin/jobs/"]


def test_a_page_without_a_place_marks_where_it_belongs(app: Flask) -> None:
    page = signed_in(app).text("/admin/fetch/day")
    assert '<a href="/admin/" class="now" aria-current="page">' in page


def test_the_menu_leaves_out_what_one_may_not_open(app: Flask) -> None:
    assert 'href="/admin/drill/"' not in signed_in(app, Role.VIEWER).text(PAGE)
    assert 'href="/admin/drill/"' in signed_in(app, Role.ADMINISTRATOR).text(PAGE)


def test_the_light_says_why_it_is_red(app: Flask) -> None:
    light = signed_in(app).text("/admin/light")
    assert "light-bad" in light
    assert "no worker" in light
    assert "No worker is running. Start one" in light


# --- live parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["live", "sum", "light"])
def test_nothing_is_sent_when_nothing_changed(app: Flask, part: str) -> None:
    client = signed_in(app)
    first = client.get(PAGE + part)
    again = client.get(PAGE + part, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (204, b"")
    other = client.get(PAGE + part, headers={"If-None-Match": '"something-else"'})
    assert other.status_code == 200


def test_a_token_that_differs_is_no_change(app: Flask) -> None:
    form = '<input name="csrf_token" value="{}"><b>{}</b>'
    with app.test_request_context():
        etags = [live.answer(form.format(*v)).get_etag() for v in ((1, 1), (2, 1), (2, 2))]
    assert etags[0] == etags[1] != etags[2]


@pytest.mark.parametrize("typed", ["{}", "#{}", "job {}", "Job #{}", "iş {}", "İŞ {}", "is{}"])
def test_a_job_is_found_by_its_number_however_it_is_called(app: Flask, typed: str) -> None:
    job_id = a_job()
    html = signed_in(app).get("/admin/palette", query_string={"q": typed.format(job_id)}).text
    assert f'href="/admin/job/{job_id}"' in html


# --- the palette ----------------------------------------------------------------------------------


def found(client: Visitor, text: str) -> list[tuple[str, str]]:
    """Name and address of everything the palette offers."""
    html = client.get("/admin/palette", query_string={"q": text}).text
    lines = re.findall(r'role="option"[^>]*href="([^"]+)".*?</svg>(.*?)(?:<small>|</a>)', html)
    return [(name, address) for address, name in lines]


def test_pages_are_found_in_both_languages_whatever_the_case(app: Flask) -> None:
    client = signed_in(app)
    assert ("Jobs", "/admin/jobs/") in found(client, "JOB")
    client.press("/language", language="tr")
    for typed in ("işler", "İŞLER", "isler", "ISLER"):
        assert ("İşler", "/admin/jobs/") in found(client, typed), typed


def test_nothing_typed_offers_the_pages(app: Flask) -> None:
    names = [name for name, _address in found(signed_in(app), "")]
    assert "Matches" in names
    assert "Fetch a range" in names


def test_what_one_may_not_do_is_not_offered(app: Flask) -> None:
    names = [name for name, _address in found(signed_in(app, Role.VIEWER), "")]
    assert "Matches" in names
    assert "Fetch a range" not in names
    assert "Drill" not in names


def test_teams_and_competitions_are_found_by_their_plain_letters(app: Flask) -> None:
    with transaction() as session:
        session.add(a_match(home="Beşiktaş", away="Iğdır", competition="Süper Lig"))
    client = signed_in(app)
    names = {
        typed: [name for name, _ in found(client, typed)]
        for typed in ("besik", "IĞDIR", "süper LİG")
    }
    assert "Beşiktaş" in names["besik"]
    assert "Iğdır" in names["IĞDIR"]
    assert "Süper Lig" in names["süper LİG"]


def test_a_match_and_a_job_are_found_by_their_numbers(app: Flask) -> None:
    with transaction() as session:
        session.add(match := a_match(source_id="4711"))
        session.flush()
        match_id = match.id
    job_id = a_job()
    client = signed_in(app)
    assert f"/admin/matches/details/?id={match_id}" in dict(found(client, "4711")).values()
    assert (f"Job {job_id}", f"/admin/job/{job_id}") in found(client, f"#{job_id}")


@pytest.mark.parametrize("typed", ["'", "%", "\0", "9" * 99, "x" * 1000, "<b>", "²"])
def test_whatever_is_typed_the_answer_is_a_list(app: Flask, typed: str) -> None:
    answer = signed_in(app).get("/admin/palette", query_string={"q": typed})
    assert answer.status_code == 200
    assert "<b>" not in answer.text


def test_only_the_latest_names_are_looked_through(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(palette, "LATEST", 1)
    with transaction() as session:
        for number, home in enumerate(("Early", "Late"), 1):
            kickoff = datetime(2025, 5, number, tzinfo=UTC)
            session.add(a_match(source_id=str(number), home=home, kickoff=kickoff))
    client = signed_in(app)
    assert "Late" in dict(found(client, "late"))
    assert "Early" not in dict(found(client, "early"))


# --- errors ---------------------------------------------------------------------------------------


def test_an_error_page_stands_in_the_shell_for_whoever_is_signed_in(app: Flask) -> None:
    client = signed_in(app)
    assert 'class="menu"' in client.text("/admin/nothing-here", 404)
    assert 'class="menu"' in client.post("/admin/", data={"csrf_token": client.token()}).text
    assert 'class="menu"' not in visitor(app).text("/admin/nothing-here", 404)


def test_our_own_mistake_shows_no_trace_and_needs_no_database(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(app)
    monkeypatch.setitem(app.view_functions, "admin.index", lambda **_: 1 / 0)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    page = client.text(PAGE, 500)
    assert "Something went wrong" in page
    assert "ZeroDivision" not in page
    assert 'class="menu"' not in page


def test_too_large_a_form_is_refused_in_words(app: Flask) -> None:
    client = signed_in(app)
    data = {"csrf_token": client.token(), "language": "x" * 3_000_000}
    answer = client.post("/language", data=data)
    assert answer.status_code == 413
    assert "That was too much at once" in answer.text


def test_somebody_signs_in_and_sees_his_role(app: Flask) -> None:
    client = visitor(app)
    sign_in(client, a_user(Role.VIEWER))
    client.press("/language", language="en")
    assert "<small>Viewer</small>" in client.text(PAGE)
