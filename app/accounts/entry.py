"""Coming in: the throttle before, the password without a transaction, the traces after."""

from sqlalchemy.orm import Session

from app.accounts import reset, throttle, users
from app.accounts.models import User
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


def ask_for_reset(session: Session, email: str, address: str) -> None:
    """Count a request for a reset link, whosever the address is. TooManyError as `sign_in`."""
    throttle.take(session, throttle.RESET, email, address, now())


def address_of_new_link(user: User, secret_key: str, public_url: str, *, invited: bool) -> str:
    """Where a new link for the user leads; it is valid from now on."""
    valid = reset.INVITED_FOR if invited else reset.RESET_FOR
    return f"{public_url}{PLACE}{reset.token_of(user, secret_key, now() + valid)}"
