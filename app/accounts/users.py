"""Creating users and changing passwords, with the rules both the panel and the commands keep."""

import functools
import re
import secrets
import uuid
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Role, User
from app.core.text import N_, RequestError

SHORTEST_PASSWORD = 10
_hasher = PasswordHasher()


def create(
    session: Session, username: str, password: str, *, role: Role, email: str | None = None
) -> User:
    """Add a user. RequestError when the name, address or password will not do."""
    _check_name(session, username)
    check_password(password)
    if email is not None and not re.fullmatch(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}", email):
        raise RequestError(
            N_("“%(email)s” is not an e-mail address. Write it as name@example.com."), email=email
        )
    if email is not None and session.scalar(select(User.id).where(User.email == email)):
        raise RequestError(N_("There is already a user with the address %(email)s."), email=email)
    user = User(
        username=username,
        username_key=key_of(username),
        email=email,
        role=role,
        password_hash=_hasher.hash(password),
    )
    session.add(user)
    session.flush()
    return user


def _check_name(session: Session, username: str) -> None:
    if not re.fullmatch(r"[\w.@+-]{1,150}", username):
        raise RequestError(
            N_("“%(name)s” cannot be a user name. Use letters, digits and . @ + - _ only."),
            name=username,
        )
    if find(session, username) is not None:
        raise RequestError(N_("There is already a user named %(name)s."), name=username)


def check_password(password: str) -> None:
    """RequestError when the password is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise RequestError(
            N_("The password is too short: it needs at least %(least)s characters."),
            least=SHORTEST_PASSWORD,
        )


def find(session: Session, username: str) -> User | None:
    """The user of that name, whatever the case of its letters."""
    return session.scalar(select(User).where(User.username_key == key_of(username)))


def key_of(username: str) -> str:
    """The name without case, and without the difference between the Turkish i's."""
    return username.replace("İ", "i").replace("ı", "i").casefold()


def get(session: Session, username: str) -> User:
    """The user of that name. RequestError when there is none."""
    user = find(session, username)
    if user is None:
        raise RequestError(N_("There is no user named %(name)s."), name=username)
    return user


def set_password(user: User, password: str) -> None:
    """Change the password and sign the user out everywhere."""
    check_password(password)
    user.password_hash = _hasher.hash(password)
    user.session_key = str(uuid.uuid4())


def verify(user: User | None, password: str) -> bool:
    """Whether the password is the user's. Takes as long for nobody as for somebody."""
    try:
        _hasher.verify(user.password_hash if user else _nobodys_hash(), password)
    except (Argon2Error, InvalidHashError):
        return False
    return user is not None and user.is_active


@functools.cache
def _nobodys_hash() -> str:
    """Checked when there is no such user, so that the time taken does not tell."""
    return _hasher.hash(secrets.token_urlsafe(12))


def everybody(session: Session) -> Sequence[User]:
    """All users by name."""
    return session.scalars(select(User).order_by(User.username)).all()


def ensure_administrator(session: Session) -> tuple[str, str] | None:
    """Make sure that an active administrator exists: the name and password of one made just now."""
    there = select(User.id).where(User.role == Role.ADMINISTRATOR, User.is_active)
    if session.scalar(there.limit(1)) is not None:
        return None
    name = "admin" if find(session, "admin") is None else f"admin-{secrets.token_hex(2)}"
    password = secrets.token_urlsafe(12)
    create(session, name, password, role=Role.ADMINISTRATOR)
    return name, password
