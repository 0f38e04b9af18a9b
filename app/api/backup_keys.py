"""/api/backups/keys: as `flask backup keys`."""

from flask import jsonify
from flask.typing import ResponseReturnValue

from app.accounts.permissions import Permission
from app.accounts.throttle import TooManyError
from app.api.backups import bench, confirmed, too_many
from app.api.base import blueprint, body, needs, text_of
from app.backups import catalogue
from app.backups.keyring import Key, Ring, note_key
from app.backups.present import key_as_dict
from app.core.db import persist

keys = blueprint("backup_keys")
keys.register_error_handler(TooManyError, too_many)


@keys.get("/backups/keys")
@needs(Permission.RESTORE)
def index() -> ResponseReturnValue:
    """Every key by its public half, and how many backups it opens."""
    opens = catalogue.opened_by()
    told = [key_as_dict(key, opens.get(key.recipient, 0)) for key in _ring().known()]
    return jsonify(keys=told)


@keys.post("/backups/keys")
@needs(Permission.RESTORE)
def propose() -> ResponseReturnValue:
    """{"recipient"} of a key made elsewhere; without one a key is made: "identity", this once."""
    line = text_of(body(), "recipient")
    confirmed()
    identity, key = (None, _ring().propose(line)) if line else _ring().generate()
    persist(lambda session: note_key(session, "propose", key))
    told = key_as_dict(key, 0) | ({"identity": identity} if identity else {})
    return jsonify(told), 201, {"Cache-Control": "no-store"}


@keys.post("/backups/keys/prove")
@needs(Permission.RESTORE)
def prove() -> ResponseReturnValue:
    """{"answer"}: the key itself, or the text that age made of the challenge."""
    key = _ring().prove(text_of(body(), "answer") or "")
    persist(lambda session: note_key(session, "prove", key))
    return _told(key)


@keys.post("/backups/keys/<name>/retire")
@needs(Permission.RESTORE)
def retire(name: str) -> ResponseReturnValue:
    """{"last_too": true} also for the last one in force."""
    key = _ring().retire(name, last_too=body().get("last_too") is True)
    persist(lambda session: note_key(session, "retire", key))
    return _told(key)


def _ring() -> Ring:
    return Ring(bench().depot.keys.folder)


def _told(key: Key) -> ResponseReturnValue:
    return jsonify(key_as_dict(key, catalogue.opened_by().get(key.recipient, 0)))
