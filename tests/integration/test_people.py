"""Users, links and the throttle: the rules that every way in keeps."""

import threading
import time
import uuid
from datetime import datetime, timedelta
from statistics import median

import pytest
from flask import Flask

from app.accounts import entry, people, reset, throttle, users
from app.accounts.models import Role, Throttle, User
from app.accounts.throttle import RESET, SIGN_IN, TooManyError
from app.core.clock import now
from app.core.db import persist, reading, transaction
from app.core.text import RequestError

PASSWORD = "uzun bir parola"
KEY = "a-key-for-tests-that-opens-nothing-0123456789"
HERE, THERE = "192.0.2.1", "198.51.100.7"


def a_user(name: str, role: Role = Role.VIEWER, email: str | None = None) -> User:
    with transaction() as session:
        return users.create(session, name, PASSWORD, role=role, email=email)


def again(user: User) -> User:
    with reading() as session:
        return session.get_one(User, user.id)


# --- the last administrator -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", [{"role": "viewer"}, {"role": "operator"}, {"is_active": False}, None]
)
@pytest.mark.usefixtures("app")
def test_the_last_administrator_stays_whatever_is_tried(wanted: dict[str, object] | None) -> None:
    boss, other = a_user("boss", Role.ADMINISTRATOR), a_user("gone", Role.ADMINISTRATOR)
    with transaction() as session:
        people.change(session, other.id, {"is_active": False})  # an inactive one does not count
    with pytest.raises(RequestError, match="boss is the last active administrator"):
        persist(
            lambda s: (
                people.delete(s, boss.id, "boss")
                if wanted is None
                else people.change(s, boss.id, wanted)
            )
        )
    kept = again(boss)
    assert (kept.role, kept.is_active, kept.session_key) == (boss.role, True, boss.session_key)
    with transaction() as session:
        people.change(session, boss.id, {"first_name": "Still"})  # other things may be changed
        people.change(session, other.id, {"is_active": True})
        people.change(session, boss.id, {"role": "viewer"})  # and now somebody else is there


def test_two_administrators_who_remove_each_other_at_once_do_not_both_succeed(app: Flask) -> None:
    for _ in range(5):
        pair = [a_user(f"u{uuid.uuid4().hex[:8]}", Role.ADMINISTRATOR) for _ in range(2)]
        start, refused = threading.Barrier(2), []

        def remove(victim: User, start: threading.Barrier, refused: list[str]) -> None:
            with app.app_context():
                start.wait()
                try:
                    persist(lambda s: people.change(s, victim.id, {"is_active": False}))
                except RequestError as error:
                    refused.append(str(error))

        threads = [threading.Thread(target=remove, args=(u, start, refused)) for u in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = [user for user in pair if again(user).is_active]
        assert (len(left), len(refused)) == (1, 1)
        with transaction() as session:  # the next pair must be alone
            session.query(User).delete()


@pytest.mark.usefixtures("app")
def test_a_user_is_deleted_only_by_his_exact_name() -> None:
    boss, user = a_user("boss", Role.ADMINISTRATOR), a_user("Deniz")
    for typed in ("", "deniz", "Deniz!", boss.username):
        with pytest.raises(RequestError, match="type exactly that name"):
            persist(lambda s, typed=typed: people.delete(s, user.id, typed))
    persist(lambda s: people.delete(s, user.id, "Deniz"))
    with reading() as session:
        assert session.get(User, user.id) is None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"username": "boss"}, "already a user named boss"),
        ({"username": "BOSS"}, "already a user named BOSS"),
        ({"username": "a b"}, "cannot be a user name"),
        ({"email": "Boss@Example.com"}, "already a user with the address"),
        ({"email": "nobody"}, "not an e-mail address"),
        ({"email": "a@b.co\nBcc: c@d.co"}, "not an e-mail address"),
        ({"role": "king"}, "no role “king”"),
        ({"first_name": "x" * 151}, "cannot be a name"),
        ({"last_name": "a\nb"}, "cannot be a name"),
        ({"password_hash": "x"}, "no “password_hash” to change"),
        ({"id": "x"}, "no “id” to change"),
    ],
)
@pytest.mark.usefixtures("app")
def test_a_change_that_will_not_do_is_a_sentence_and_changes_nothing(
    wanted: dict[str, object], said: str
) -> None:
    with transaction() as session:
        users.create(session, "boss", PASSWORD, role=Role.ADMINISTRATOR, email="boss@example.com")
    user = a_user("ali", email="ali@example.com")
    with pytest.raises(RequestError, match=said):
        persist(lambda s: people.change(s, user.id, {"first_name": "Ali"} | wanted))
    assert users.facts(again(user)) == users.facts(user)


@pytest.mark.usefixtures("app")
def test_one_may_keep_ones_own_name_and_address() -> None:
    user = a_user("ali", email="Ali@Example.com")
    assert user.email == "ali@example.com"
    persist(lambda s: people.change(s, user.id, {"username": "Ali", "email": "ALI@example.com"}))
    assert (again(user).username, again(user).email) == ("Ali", "ali@example.com")
    persist(lambda s: people.change(s, user.id, {"email": ""}))
    assert again(user).email is None


@pytest.mark.usefixtures("app")
def test_who_is_let_in_again_finds_his_old_sessions_ended() -> None:
    user = a_user("ali")
    persist(lambda s: people.change(s, user.id, {"is_active": False}))
    persist(lambda s: people.change(s, user.id, {"is_active": True}))
    assert again(user).session_key != user.session_key


# --- links ----------------------------------------------------------------------------------------


def a_link(user: User, valid: timedelta = timedelta(hours=1)) -> str:
    return reset.token_of(again(user), KEY, now() + valid)


def use(token: str, key: str = KEY) -> User:
    new_hash = users.hashed("a brand new password")
    return persist(lambda s: reset.use(s, token, key, new_hash, now()))


@pytest.mark.usefixtures("app")
def test_a_link_works_once() -> None:
    user = a_user("ali", email="ali@example.com")
    token = a_link(user)
    use(token)
    assert users.verify(again(user), "a brand new password")
    assert again(user).session_key != user.session_key
    with pytest.raises(RequestError, match="not valid any more"):
        use(token)


def test_of_two_who_use_a_link_at_once_one_succeeds(app: Flask) -> None:
    user = a_user("ali", email="ali@example.com")
    token, start, done = a_link(user), threading.Barrier(2), []

    def race() -> None:
        with app.app_context():
            start.wait()
            try:
                use(token)
                done.append("used")
            except RequestError:
                done.append("refused")

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["refused", "used"]


def _change(**wanted: object):
    return lambda user: persist(lambda s: people.change(s, user.id, wanted))


@pytest.mark.parametrize(
    "what",
    [
        lambda user: persist(lambda s: people.set_hash(s, user.id, users.hashed(PASSWORD))),
        _change(email="other@example.com"),
        _change(email=None),
        _change(is_active=False),
        lambda user: persist(lambda s: people.delete(s, user.id, "ali")),
    ],
    ids=["password", "address", "no address", "deactivated", "deleted"],
)
@pytest.mark.usefixtures("app")
def test_a_link_dies_with_what_it_was_made_for(what) -> None:
    user = a_user("ali", email="ali@example.com")
    token = a_link(user)
    what(user)
    with pytest.raises(RequestError, match="not valid any more"):
        use(token)


@pytest.mark.usefixtures("app")
def test_a_link_expires_and_cannot_be_made_to_last() -> None:
    user = a_user("ali", email="ali@example.com")
    old = a_link(user, timedelta(seconds=-1))
    with pytest.raises(RequestError, match="not valid any more"):
        use(old)
    who, until, signature = old.split("-", 2)
    for forged in (
        f"{who}-{int(until) + 9999}-{signature}",
        f"{who}-{until}-{signature[:-1]}x",
        f"{'0' * 32}-{until}-{signature}",
        "",
        "x",
        old + "0",
    ):
        with pytest.raises(RequestError, match="not valid any more"):
            use(forged)
    with pytest.raises(RequestError, match="not valid any more"):
        use(a_link(user), key="another key")
    use(a_link(user))


@pytest.mark.usefixtures("app")
def test_what_else_is_changed_of_a_user_does_not_kill_his_link() -> None:
    user = a_user("ali", email="ali@example.com")
    token = a_link(user)
    persist(lambda s: people.change(s, user.id, {"first_name": "Ali", "role": "operator"}))
    persist(lambda s: people.sign_out_everywhere(s, user.id))
    use(token)


# --- the throttle ---------------------------------------------------------------------------------


def tries(account: str, address: str, times: int, at: datetime | None = None) -> int:
    """So many tries in vain: how many of them were let through."""
    let = 0
    for _ in range(times):
        try:
            persist(lambda s: throttle.take(s, SIGN_IN, account, address, at or now()))
            let += 1
        except TooManyError:
            pass
    return let


@pytest.mark.usefixtures("app")
def test_after_five_tries_one_waits_and_is_told_how_long() -> None:
    at = now()
    assert tries("ali", HERE, 8, at) == 5
    with pytest.raises(TooManyError, match="Wait 30 seconds") as caught:
        persist(lambda s: throttle.take(s, SIGN_IN, "ALİ", HERE, at))  # the case does not matter
    assert caught.value.seconds == 30
    assert tries("ali", HERE, 5, at + timedelta(seconds=31)) == 1  # then one, and twice the wait
    with pytest.raises(TooManyError, match="Wait 60 seconds"):
        persist(lambda s: throttle.take(s, SIGN_IN, "ali", HERE, at + timedelta(seconds=31)))


@pytest.mark.usefixtures("app")
def test_the_wait_grows_to_a_quarter_of_an_hour_and_is_forgotten_after_one() -> None:
    at = now()
    for _ in range(12):
        tries("ali", HERE, 6, at)
        at += timedelta(minutes=16)
    tries("ali", HERE, 1, at)
    with pytest.raises(TooManyError, match="Wait 15 minutes"):
        persist(lambda s: throttle.take(s, SIGN_IN, "ali", HERE, at))
    assert tries("ali", HERE, 6, at + timedelta(minutes=80)) == 5


@pytest.mark.usefixtures("app")
def test_who_guesses_does_not_lock_out_who_knows() -> None:
    assert tries("ali", HERE, 20) == 5
    assert tries("ali", THERE, 1) == 1  # the account from elsewhere
    assert tries("veli", HERE, 1) == 1  # another account from the same address


@pytest.mark.usefixtures("app")
def test_an_address_that_tries_many_accounts_waits() -> None:
    at = now()
    let = sum(tries(f"user{n}", HERE, 1, at) for n in range(60))
    assert let == 30
    assert tries("user1", THERE, 1, at) == 1


@pytest.mark.usefixtures("app")
def test_an_account_tried_from_many_addresses_is_closed_to_strangers_only() -> None:
    at = now()
    persist(lambda s: throttle.take(s, SIGN_IN, "ali", HERE, at))
    persist(lambda s: throttle.worked(s, SIGN_IN, "ali", HERE, at))
    let = sum(tries("ali", f"10.0.{n}.1", 1, at) for n in range(80))
    assert let == 50
    assert tries("ali", HERE, 1, at) == 1  # he came in from here before
    assert tries("ali", "10.9.9.9", 1, at) == 0


@pytest.mark.usefixtures("app")
def test_ones_household_is_one_address() -> None:
    at = now()
    let = sum(tries("ali", f"2001:db8:0:1::{n}", 1, at) for n in range(1, 12))
    assert let == 5
    assert tries("ali", "2001:db8:0:2::1", 1, at) == 1


def test_many_at_once_do_not_slip_through(app: Flask) -> None:
    at, let = now(), []

    def one() -> None:
        with app.app_context():
            let.append(tries("ali", HERE, 1, at))

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let) == 5


@pytest.mark.usefixtures("app")
def test_the_right_password_starts_the_count_anew() -> None:
    a_user("ali")
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(RequestError, match="is wrong"):
                entry.sign_in("ali", "wrong", HERE)
        assert entry.sign_in("ali", PASSWORD, HERE).username == "ali"


@pytest.mark.usefixtures("app")
def test_while_one_waits_even_the_right_password_is_not_looked_at() -> None:
    a_user("ali")
    for _ in range(5):
        with pytest.raises(RequestError, match="is wrong"):
            entry.sign_in("ali", "wrong", HERE)
    with pytest.raises(TooManyError):
        entry.sign_in("ali", PASSWORD, HERE)
    assert entry.sign_in("ali", PASSWORD, THERE).username == "ali"


@pytest.mark.usefixtures("app")
def test_links_are_asked_for_at_most_three_times_from_one_place() -> None:
    at, let = now(), 0
    for _ in range(6):
        try:
            persist(lambda s: throttle.take(s, RESET, "ali@example.com", HERE, at))
            let += 1
        except TooManyError:
            pass
    assert let == 3
    assert tries("ali@example.com", HERE, 1, at) == 1  # another door


@pytest.mark.usefixtures("app")
def test_what_was_typed_is_not_stored_and_old_counts_are_forgotten() -> None:
    tries("my password by mistake", HERE, 1, now() - timedelta(days=3))
    tries("ali", HERE, 1)
    with transaction() as session:
        keys = [row.key for row in session.query(Throttle)]
        assert all(len(key) == 64 for key in keys)
        assert throttle.forget_old(session, now()) == 2  # the address was seen again today
        assert session.query(Throttle).count() == 3


# --- timing ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("app")
def test_every_refused_sign_in_costs_exactly_one_verification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_user("known")
    with transaction() as session:
        users.create(session, "invited", None, role=Role.VIEWER, email="i@example.com")
        people.change(session, a_user_id(session, "known2"), {"is_active": False})
    users.verify(None, "x")  # the hash of nobody is made once

    verified: list[str] = []
    real = users._hasher

    class Counting:
        def verify(self, hashed: str, password: str) -> bool:
            verified.append(hashed)
            return real.verify(hashed, password)

    monkeypatch.setattr(users, "_hasher", Counting())
    for name in ("known", "nobody", "invited", "known2", ""):
        verified.clear()
        with pytest.raises(RequestError, match="The user name or the password is wrong"):
            entry.sign_in(name, "not it", HERE)
        assert len(verified) == 1, name
        assert verified[0].startswith("$argon2id$"), name
        # The same cost: memory, passes and lanes.
        assert verified[0].split("$")[3] == real.hash("x").split("$")[3], name


def a_user_id(session, name: str) -> str:
    return users.create(session, name, PASSWORD, role=Role.VIEWER).id


@pytest.mark.usefixtures("app")
def test_a_refused_sign_in_takes_about_as_long_whoever_it_is() -> None:
    """In time of the processor, which other programs of this machine do not lengthen."""
    a_user("known")
    with transaction() as session:
        users.create(session, "invited", None, role=Role.VIEWER, email="i@example.com")
    users.verify(None, "x")

    def cost_s(name: str, turn: int) -> float:
        began = time.process_time()
        with pytest.raises(RequestError):
            entry.sign_in(name, "not it", f"198.51.100.{turn}")
        return time.process_time() - began

    costs = [median(cost_s(name, n) for n in range(5)) for name in ("known", "nobody", "invited")]
    assert max(costs) < 3 * min(costs), costs
