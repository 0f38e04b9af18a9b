import pytest

from app.accounts import users
from app.accounts.models import Role
from app.accounts.permissions import Permission, may
from app.core.db import transaction
from app.core.text import RequestError

pytestmark = pytest.mark.usefixtures("app")
PASSWORD = "uzun bir parola"


def test_a_password_opens_only_its_own_account_and_only_while_active() -> None:
    with transaction() as session:
        user = users.create(session, "Ayşe", PASSWORD, role=Role.OPERATOR)
        assert PASSWORD not in user.password_hash
        assert users.verify(user, PASSWORD)
        assert not users.verify(user, PASSWORD + "x")
        assert not users.verify(None, PASSWORD)
        user.is_active = False
        assert not users.verify(user, PASSWORD)


def test_a_name_is_taken_whatever_its_case() -> None:
    with transaction() as session:
        users.create(session, "Deniz", PASSWORD, role=Role.VIEWER)
        with pytest.raises(RequestError, match="already a user named deniz"):
            users.create(session, "deniz", PASSWORD, role=Role.VIEWER)


@pytest.mark.parametrize("name", ["", "two words", "semi;colon", "x" * 151])
def test_a_name_that_will_not_do_is_a_sentence(name: str) -> None:
    with transaction() as session, pytest.raises(RequestError, match="cannot be a user name"):
        users.create(session, name, PASSWORD, role=Role.VIEWER)


@pytest.mark.parametrize("typed", ["IŞIL", "ışıl", "Işıl", "işil"])
def test_the_turkish_is_do_not_lock_anybody_out(typed: str) -> None:
    with transaction() as session:
        users.create(session, "Işıl", PASSWORD, role=Role.VIEWER)
        assert users.get(session, typed).username == "Işıl"


def test_an_address_that_is_none_is_a_sentence() -> None:
    with transaction() as session, pytest.raises(RequestError, match="not an e-mail address"):
        users.create(session, "ali", PASSWORD, role=Role.VIEWER, email="nobody")


def test_a_short_password_is_a_sentence_that_says_how_long() -> None:
    with transaction() as session, pytest.raises(RequestError, match="at least 10"):
        users.create(session, "ali", "short", role=Role.VIEWER)


def test_a_new_password_ends_every_session() -> None:
    with transaction() as session:
        user = users.create(session, "ali", PASSWORD, role=Role.VIEWER)
        before = user.session_key
        users.set_password(user, "another long one")
        assert user.session_key != before
        assert users.verify(user, "another long one")


def test_there_is_an_administrator_after_the_first_start_and_only_one() -> None:
    with transaction() as session:
        made = users.ensure_administrator(session)
        assert made is not None
        assert users.verify(users.get(session, made[0]), made[1])
        assert users.ensure_administrator(session) is None


def test_each_role_may_what_its_row_says() -> None:
    with transaction() as session:
        cast = {role: users.create(session, role, PASSWORD, role=role) for role in Role}
        assert [p for p in Permission if may(cast[Role.VIEWER], p)] == [Permission.SEE]
        assert may(cast[Role.OPERATOR], Permission.FETCH)
        assert not may(cast[Role.OPERATOR], Permission.MANAGE_USERS)
        assert all(may(cast[Role.ADMINISTRATOR], p) for p in Permission)
        cast[Role.ADMINISTRATOR].is_active = False
        assert not any(may(cast[Role.ADMINISTRATOR], p) for p in Permission)
