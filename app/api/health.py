"""/healthz: does this process answer and reach its database? Tells load balancers no secret."""

from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app.core import db


def healthz() -> ResponseReturnValue:
    """200 or 503; needs no sign-in and costs one tiny query."""
    try:
        db.reachable()
    except SQLAlchemyError:
        return jsonify(ok=False), 503
    return jsonify(ok=True)
