import sys

import pytest
from commands import SQLITE_ONLY, run, run_json
from flask import Flask

from app.accounts import users
from app.accounts.models import User
from app.cli import users as commands_of_users
from app.core.db import reading

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
GOOD = "doğru-at-zımba-pil"
OPERATOR = ["--role", "operator"]


def user(name: str) -> User | None:
    with reading() as session:
        return users.find(session, name)


def test_a_user_is_created_with_a_password_from_a_pipe(app: Flask) -> None:
    result = run(app, "users", "create", "ayşe", *OPERATOR, "--password-stdin", typed=f"{GOOD}\r\n")
    assert result.exit_code == 0, result.output
    assert GOOD not in result.output
    made = user("ayşe")
    assert made is not None
    assert made.role == "operator"
    assert users.verify(made, GOOD)


def test_a_generated_password_is_printed_once_and_works(app: Flask) -> None:
    made = run_json(
        app, "users", "create", "can", "--role", "viewer", "--email", "c@x.org", "--generate"
    )
    assert (made["username"], made["role"], made["email"]) == ("can", "viewer", "c@x.org")
    assert users.verify(user("can"), made["password"])
    listed = run(app, "users", "list", "--json").stdout
    assert "can" in listed
    assert made["password"] not in listed
    assert "password" not in listed
    assert "can" in run(app, "users", "list").stdout


def test_a_person_at_a_terminal_is_asked_twice_and_sees_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(text: str, **how: object) -> str:
        asked.append((text, how["hide_input"], how["confirmation_prompt"]))
        return GOOD

    monkeypatch.setattr(commands_of_users.click, "prompt", prompt)
    monkeypatch.setattr(commands_of_users, "_at_terminal", lambda: True)
    assert run(app, "users", "create", "ece", *OPERATOR).exit_code == 0
    assert asked == [("Password", True, "Once more")]
    assert users.verify(user("ece"), GOOD)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "There is no terminal to ask at"),
        (["--generate", "--password-stdin"], "Choose one"),
        (["--password-stdin"], "The password is too short"),
    ],
)
def test_without_a_fit_password_nobody_is_created(
    app: Flask, arguments: list[str], words: str
) -> None:
    assert not sys.stdin.isatty()
    result = run(app, "users", "create", "ayşe", *OPERATOR, *arguments, typed="short\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert user("ayşe") is None


def test_a_taken_name_a_bad_name_and_a_bad_role_are_sentences(app: Flask) -> None:
    run(app, "users", "create", "ayşe", *OPERATOR, "--generate")
    taken = run(app, "users", "create", "AYŞE", *OPERATOR, "--generate")
    assert (taken.exit_code, taken.stdout) == (1, "")
    assert "There is already a user named" in taken.stderr
    bad = run(app, "users", "create", "a b", *OPERATOR, "--generate")
    assert "cannot be a user name" in bad.stderr
    assert run(app, "users", "create", "b", "--role", "king", "--generate").exit_code == 2


def test_a_new_password_ends_all_sessions(app: Flask) -> None:
    old = run_json(app, "users", "create", "ayşe", *OPERATOR, "--generate")["password"]
    before = user("ayşe")
    result = run(app, "users", "set-password", "ayşe", "--password-stdin", typed=GOOD)
    assert result.exit_code == 0
    after = user("ayşe")
    assert before is not None
    assert after is not None
    assert after.session_key != before.session_key
    assert users.verify(after, GOOD)
    assert not users.verify(after, old)


def test_an_unknown_user_is_a_sentence_before_any_password_is_asked_for(app: Flask) -> None:
    result = run(app, "users", "set-password", "nobody")
    assert (result.exit_code, result.stderr) == (1, "There is no user named nobody.\n")


def test_the_first_administrator_is_made_and_printed_once(app: Flask) -> None:
    assert "Make the first" in run(app, "users", "list").stdout
    made = run_json(app, "users", "ensure-admin")
    assert made["created"] is True
    assert users.verify(user(made["username"]), made["password"])
    again = run(app, "users", "ensure-admin")
    assert (again.exit_code, again.stdout) == (0, "There is an administrator already.\n")
    assert run_json(app, "users", "ensure-admin")["password"] is None
