"""Users through the API and by command: the same functions, the same refusals."""

import pytest
from commands import SQLITE_ONLY, run, run_json
from flask import Flask
from panel import PASSWORD, Visitor, sign_in, signed_in, visitor

from app.accounts.models import Role

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture
def boss(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


def test_a_users_life_through_the_api(boss: Visitor, app: Flask) -> None:
    token = {"X-CSRFToken": boss.token()}
    sent = {"username": "ayşe", "role": "operator", "email": "A@x.org", "password": PASSWORD}
    made = boss.post("/api/users", json=sent, headers=token)
    assert made.status_code == 201
    assert (made.json["email"], made.json["role"], made.json["invited"]) == (
        "a@x.org",
        "operator",
        False,
    )
    assert PASSWORD not in made.text
    place = f"/api/users/{made.json['id']}"
    changed = boss.patch(place, json={"role": "viewer", "is_active": False}, headers=token)
    assert (changed.json["role"], changed.json["is_active"]) == ("viewer", False)
    assert sign_in(visitor(app), "ayşe").status_code == 401
    for wrong in ({"role": "king"}, {"is_active": "no"}, {"password_hash": "x"}, {"email": 7}):
        assert boss.patch(place, json=wrong, headers=token).status_code == 400, wrong
    assert boss.get(place).json == changed.json
    assert boss.delete(place, json={"username": "ayse"}, headers=token).status_code == 400
    assert boss.delete(place, json={"username": "ayşe"}, headers=token).status_code == 200
    assert boss.get(place).status_code == 404


def test_an_invitation_and_a_link_through_the_api_are_jobs(boss: Visitor) -> None:
    token = {"X-CSRFToken": boss.token()}
    sent = {"username": "can", "role": "viewer", "email": "can@example.com"}
    made = boss.post("/api/users", json=sent, headers=token)
    assert (made.status_code, made.json["invited"]) == (201, True)
    link = boss.post(f"/api/users/{made.json['id']}/link", headers=token)
    assert link.status_code == 202
    assert boss.get(f"/api/jobs/{link.json['job']}").json["kind"] == "send_mail"
    again = boss.post("/api/users", json=sent, headers=token)
    assert (again.status_code, "already a user" in again.json["error"]) == (400, True)


def test_the_last_administrator_stays_on_every_way(boss: Visitor, app: Flask) -> None:
    token = {"X-CSRFToken": boss.token()}
    me = next(u for u in boss.get("/api/users").json["users"] if u["username"] == "administrator")
    place = f"/api/users/{me['id']}"
    answers = [
        boss.patch(place, json={"role": "viewer"}, headers=token),
        boss.patch(place, json={"is_active": False}, headers=token),
        boss.delete(place, json={"username": "administrator"}, headers=token),
    ]
    assert all("last active administrator" in answer.json["error"] for answer in answers)
    for command in (
        ["change", "administrator", "--role", "viewer"],
        ["change", "administrator", "--inactive"],
        ["delete", "administrator", "--yes", "administrator"],
    ):
        done = run(app, "users", *command)
        assert (done.exit_code, "last active administrator" in done.stderr) == (1, True)


def test_a_users_life_by_command(app: Flask) -> None:
    run(app, "users", "ensure-admin")
    run_json(app, "users", "create", "ece", "--role", "viewer", "--generate")
    told = run_json(app, "users", "change", "ece", "--first-name", "Ece", "--email", "e@x.org")
    assert (told["first_name"], told["email"], told["role"]) == ("Ece", "e@x.org", "viewer")
    assert run_json(app, "users", "change", "ece", "--email", "")["email"] is None
    assert run(app, "users", "change", "ece").exit_code == 2
    assert run(app, "users", "send-link", "ece").exit_code == 1  # no address
    assert run(app, "users", "sign-out", "ece").exit_code == 0
    assert run(app, "users", "delete", "ece", "--yes", "Ece").exit_code == 1
    assert run(app, "users", "delete", "ece", "--yes", "ece").exit_code == 0
    noted = run_json(app, "audit", "list", "--object", "ece")
    assert [entry["action"] for entry in reversed(noted)] == [
        "user.create",
        "user.change",
        "user.change",
        "user.sign_out",
        "user.delete",
    ]


def test_roles_tell_the_same_by_command_and_api(boss: Visitor, app: Flask) -> None:
    assert run_json(app, "users", "roles") == boss.get("/api/roles").json["roles"]
    assert "Invite, change and delete users" in run(app, "users", "roles").stdout


def test_ones_own_account_through_the_api(app: Flask) -> None:
    """The address only with the password, no role by the back door, and each way of ending."""
    client, elsewhere = signed_in(app, Role.VIEWER), visitor(app)
    sign_in(elsewhere, "viewer")
    token = {"X-CSRFToken": client.token()}
    assert visitor(app).get("/api/me").status_code == 401
    assert client.get("/api/me").json["username"] == "viewer"
    changed = client.patch("/api/me", json={"first_name": "Vera", "language": "tr"}, headers=token)
    assert (changed.json["first_name"], changed.json["language"]) == ("Vera", "tr")
    moved = {"email": "vera@example.com"}
    for wrong in (moved, {**moved, "current": "x"}, {"role": "administrator"}, {"language": "de"}):
        assert client.patch("/api/me", json=wrong, headers=token).status_code == 400, wrong
    right = {**moved, "current": PASSWORD}
    assert client.patch("/api/me", json=right, headers=token).json["email"] == "vera@example.com"

    new = {"current": PASSWORD, "new": "another password"}
    assert client.post("/api/me/password", json={**new, "new": "short"}, headers=token).json == {
        "error": "Parola çok kısa: en az 10 karakter olmalı."
    }
    assert client.post("/api/me/password", json=new, headers=token).status_code == 200
    assert client.get("/api/me").status_code == elsewhere.get("/api/me").status_code == 401
    sign_in(client, "viewer", "another password")
    sign_in(elsewhere, "viewer", "another password")
    client.post("/api/me/sign-out", headers={"X-CSRFToken": client.token()})
    assert client.get("/api/me").status_code == elsewhere.get("/api/me").status_code == 401
    assert run_json(app, "users", "list")[0]["role"] == "viewer"


def test_guessing_ones_own_password_is_slowed_down_too(app: Flask) -> None:
    client = signed_in(app, Role.VIEWER)
    token = {"X-CSRFToken": client.token()}
    told = [
        client.post("/api/me/password", json={"current": "guess"}, headers=token) for _ in range(6)
    ]
    assert [answer.status_code for answer in told] == [400] * 5 + [429]
    assert int(told[-1].headers["Retry-After"]) > 0
