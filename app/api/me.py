"""/api/me: one's own account, as the page My profile."""

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from flask_login import logout_user

from app.accounts import entry, people, users
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.present import user_as_dict
from app.accounts.throttle import TooManyError
from app.api.base import blueprint, body, language, me, needs, text_of
from app.core.db import persist
from app.core.text import LANGUAGES, N_, RequestError

myself = blueprint("me")


@myself.errorhandler(TooManyError)
def too_many(error: TooManyError) -> ResponseReturnValue:
    """Guessing one's own password is slowed down too."""
    told = error.sentence.to(language())
    return jsonify(error=told), 429, {"Retry-After": str(error.seconds)}


@myself.get("/me")
@needs(Permission.SEE)
def show() -> ResponseReturnValue:
    """Who asks."""
    return jsonify(_told(me()))


@myself.patch("/me")
@needs(Permission.SEE)
def change() -> ResponseReturnValue:
    """Any of {"first_name", "last_name", "email", "language"}; another e-mail with "current"."""
    sent, user = body(), me()
    unknown = sorted(set(sent) - {*entry.OWN, "language", "current"})
    if unknown:
        raise RequestError(N_("A user has no “%(name)s” to change."), name=unknown[0])
    tongue = text_of(sent, "language")
    if tongue is not None and tongue not in LANGUAGES:
        raise RequestError(_NO_LANGUAGE, value=tongue, known=", ".join(LANGUAGES))
    wanted = {name: text_of(sent, name) or "" for name in entry.OWN if name in sent}
    user = entry.change_own(user, wanted, text_of(sent, "current") or "", _address())
    if tongue is not None:
        user = persist(lambda s: entry.set_language(s, user.id, tongue))
    return jsonify(_told(user))


_NO_LANGUAGE = N_("“%(value)s” is not a language of Fikstür. Known are: %(known)s.")


@myself.post("/me/password")
@needs(Permission.SEE)
def password() -> ResponseReturnValue:
    """{"current", "new"}: every session ends, this one too."""
    sent, user = body(), me()
    entry.confirm(user, text_of(sent, "current") or "", _address())
    new_hash = users.hashed(text_of(sent, "new") or "")
    changed = persist(lambda s: people.set_hash(s, user.id, new_hash))
    logout_user()
    return jsonify(_told(changed))


@myself.post("/me/sign-out")
@needs(Permission.SEE)
def sign_out() -> ResponseReturnValue:
    """End all one's sessions, this one too."""
    user = me()
    ended = persist(lambda s: people.sign_out_everywhere(s, user.id))
    logout_user()
    return jsonify(_told(ended))


def _told(user: User) -> dict[str, object]:
    return user_as_dict(user) | {"language": user.language}


def _address() -> str:
    return request.remote_addr or ""
