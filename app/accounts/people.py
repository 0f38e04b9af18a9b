"""Changing and removing users. Every way in ends here, so no way in can lock everybody out."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import users
from app.accounts.models import Role, User
from app.audit.trail import note
from app.core.text import N_, RequestError


def by_id(session: Session, user_id: str) -> User:
    """The user with that id. RequestError when there is none."""
    user = session.get(User, user_id)
    if user is None:
        raise RequestError(N_("There is no user with the id %(id)s."), id=user_id)
    return user


def change(session: Session, user_id: str, wanted: Mapping[str, Any]) -> User:
    """Set some of users.CHANGEABLE. RequestError when a value will not do.

    Who is deactivated is signed out everywhere, and stays so when he is let in again.
    """
    users.hold(session)
    user = by_id(session, user_id)
    before = users.facts(user)
    for name, value in _checked(session, user, wanted).items():
        setattr(user, name, value)
    if _is_in_charge(before) and not _is_in_charge(users.facts(user)):
        _refuse_to_lose_the_last(session, user)
    if before["is_active"] and not user.is_active:
        user.session_key = str(uuid.uuid4())
    note(session, "user.change", ("user", user.username), before=before, after=users.facts(user))
    return user


def delete(session: Session, user_id: str, typed: str) -> User:
    """Remove a user for good; `typed` must be his name. RequestError when it is not."""
    users.hold(session)
    user = by_id(session, user_id)
    if typed != user.username:
        raise RequestError(
            N_("Nothing was deleted: to delete %(name)s, type exactly that name."),
            name=user.username,
        )
    if _is_in_charge(users.facts(user)):
        _refuse_to_lose_the_last(session, user)
    note(session, "user.delete", ("user", user.username), before=users.facts(user))
    session.delete(user)
    return user


def sign_out_everywhere(session: Session, user_id: str) -> User:
    """End every session of a user."""
    user = by_id(session, user_id)
    user.session_key = str(uuid.uuid4())
    note(session, "user.sign_out", ("user", user.username))
    return user


def set_hash(session: Session, user_id: str, password_hash: str, *, given: bool = False) -> User:
    """Give a user a new password, whose hash was made before; ends his sessions."""
    user = by_id(session, user_id)
    users.put_hash(user, password_hash, given=given)
    note(session, "user.password", ("user", user.username))
    return user


def _checked(session: Session, user: User, wanted: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(wanted) - set(users.CHANGEABLE))
    if unknown:
        raise RequestError(N_("A user has no “%(name)s” to change."), name=unknown[0])
    values = dict(wanted)
    if "username" in values:
        users.check_name(session, values["username"], of=user)
        values["username_key"] = users.key_of(values["username"])
    if "email" in values:
        values["email"] = users.checked_address(session, values["email"], of=user)
    if "role" in values:
        values["role"] = role_of(values["role"])
    for name in {"first_name", "last_name"} & set(values):
        values[name] = users.checked_text(values[name])
    return values


def role_of(name: str) -> Role:
    """The role of that name. RequestError names those there are."""
    try:
        return Role(name)
    except ValueError:
        raise RequestError(
            N_("There is no role “%(name)s”. Known are: %(known)s."),
            name=name,
            known=", ".join(Role),
        ) from None


def _is_in_charge(facts: Mapping[str, object]) -> bool:
    return facts["role"] == Role.ADMINISTRATOR and bool(facts["is_active"])


def _refuse_to_lose_the_last(session: Session, leaving: User) -> None:
    others = select(User.id).where(
        User.role == Role.ADMINISTRATOR, User.is_active, User.id != leaving.id
    )
    if session.scalar(others.limit(1)) is None:
        raise RequestError(
            N_(
                "%(name)s is the last active administrator. Make somebody else one first; "
                "otherwise nobody could manage users any more."
            ),
            name=leaving.username,
        )
