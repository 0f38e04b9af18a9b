"""Letters: asked for in a transaction, sent by a job; what fails is an open error."""

import dataclasses
import email
import email.policy
import functools
from email.message import EmailMessage
from pathlib import Path

import pytest
from factories import items_of
from flask import Flask
from postman import Postman, postman
from sqlalchemy import select, update

from app.accounts import reset, users
from app.accounts.models import Role, User
from app.core.clock import now
from app.core.db import db_now, persist, reading, transaction
from app.core.text import RequestError
from app.errors.models import FixtureError
from app.fixtures.retry import chosen, retry_request
from app.jobs.models import ItemOutcome, ItemState, Job, JobItem, Trigger
from app.jobs.runner import Handler, work_on
from app.jobs.submit import submit
from app.jobs.worker import Worker
from app.mail.ask import letter_request, letter_to, trial_request
from app.mail.letters import Kind
from app.mail.models import Mail
from app.mail.send import send_item
from config import Config

SECRET = "smtp-password-nobody-may-see"


def with_mail(app: Flask, **changes: object) -> Config:
    config: Config = app.config["FIKSTUR"]
    return dataclasses.replace(config, mail=dataclasses.replace(config.mail, **changes))


def by_server(app: Flask, man: Postman) -> Config:
    return with_mail(app, backend="smtp", host="127.0.0.1", port=man.port, tls="none")


def a_user(**more: object) -> User:
    with transaction() as session:
        known = {"role": Role.VIEWER, "email": "ali@example.com", "names": ("Ali", "Öz")} | more
        return users.create(session, "ali", None, **known)


def ask(user: User, language: str = "en") -> int:
    with transaction() as session:
        request = letter_to(session, session.get_one(User, user.id), language)
        return submit(session, request, by="tester", trigger=Trigger.CLI).job_id


def work(config: Config, job_id: int) -> JobItem:
    handler = Handler(functools.partial(send_item, config))
    work_on(Worker(45), job_id, {"send_mail": handler})
    return items_of(job_id)[0]


def only(man: Postman) -> EmailMessage:
    (letter,) = man.letters
    return email.message_from_bytes(letter, policy=email.policy.default)  # type: ignore[return-value]


def link_in(letter: EmailMessage) -> str:
    text = letter.get_body(("plain",)).get_content()
    return next(line for line in text.splitlines() if line.startswith("http")).rpartition("/")[2]


def test_an_invitation_arrives_in_text_and_html_with_a_link_that_works(app: Flask) -> None:
    user = a_user()
    with postman() as man:
        item = work(by_server(app, man), ask(user))
    assert (item.state, item.outcome) == (ItemState.DONE, ItemOutcome.STORED)
    letter = only(man)
    assert letter["To"] == "ali@example.com"
    assert letter["Subject"] == "You are invited to Fikstür"
    plain, html = (letter.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Hello Ali Öz," in plain
    assert "Hello Ali Öz," in html
    token = link_in(letter)
    assert f'href="http://127.0.0.1:8000/reset/{token}"' in html
    key = app.config["FIKSTUR"].secret_key
    persist(lambda s: reset.use(s, token, key, users.hashed("a brand new password"), now()))
    with reading() as session:
        assert users.verify(session.get(User, user.id), "a brand new password")
        assert session.scalars(select(Mail)).one().sent_at is not None


def test_a_letter_speaks_the_language_of_its_reader(app: Flask) -> None:
    user = a_user()
    with postman() as man:
        work(by_server(app, man), ask(user, "tr"))
    assert only(man)["Subject"] == "Fikstür'e davet edildiniz"
    assert '<html lang="tr">' in only(man).get_body(("html",)).get_content()


def test_a_name_cannot_put_html_into_a_letter(app: Flask) -> None:
    user = a_user(names=("<b>Ali</b>", ""))
    with postman() as man:
        work(by_server(app, man), ask(user))
    html = only(man).get_body(("html",)).get_content()
    assert "&lt;b&gt;Ali&lt;/b&gt;" in html
    assert "<b>Ali" not in html


def test_no_link_is_stored_anywhere(app: Flask) -> None:
    user = a_user()
    with postman() as man:
        job_id = ask(user)
        work(by_server(app, man), job_id)
        token = link_in(only(man))
    from app.core.db import db

    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                assert token not in repr(row), table.name


def test_an_address_nobody_has_ends_quietly_and_sends_nothing(app: Flask) -> None:
    with transaction() as session:
        request = letter_request(session, Kind.RESET, "nobody@example.com", "en")
        job_id = submit(session, request, by="", trigger=Trigger.PANEL).job_id
    with postman() as man:
        item = work(by_server(app, man), job_id)
    assert (item.state, item.outcome, man.letters) == (ItemState.DONE, ItemOutcome.NO_DATA, [])


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": "new@example.com"}])
def test_who_left_or_moved_meanwhile_gets_no_letter(app: Flask, change: dict[str, object]) -> None:
    user = a_user()
    job_id = ask(user)
    with transaction() as session:
        session.execute(update(User).values(**change))
    with postman() as man:
        assert work(by_server(app, man), job_id).outcome == ItemOutcome.NO_DATA
    assert man.letters == []


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        ({"AUTH": "535 5.7.8 wrong password"}, "AUTH_INVALID", "refused name or password"),
        ({"RCPT": "550 no such box"}, "BAD_REQUEST", "no such box"),
        ({"MAIL": "553 not you"}, "BAD_REQUEST", "not you"),
        ({"DATA": "554 spam"}, "BAD_REQUEST", "spam"),
    ],
)
def test_a_refusal_is_an_open_error_in_the_servers_words(
    app: Flask, says: dict[str, str], code: str, words: str
) -> None:
    with postman(says=says) as man:
        config = by_server(app, man)
        mail = dataclasses.replace(config.mail, user="fikstur", password=SECRET)
        item = work(dataclasses.replace(config, mail=mail), ask(a_user()))
    assert (item.state, item.code) == (ItemState.FAILED, code)
    with reading() as session:
        error = session.scalars(select(FixtureError)).one()
    assert (error.kind, error.code, error.resolved_at) == ("send_mail", code, None)
    assert words in str(error.message)
    assert SECRET not in repr(vars(error)) + repr(vars(item))


@pytest.mark.parametrize("says", [{"RCPT": "451 later"}, {"": "421 busy"}])
def test_a_server_that_is_busy_is_asked_again(app: Flask, says: dict[str, str]) -> None:
    user = a_user()
    job_id = ask(user)
    with postman(says=says) as man:
        item = work(by_server(app, man), job_id)
    assert (item.state, item.code, item.attempts) == (ItemState.WAITING, "SERVER_ERROR", 1)
    with transaction() as session:
        session.execute(update(JobItem).values(not_before=db_now(-1)))
    with postman() as man:
        item = work(by_server(app, man), job_id)
    assert (item.state, len(man.letters)) == (ItemState.DONE, 1)
    with reading() as session:
        assert session.scalars(select(FixtureError)).one().resolved_by == "success"


def test_where_nobody_listens_it_waits_and_says_so(app: Flask) -> None:
    with postman() as man:
        pass
    item = work(by_server(app, man), ask(a_user()))
    assert (item.state, item.code) == (ItemState.WAITING, "CONN_RESET")


def test_a_letter_is_never_sent_readable_where_encryption_is_set(app: Flask) -> None:
    with postman() as man:  # offers no STARTTLS
        config = by_server(app, man)
        mail = dataclasses.replace(config.mail, tls="starttls", user="u", password=SECRET)
        item = work(dataclasses.replace(config, mail=mail), ask(a_user()))
    assert (item.state, item.code, man.letters) == (ItemState.FAILED, "TLS", [])
    assert not any(line.startswith("AUTH") for line in man.heard)


def test_without_a_server_it_fails_with_what_to_do(app: Flask) -> None:
    item = work(with_mail(app, backend="smtp", host=None), ask(a_user()))
    assert item.state == ItemState.FAILED
    assert "SMTP_HOST" in str(item.message)


def test_what_failed_is_sent_by_retrying_its_error(app: Flask) -> None:
    work(with_mail(app, backend="smtp", host=None), ask(a_user()))
    with transaction() as session:
        error = session.scalars(select(FixtureError)).one()
        request = retry_request(session, chosen(session, [error.id]), "asked")
        job_id = submit(session, request, by="tester", trigger=Trigger.CLI).job_id
    with postman() as man:
        item = work(by_server(app, man), job_id)
    assert (item.state, len(man.letters)) == (ItemState.DONE, 1)
    with reading() as session:
        assert session.scalars(select(FixtureError)).one().resolved_at is not None


def test_the_folder_takes_letters_that_only_this_user_may_read(app: Flask) -> None:
    work(with_mail(app, backend="file"), ask(a_user()))
    folder: Path = app.config["FIKSTUR"].data_dir / "mail"
    (letter,) = folder.glob("*.eml")
    assert b"You are invited" in letter.read_bytes()
    assert folder.stat().st_mode & 0o077 == 0


def test_the_terminal_takes_letters(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    work(with_mail(app, backend="console"), ask(a_user()))
    assert "Subject: You are invited" in capsys.readouterr().out


def test_who_has_no_address_is_a_sentence(app: Flask) -> None:
    del app
    user = a_user(email=None)
    for make in (letter_to, trial_request):
        with transaction() as session, pytest.raises(RequestError, match="e-mail address"):
            make(session, session.get_one(User, user.id), "en")
    with reading() as session:
        assert session.scalars(select(Job)).all() == []
