import re

import pytest
from flask import Flask
from panel import PASSWORD, a_user, sign_in, signed_in, visitor

from app.accounts import users
from app.accounts.models import Role, User
from app.admin.login import own_path
from app.core.db import reading, transaction


def user(name: str) -> User:
    with reading() as session:
        return users.get(session, name)


def test_signing_in_leads_to_the_dashboard_and_is_remembered(app: Flask) -> None:
    client = visitor(app)
    name = a_user()
    answer = sign_in(client, name)
    assert (answer.status_code, answer.location) == (302, "/admin/")
    assert name in client.text("/admin/")
    assert user(name).last_sign_in_at is not None


def test_the_name_may_be_written_in_capitals(app: Flask) -> None:
    a_user(username="Admin")
    assert sign_in(visitor(app), "aDMIN").status_code == 302


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(app: Flask) -> None:
    name = a_user()
    said = []
    for username, password in ((name, "not the password"), ("nobody", PASSWORD), ("a\0b", "x")):
        client = visitor(app)
        answer = sign_in(client, username, password)
        assert answer.status_code == 401
        said.append(re.search(r'role="alert">\s*(.+)', answer.text)[1])
        assert client.get("/admin/").status_code == 302
    assert len(set(said)) == 1


def test_an_inactive_user_cannot_sign_in_and_is_thrown_out(app: Flask) -> None:
    client = signed_in(app)
    with transaction() as session:
        users.get(session, "operator").is_active = False
    assert client.get("/admin/").status_code == 302
    assert sign_in(visitor(app), "operator").status_code == 401


def test_signing_in_goes_on_to_the_page_that_was_asked_for(app: Flask) -> None:
    client = visitor(app)
    name = a_user()
    asked = client.get("/admin/errors/?show=all")
    assert asked.location == "/sign-in?next=/admin/errors/?show%3Dall"
    assert 'value="/admin/errors/?show=all"' in client.text(asked.location)
    assert sign_in(client, name, next="/admin/errors/?show=all").location == (
        "/admin/errors/?show=all"
    )


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "/ok\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "evil.example",
        "",
        None,
    ],
)
def test_next_never_leads_to_another_host(target: str | None) -> None:
    app = Flask("bare")
    app.add_url_rule("/admin/", "admin.index")
    with app.test_request_context():
        assert own_path(target) == "/admin/"
        assert own_path("/admin/jobs/?page=2") == "/admin/jobs/?page=2"


def test_signing_out_ends_the_session(app: Flask) -> None:
    client = signed_in(app)
    client.press("/sign-out")
    assert client.get("/admin/").location.startswith("/sign-in")


def test_a_new_session_key_signs_out_everywhere(app: Flask) -> None:
    here, there = signed_in(app), visitor(app)
    sign_in(there, "operator")
    with transaction() as session:
        users.set_password(users.get(session, "operator"), "another long password")
    assert here.get("/admin/").status_code == 302
    assert there.get("/admin/").status_code == 302


def test_changing_the_password_keeps_this_session_and_ends_the_others(app: Flask) -> None:
    here, there = signed_in(app), visitor(app)
    sign_in(there, "operator")
    new = "a new and longer password"
    form = {"current": PASSWORD, "new": new, "again": new}
    answer = here.press("/password", page="/password", **form)
    assert "was changed" in answer.text
    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 302
    assert sign_in(visitor(app), "operator", new).status_code == 302


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"current": "wrong", "new": "x" * 12, "again": "x" * 12}, "current password is wrong"),
        ({"current": PASSWORD, "new": "x" * 12, "again": "y" * 12}, "repetition differ"),
        ({"current": PASSWORD, "new": "short", "again": "short"}, "too short"),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(
    app: Flask, form: dict[str, str], said: str
) -> None:
    client = signed_in(app)
    before = user("operator").password_hash
    answer = client.press("/password", page="/password", **form)
    assert answer.status_code == 422
    assert said in answer.text
    assert user("operator").password_hash == before


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app: Flask) -> None:
    client = visitor(app)
    cookie = sign_in(client, a_user()).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # it is not production


def test_every_answer_has_the_headers(app: Flask) -> None:
    for url in ("/sign-in", "/admin/", "/nowhere"):
        headers = visitor(app).get(url).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_the_language_is_chosen_before_and_after_signing_in(app: Flask) -> None:
    client = visitor(app)
    name = a_user(Role.VIEWER)
    assert '<html lang="tr">' in client.text("/sign-in")  # as configured
    answer = client.press("/language", page="/sign-in", language="en", next="/sign-in")
    assert '<html lang="en">' in answer.text
    sign_in(client, name)
    assert '<html lang="en">' in client.text("/admin/")  # what was chosen stays
    assert user(name).language is None
    client.press("/language", language="tr", next="/admin/jobs/")
    assert user(name).language == "tr"
    elsewhere = visitor(app)
    elsewhere.press("/language", page="/sign-in", language="en")
    sign_in(elsewhere, name)
    assert '<html lang="tr">' in elsewhere.text("/admin/")  # the user's own wins
    assert client.press("/language", language="de").status_code == 400


def test_an_error_page_speaks_in_words(app: Flask) -> None:
    client = signed_in(app)
    assert "There is nothing here" in client.text("/admin/nowhere", 404)
    assert "There is no job 99" in client.text("/admin/job/99", 404)
    assert client.get("/admin/job/99999999999999999999").status_code == 404
    answer = client.post("/admin/fetch/day", data={"date": "2025-01-01"})
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text


def test_our_own_mistake_shows_no_trace(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(app)
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def broken(*_arguments: object) -> None:
        raise TypeError("a secret detail")

    monkeypatch.setattr("app.admin.dashboard.facts", broken)
    page = client.text("/admin/", 500)
    assert "It is our mistake" in page
    assert "secret detail" not in page
    assert "Traceback" not in page
