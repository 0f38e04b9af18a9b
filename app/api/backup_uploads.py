"""/api/backups/uploads: an archive in pieces; what broke off goes on where it ended."""

from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

from app.accounts.permissions import Permission
from app.api.backups import bench, submitted
from app.api.base import blueprint, body, found, language, me, needs, number_arg, text_of, whole_of
from app.backups import uploads
from app.backups.depot import Depot
from app.core.text import N_, RequestError

pieces = blueprint("backup_uploads")
LARGEST = 2**50


@pieces.errorhandler(uploads.OutOfStepError)
def out_of_step(error: uploads.OutOfStepError) -> ResponseReturnValue:
    """Where to go on."""
    return jsonify(error=error.sentence.to(language()), offset=error.offset), 409


@pieces.post("/backups/uploads")
@needs(Permission.RESTORE)
def begin() -> ResponseReturnValue:
    """{"name", "size"}: where to go on, and how much a piece may have."""
    sent, config = body(), current_app.config["FIKSTUR"]
    name = (text_of(sent, "name") or "")[:200]
    size = whole_of(sent, "size", LARGEST)
    upload, offset = uploads.begin(bench().depot, me().id, name, size, config.backup.upload_mb)
    return jsonify(id=upload.id, offset=offset, piece=uploads.PIECE), 201


def mine(depot: Depot, upload_id: str) -> tuple[uploads.Upload, int]:
    """One of whoever asks, and how far it has come; anybody else's is not found."""
    with found():
        return uploads.found(depot, upload_id, me().id)


@pieces.get("/backups/uploads/<upload_id>")
@needs(Permission.RESTORE)
def show(upload_id: str) -> ResponseReturnValue:
    """How far it has come."""
    upload, offset = mine(bench().depot, upload_id)
    return jsonify(id=upload.id, size=upload.size, offset=offset)


@pieces.put("/backups/uploads/<upload_id>")
@needs(Permission.RESTORE)
def append(upload_id: str) -> ResponseReturnValue:
    """The bytes of a piece: ?offset= &crc32= (of the piece, in decimal digits)."""
    depot = bench().depot
    upload, _offset = mine(depot, upload_id)
    offset, checksum = _number("offset"), _number("crc32")
    end = uploads.append(depot, upload, offset, request.get_data(), checksum)
    return jsonify(id=upload.id, size=upload.size, offset=end)


@pieces.post("/backups/uploads/<upload_id>/finish")
@needs(Permission.RESTORE)
def finish(upload_id: str) -> ResponseReturnValue:
    """The job that checks all of it and lists it."""
    depot = bench().depot
    upload, _offset = mine(depot, upload_id)
    return submitted(uploads.whole_request(depot, upload))


def _number(name: str) -> int:
    if request.args.get(name) == "0":
        return 0
    number = number_arg(name, most=LARGEST)
    if number is None:
        raise RequestError(N_("“%(name)s” is missing."), name=name)
    return number
