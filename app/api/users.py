"""/api/users: as `flask users`."""

from collections.abc import Mapping
from typing import Any

from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

import tasks
from app.accounts import people, users
from app.accounts.models import Role, User
from app.accounts.permissions import Permission, allows
from app.accounts.present import user_as_dict
from app.api.base import blueprint, body, found, language, me, needs, text_of
from app.core.db import persist, reading
from app.core.text import N_, RequestError
from app.jobs.models import Trigger
from app.mail.ask import letter_to, person_request

everybody = blueprint("users")
_USER = "/users/<uuid:user_id>"
_NEW = ("username", "email", "first_name", "last_name", "role")


@everybody.get("/users")
@needs(Permission.MANAGE_USERS)
def index() -> ResponseReturnValue:
    """Everybody, by name."""
    with reading() as session:
        rows = users.everybody(session)
    return jsonify(users=[user_as_dict(user) for user in rows])


@everybody.post("/users")
@needs(Permission.MANAGE_USERS)
def create() -> ResponseReturnValue:
    """{"username", "role", "email", "first_name", "last_name", "password"}.

    Without a password the user is invited by mail.
    """
    sent = body()
    values = {name: text_of(sent, name) for name in (*_NEW, "password")}
    role, password, tongue = people.role_of(values["role"] or ""), values["password"], language()

    def make(session: Session) -> User:
        return users.create(
            session,
            values["username"] or "",
            password,
            role=role,
            email=values["email"],
            names=(values["first_name"] or "", values["last_name"] or ""),
        )

    if password:
        return jsonify(user_as_dict(persist(make))), 201
    tasks.submit_made(
        lambda session: letter_to(session, make(session), tongue),
        by=me().username,
        trigger=Trigger.API,
    )
    with reading() as session:
        return jsonify(user_as_dict(users.get(session, values["username"] or ""))), 201


@everybody.get(_USER)
@needs(Permission.MANAGE_USERS)
def show(user_id: object) -> ResponseReturnValue:
    """One of them."""
    return jsonify(user_as_dict(_there(user_id)))


@everybody.patch(_USER)
@needs(Permission.MANAGE_USERS)
def change(user_id: object) -> ResponseReturnValue:
    """Any of {"username", "email", "first_name", "last_name", "role", "is_active"}."""
    user, wanted = _there(user_id), _wanted(body())
    return jsonify(user_as_dict(persist(lambda s: people.change(s, user.id, wanted))))


def _wanted(sent: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = dict(sent)
    for name in set(sent) & set(_NEW):
        values[name] = text_of(sent, name) if name == "email" else text_of(sent, name) or ""
    if not isinstance(values.get("is_active", True), bool):
        raise RequestError(N_("“%(name)s” must be true or false."), name="is_active")
    return values


@everybody.delete(_USER)
@needs(Permission.MANAGE_USERS)
def delete(user_id: object) -> ResponseReturnValue:
    """{"username"}: for good, only with the right name."""
    user, typed = _there(user_id), text_of(body(), "username") or ""
    persist(lambda s: people.delete(s, user.id, typed))
    return jsonify(deleted=user.username)


@everybody.post(f"{_USER}/sign-out")
@needs(Permission.MANAGE_USERS)
def sign_out(user_id: object) -> ResponseReturnValue:
    """End all his sessions."""
    user = _there(user_id)
    return jsonify(user_as_dict(persist(lambda s: people.sign_out_everywhere(s, user.id))))


@everybody.post(f"{_USER}/link")
@needs(Permission.MANAGE_USERS)
def link(user_id: object) -> ResponseReturnValue:
    """Send him a link to choose a password with."""
    user, tongue = _there(user_id), language()
    submitted = tasks.submit_made(
        lambda session: person_request(session, user.id, tongue),
        by=me().username,
        trigger=Trigger.API,
    )
    return jsonify(job=submitted.job_id), 202


@everybody.get("/roles")
@needs(Permission.SEE)
def roles() -> ResponseReturnValue:
    """What each role may do."""
    return jsonify(roles={role: [p for p in Permission if allows(role, p)] for role in Role})


def _there(user_id: object) -> User:
    with reading() as session, found():
        return people.by_id(session, str(user_id))
