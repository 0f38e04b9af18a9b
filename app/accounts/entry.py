"""Coming in: the throttle before, the password without a transaction, the traces after.

And what a user may change of himself, for which he is asked for his password once more.
"""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.accounts import people, reset, throttle, users
from app.accounts.models import User
from app.audit.trail import note
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, RequestError

PLACE = "/reset/"  # of the panel; a test holds it


def sign_in(username: str, password: str, address: str) -> User:
    """The user whose name and password these are.

    RequestError when they are nobody's, throttle.TooManyError when too many were tried. An unknown
    name costs the same time and is answered the same.
    """
    persist(lambda s: throttle.take(s, throttle.SIGN_IN, username, address, now()))
    # Not in a write transaction: hashing takes its time, and on SQLite all writers would wait.
    with reading() as session:
        user = users.find(session, username)
    if not users.verify(user, password) or user is None:
        raise RequestError(N_("The user name or the password is wrong."))

    persist(lambda s: _came_in(s, user.id, username, address))
    return user


def _came_in(session: Session, user_id: str, username: str, address: str) -> None:
    throttle.worked(session, throttle.SIGN_IN, username, address, now())
    session.get_one(User, user_id).last_sign_in_at = now()


def confirm(user: User, typed: str, address: str) -> None:
    """RequestError unless it is the user's password; guessing it is slowed down as at the door."""
    persist(lambda s: throttle.take(s, throttle.SIGN_IN, user.username, address, now()))
    if not users.verify(user, typed):
        raise RequestError(N_("The current password is wrong."))
    persist(lambda s: throttle.worked(s, throttle.SIGN_IN, user.username, address, now()))


def change_own(user: User, wanted: Mapping[str, str], typed: str, address: str) -> User:
    """Change one's own names and address; another address needs the password.

    Links for a new password go there. RequestError when a value will not do.
    """
    if (wanted.get("email", user.email) or "").lower() != (user.email or ""):
        confirm(user, typed, address)
    own = {name: value for name, value in wanted.items() if name in OWN}
    return persist(lambda s: people.change(s, user.id, own))


OWN = ("first_name", "last_name", "email")


def set_language(session: Session, user_id: str, language: str) -> User:
    """Speak that language to the user on every machine."""
    user = session.get_one(User, user_id)
    before, user.language = user.language, language
    told = ("user", user.username)
    note(session, "user.change", told, before={"language": before}, after={"language": language})
    return user


def ask_for_reset(session: Session, email: str, address: str) -> None:
    """Count a request for a reset link, whosever the address is. TooManyError as `sign_in`."""
    throttle.take(session, throttle.RESET, email, address, now())


def address_of_new_link(user: User, secret_key: str, public_url: str, *, invited: bool) -> str:
    """Where a new link for the user leads; it is valid from now on."""
    valid = reset.INVITED_FOR if invited else reset.RESET_FOR
    return f"{public_url}{PLACE}{reset.token_of(user, secret_key, now() + valid)}"
