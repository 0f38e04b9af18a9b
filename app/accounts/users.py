"""Creating and finding users, and their passwords, with the rules that every way in keeps."""

import functools
import re
import secrets
import uuid
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import NO_PASSWORD, Role, User
from app.audit.trail import note
from app.core.db import one_at_a_time
from app.core.text import N_, RequestError

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000  # hashing what somebody sends must end some time
LONGEST_ADDRESS = 254
LONGEST_NAME = 150
# Nothing in front that a spreadsheet or a mail header could take for something else.
_PART = r"[^@\s\"'<>,;:()\[\]\\\x00-\x1f]"
_ADDRESS = re.compile(rf"{_PART}{{1,64}}@{_PART}+\.{_PART}{{2,}}")
_hasher = PasswordHasher()


def create(
    session: Session,
    username: str,
    password: str | None,
    *,
    role: Role,
    email: str | None = None,
    names: tuple[str, str] = ("", ""),
) -> User:
    """Add a user; without a password he chooses it himself by a link.

    RequestError when a value will not do.
    """
    hold(session)
    check_name(session, username)
    user = User(
        id=str(uuid.uuid4()),
        username=username,
        username_key=key_of(username),
        email=checked_address(session, email),
        first_name=checked_text(names[0]),
        last_name=checked_text(names[1]),
        role=role,
        is_active=True,
        password_hash=NO_PASSWORD if password is None else hashed(password),
        password_is_given=password is not None,
        session_key=str(uuid.uuid4()),
    )
    session.add(user)
    session.flush()
    action = "user.invite" if password is None else "user.create"
    note(session, action, ("user", username), after=facts(user))
    return user


def hold(session: Session) -> None:
    """Let nobody else change users until this transaction ends.

    So that names stay unique, and two who each remove the other do not both succeed.
    """
    one_at_a_time(session, "users")


def facts(user: User) -> dict[str, object]:
    """What may be told and changed of a user."""
    return {name: getattr(user, name) for name in CHANGEABLE}


CHANGEABLE = ("username", "email", "first_name", "last_name", "role", "is_active")


def check_name(session: Session, username: str, of: User | None = None) -> None:
    """RequestError when it is no name, or that of somebody other than `of`."""
    if not re.fullmatch(r"[\w.@+-]{1,150}", username):
        raise RequestError(
            N_("“%(name)s” cannot be a user name. Use letters, digits and . @ + - _ only."),
            name=username,
        )
    if find(session, username) not in {None, of}:
        raise RequestError(N_("There is already a user named %(name)s."), name=username)


def checked_address(session: Session, email: str | None, of: User | None = None) -> str | None:
    """The address as it is kept; RequestError when it is none, or that of another than `of`."""
    if not email:
        return None
    small = address_of(email)
    other = session.scalar(select(User).where(User.email == small))
    if other not in {None, of}:
        raise RequestError(N_("There is already a user with the address %(email)s."), email=email)
    return small


def address_of(email: str) -> str:
    """The address in lower case. RequestError when it is none."""
    if len(email) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(email):
        raise RequestError(
            N_("“%(email)s” is not an e-mail address. Write it as name@example.com."),
            email=email[:LONGEST_ADDRESS],
        )
    return email.lower()


def checked_text(text: str) -> str:
    """A first or last name. RequestError when it is too long or cannot be printed."""
    text = text.strip()
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise RequestError(
            N_("“%(value)s” cannot be a name: at most %(most)s letters in one line."),
            value=text[:LONGEST_NAME],
            most=LONGEST_NAME,
        )
    return text


def check_password(password: str) -> None:
    """RequestError when the password is too short, or longer than anybody types."""
    if len(password) < SHORTEST_PASSWORD:
        raise RequestError(
            N_("The password is too short: it needs at least %(least)s characters."),
            least=SHORTEST_PASSWORD,
        )
    if len(password) > LONGEST_PASSWORD:
        raise RequestError(
            N_("The password is too long: at most %(most)s characters."), most=LONGEST_PASSWORD
        )


def hashed(password: str) -> str:
    """The hash of a password that will do, else RequestError. Takes a tenth of a second."""
    check_password(password)
    return _hasher.hash(password)


def find(session: Session, username: str) -> User | None:
    """The user of that name, whatever the case of its letters."""
    return session.scalar(select(User).where(User.username_key == key_of(username)))


def find_by_address(session: Session, email: str) -> User | None:
    """The user with that address, whatever the case of its letters."""
    return session.scalar(select(User).where(User.email == email.lower()))


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
    put_hash(user, hashed(password))


def put_hash(user: User, password_hash: str, *, given: bool = False) -> None:
    """As `set_password`, with a hash made before the transaction began."""
    user.password_hash = password_hash
    user.password_is_given = given
    user.session_key = str(uuid.uuid4())


def verify(user: User | None, password: str) -> bool:
    """Whether the password is the user's. Takes as long for nobody as for somebody."""
    there = user is not None and not user.is_invited
    try:
        _hasher.verify(
            user.password_hash if user and there else _nobodys_hash(), password[:LONGEST_PASSWORD]
        )
    except (Argon2Error, InvalidHashError):
        return False
    return user is not None and there and user.is_active


@functools.cache
def _nobodys_hash() -> str:
    """Checked when there is no such user, so that the time taken does not tell."""
    return _hasher.hash(secrets.token_urlsafe(12))


def everybody(session: Session) -> Sequence[User]:
    """All users by name."""
    return session.scalars(select(User).order_by(User.username_key)).all()


def ensure_administrator(session: Session) -> tuple[str, str] | None:
    """Make sure that an active administrator exists: the name and password of one made just now."""
    there = select(User.id).where(User.role == Role.ADMINISTRATOR, User.is_active)
    if session.scalar(there.limit(1)) is not None:
        return None
    name = "admin" if find(session, "admin") is None else f"admin-{secrets.token_hex(2)}"
    password = secrets.token_urlsafe(12)
    create(session, name, password, role=Role.ADMINISTRATOR)
    return name, password
