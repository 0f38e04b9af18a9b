"""Users, links, profile and audit in the panel."""

import csv
import io
import re
from typing import Any

import pytest
from commands import run_json
from flask import Flask
from panel import PASSWORD, Visitor, a_user, sign_in, signed_in, visitor
from sqlalchemy import select
from statements import statements

from app.accounts import reset, users
from app.accounts.entry import PLACE
from app.accounts.models import Role, User
from app.accounts.permissions import ROLES, TOLD, Permission
from app.audit.models import AuditEntry
from app.core.clock import now
from app.core.db import reading, transaction
from app.jobs.models import Job
from app.mail.models import Mail

NEW = "a brand new password"
PERSON = {"username": "ayşe", "email": "ayse@example.com", "first_name": "Ayşe", "role": "operator"}


def user(name: str) -> User | None:
    with reading() as session:
        return users.find(session, name)


def with_address(name: str, email: str) -> None:
    with transaction() as session:
        users.get(session, name).email = email


def entries() -> list[AuditEntry]:
    with reading() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


@pytest.fixture
def boss(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


# --- users ----------------------------------------------------------------------------------------


def test_a_user_is_added_changed_and_deleted(boss: Visitor, app: Flask) -> None:
    page = boss.press("/admin/users/add", page="/admin/users/add", **PERSON, password=PASSWORD)
    assert "ayşe was added" in page.text
    made = user("ayşe")
    assert made is not None
    assert (made.role, made.email, made.first_name) == ("operator", "ayse@example.com", "Ayşe")
    assert sign_in(visitor(app), "ayşe").status_code == 302

    place = f"/admin/users/{made.id}"
    page = boss.press(place, page=place, **{**PERSON, "role": "viewer"})  # “May sign in” unticked
    assert "ayşe was changed" in page.text
    changed = user("ayşe")
    assert changed is not None
    assert (changed.role, changed.is_active) == ("viewer", False)

    assert "type exactly" in boss.press(f"{place}/delete", page=place, typed="ayse").text
    assert user("ayşe") is not None
    assert "was deleted" in boss.press(f"{place}/delete", page=place, typed="ayşe").text
    assert user("ayşe") is None
    assert boss.get(place).status_code == 404


def test_without_a_password_the_user_is_invited(boss: Visitor, app: Flask) -> None:
    boss.press("/admin/users/add", page="/admin/users/add", **PERSON)
    made = user("ayşe")
    assert made is not None
    assert made.is_invited
    with reading() as session:
        job = session.scalars(select(Job)).one()
        assert (job.kind, job.requested_by) == ("send_mail", "administrator")
        assert session.scalars(select(Mail)).one().to == "ayse@example.com"
    assert "invited" in boss.text("/admin/users/")
    link = PLACE + reset.token_of(made, app.config["FIKSTUR"].secret_key, soon())
    client = visitor(app)
    answer = client.press(link, page=link, new=NEW, again=NEW)
    assert answer.status_code == 200
    assert sign_in(visitor(app), "ayşe", NEW).status_code == 302


def test_an_invitation_without_an_address_adds_nobody(boss: Visitor) -> None:
    form = {**PERSON, "email": ""}
    answer = boss.press("/admin/users/add", page="/admin/users/add", **form)
    assert answer.status_code == 422
    assert "no e-mail address" in answer.text
    assert 'value="ayşe"' in answer.text  # what was typed is still there
    assert user("ayşe") is None
    assert {entry.object for entry in entries() if entry.kind == "user"} == {"administrator"}


def test_the_last_administrator_cannot_be_removed_in_the_panel(boss: Visitor) -> None:
    me = user("administrator")
    assert me is not None
    place = f"/admin/users/{me.id}"
    form = {"username": "administrator", "role": "viewer", "is_active": "1"}
    assert "last active administrator" in boss.press(place, page=place, **form).text
    answer = boss.press(f"{place}/delete", page=place, typed="administrator")
    assert "last active administrator" in answer.text
    assert boss.get("/admin/users/").status_code == 200


def test_the_table_of_permissions_is_the_one_that_is_asked(boss: Visitor) -> None:
    page = boss.text("/admin/users/roles")
    assert set(TOLD) == set(Permission)
    assert set(ROLES) == set(Role)
    assert page.count("<tr>") == len(Permission) + 1
    assert re.search(r"Invite, change.*?<td[^>]*>no</td><td[^>]*>no</td><td[^>]*>yes</td>", page)


def test_sessions_are_ended_by_the_administrator_and_by_oneself(boss: Visitor, app: Flask) -> None:
    here, there = signed_in(app, Role.VIEWER), visitor(app)
    sign_in(there, "viewer")
    found = user("viewer")
    assert found is not None
    place = f"/admin/users/{found.id}"
    boss.press(f"{place}/sign-out", page=place)
    assert here.get("/admin/").status_code == there.get("/admin/").status_code == 302
    sign_in(here, "viewer")
    sign_in(there, "viewer")
    here.press("/sign-out-everywhere", page="/profile")
    assert here.get("/admin/").status_code == there.get("/admin/").status_code == 302
    assert boss.get("/admin/").status_code == 200


# --- one's own profile ----------------------------------------------------------------------------


def test_ones_address_changes_only_with_the_password(app: Flask) -> None:
    client = signed_in(app, Role.VIEWER)
    form = {"first_name": "Vera", "last_name": "", "email": "vera@example.com"}
    answer = client.press("/profile", page="/profile", **form)
    assert (answer.status_code, "current password is wrong" in answer.text) == (422, True)
    client.press("/profile", page="/profile", **form, current=PASSWORD)
    client.press("/profile", page="/profile", **{**form, "first_name": "Veronika"})
    kept = user("viewer")
    assert kept is not None
    assert (kept.first_name, kept.email) == ("Veronika", "vera@example.com")


def test_nobody_makes_himself_an_administrator(app: Flask) -> None:
    client = signed_in(app, Role.VIEWER)
    client.press("/profile", page="/profile", first_name="x", role="administrator", is_active="1")
    kept = user("viewer")
    assert kept is not None
    assert (kept.first_name, kept.role) == ("x", "viewer")


# --- links ----------------------------------------------------------------------------------------


def soon() -> Any:
    from datetime import timedelta

    return now() + timedelta(minutes=5)


def ask(app: Flask, email: str) -> tuple[int, str, list[str]]:
    """The status, the page without what was typed, and the statements it took."""
    client = visitor(app)
    token = client.token("/forgot")
    with statements() as asked:
        answer = client.post("/forgot", data={"csrf_token": token, "email": email})
    page = re.sub(r'name="csrf_token" value="[^"]+"|nonce="[^"]+"', "", answer.text)
    return answer.status_code, page.replace(email, "…"), asked


def test_nobody_learns_who_has_an_account_by_asking_for_a_link(app: Flask) -> None:
    a_user(Role.VIEWER)
    with_address("viewer", "vera@example.com")
    ask(app, "somebody@example.com")  # the first from here makes the count of this address
    there, not_there = ask(app, "vera@example.com"), ask(app, "nobody@example.com")
    assert there == not_there  # the same words, and the same work for the database
    assert there[0] == 200
    assert "a link is on its way" in there[1] or "bağlantı yola çıktı" in there[1]
    with reading() as session:
        assert len(session.scalars(select(Mail)).all()) == 3


def test_links_are_not_mailed_without_end(app: Flask) -> None:
    found = [ask(app, "vera@example.com")[0] for _ in range(5)]
    assert found == [200, 200, 200, 429, 429]


def test_looking_at_a_link_does_not_use_it_up_but_using_it_does(app: Flask) -> None:
    a_user(Role.VIEWER)
    found = user("viewer")
    assert found is not None
    link = PLACE + reset.token_of(found, app.config["FIKSTUR"].secret_key, soon())
    client = visitor(app)
    for _ in range(2):
        assert client.get(link).status_code == 200
    assert client.press(link, page=link, new=NEW, again="other").status_code == 422
    client.press(link, page=link, new=NEW, again=NEW)
    assert client.get(link).status_code == 410
    answer = client.post(link, data={"csrf_token": client.token("/sign-in")})
    assert answer.status_code == 410
    assert sign_in(visitor(app), "viewer", NEW).status_code == 302
    noted = entries()[-1]
    assert (noted.action, noted.who, noted.object) == ("user.password", "viewer", "viewer")


def test_the_sign_in_page_says_how_long_to_wait(app: Flask) -> None:
    name = a_user()
    for _ in range(5):
        assert sign_in(visitor(app), name, "wrong").status_code == 401
    answer = sign_in(visitor(app), name)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) in range(1, 31)
    assert re.search(r"(Wait|fazla deneme).*\d+", answer.text)
    elsewhere = visitor(app)
    elsewhere.environ_base = {"REMOTE_ADDR": "198.51.100.7"}
    assert sign_in(elsewhere, name).status_code == 302


# --- audit ----------------------------------------------------------------------------------------


def test_each_change_says_who_what_from_where_and_on_which_way(boss: Visitor, app: Flask) -> None:
    boss.press("/admin/sources/sandbox/pause", page="/admin/sources/")
    token = {"X-CSRFToken": boss.token()}
    boss.post("/api/sources/sandbox/resume", headers=token)
    boss.post("/api/sources/sandbox/resume", headers=token)  # changes nothing: no entry
    run_json(app, "sources", "pause", "sandbox")
    noted = [entry for entry in entries() if entry.kind == "source"]
    assert [(e.action, e.via) for e in noted] == [
        ("source.pause", "panel"),
        ("source.resume", "api"),
        ("source.pause", "cli"),
    ]
    assert [e.who for e in noted[:2]] == ["administrator"] * 2
    assert noted[2].who.startswith("cli:")
    assert [e.address for e in noted] == ["127.0.0.1", "127.0.0.1", None]


def test_before_and_after_hold_what_changed_and_no_secret(boss: Visitor) -> None:
    boss.press("/admin/users/add", page="/admin/users/add", **PERSON, password=PASSWORD)
    made = user("ayşe")
    assert made is not None
    place = f"/admin/users/{made.id}"
    boss.press(place, page=place, **{**PERSON, "role": "viewer"}, is_active="1")
    noted = entries()[-1]
    assert (noted.action, noted.object) == ("user.change", "ayşe")
    assert (noted.before, noted.after) == ({"role": "operator"}, {"role": "viewer"})
    told = repr([(e.before, e.after) for e in entries()])
    assert PASSWORD not in told
    assert "argon2" not in told


def test_a_change_that_is_rolled_back_is_not_in_the_log(app: Flask) -> None:
    from app.audit.trail import note

    del app
    before = len(entries())
    with pytest.raises(ZeroDivisionError), transaction() as session:
        note(session, "user.change", ("user", "x"))
        raise ZeroDivisionError
    assert len(entries()) == before


def test_the_page_the_file_the_command_and_the_api_show_the_same(boss: Visitor, app: Flask) -> None:
    boss.press("/admin/users/add", page="/admin/users/add", **PERSON, password=PASSWORD)
    boss.press("/admin/sources/sandbox/pause", page="/admin/sources/")
    chosen = "action=user.create&object=ayşe"
    page = boss.text(f"/admin/audit/?{chosen}")
    assert page.count("User created</td>") == 1
    assert "Source paused</td>" not in page
    file = boss.get(f"/admin/audit/entries.csv?{chosen}").data.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(file))
    assert (row["Who"], row["Name"]) == ("administrator", "ayşe")
    api = boss.get(f"/api/audit?{chosen}").json["entries"]
    told = run_json(app, "audit", "list", "--action", "user.create", "--object", "ayşe")
    assert api == told
    assert [entry["after"]["email"] for entry in api] == ["ayse@example.com"]
    assert boss.get(f"/admin/audit/entries.xlsx?{chosen}").data[:2] == b"PK"


def test_the_log_is_read_page_by_page(boss: Visitor) -> None:
    from app.audit.trail import note

    with transaction() as session:
        for n in range(120):
            note(session, "source.pause", ("source", f"s{n}"))
    seen, url = [], "/admin/audit/?kind=source"
    while url:
        page = boss.text(url)
        seen += re.findall(r">(s\d+)</td>", page)
        more = re.search(r'href="([^"]+)" rel="next"', page)
        url = more[1].replace("&amp;", "&") if more else ""
    assert seen == [f"s{n}" for n in reversed(range(120))]
    for nonsense in ("before=x", "before=-1", "from=nonsense", "via=%00", "before=" + "9" * 30):
        assert boss.get(f"/admin/audit/?{nonsense}").status_code == 200


def test_every_action_in_the_code_has_its_word_and_nobody_can_delete_an_entry(app: Flask) -> None:
    from pathlib import Path

    from app.audit.present import ACTIONS, KINDS

    code = "\n".join(path.read_text("utf-8") for path in Path(app.root_path).rglob("*.py"))
    found = set(re.findall(r'note\(\s*session,\s*"([a-z_.]+)",\s*\("(\w+)"', code))
    assert len(found) > 8
    assert {action for action, _kind in found} <= set(ACTIONS)
    assert {kind for _action, kind in found} <= set(KINDS)
    rules = [r for r in app.url_map.iter_rules() if "audit" in r.rule]
    assert {method for r in rules for method in r.methods or ()} == {"GET", "HEAD", "OPTIONS"}
