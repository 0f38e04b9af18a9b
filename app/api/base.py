"""What all of the API shares: who may ask, how a refusal looks, and reading what was sent."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec

from flask import Blueprint, Flask, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import InterfaceError, OperationalError
from werkzeug.exceptions import HTTPException, NotFound

from app.accounts.models import User
from app.accounts.permissions import Permission, may
from app.core.text import N_, RequestError, Sentence

P = ParamSpec("P")
MOST_ID = 2**63 - 1  # what a row number can be on both engines
MOST_ROWS = 1000

_WORDS = {
    400: N_("The request cannot be understood."),
    401: N_("Sign in first."),
    403: N_("Your role does not allow this."),
    404: N_("There is nothing at this address."),
    405: N_("This address does not take that method."),
    413: N_("That was too much at once."),
    415: N_("Send JSON, as application/json."),
    500: N_("Something went wrong inside Fikstür; the log has it."),
    503: N_("The database cannot be used at the moment."),
}


def blueprint(name: str) -> Blueprint:
    """A part of the API: behind the sign-in, answering in JSON whatever happens."""
    made = Blueprint(f"api_{name}", __name__)
    made.before_request(_guard)
    for code in _WORDS:  # each by name: the panel's own for a code would come first
        made.register_error_handler(code, _refused)
    made.register_error_handler(CSRFError, _no_token)
    made.register_error_handler(RequestError, _not_as_asked)
    for gone in (OperationalError, InterfaceError):
        made.register_error_handler(gone, _no_database)
    return made


def init_app(app: Flask) -> None:
    """Keep keys in the order in which they were thought of."""
    app.json.sort_keys = False  # type: ignore[attr-defined]


def _guard() -> None:
    """Somebody, and not another site in his browser: the panel leaves /api to this guard."""
    if not current_user.is_authenticated:
        abort(401)
    current_app.extensions["csrf"].protect()


def needs(
    permission: Permission,
) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """The view is for those whose role allows it; 403 for the others."""

    def guarded(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @functools.wraps(view)
        def if_allowed(*args: P.args, **options: P.kwargs) -> ResponseReturnValue:
            if not may(me(), permission):
                abort(403)
            return view(*args, **options)

        return if_allowed

    return guarded


def me() -> User:
    """Who asks. Only behind the guard."""
    user: User = current_user.user
    return user


def language() -> str:
    """The user's, else the configured one."""
    own = me().language if current_user.is_authenticated else None
    return own or str(current_app.config["FIKSTUR"].language)


# --- refusals -------------------------------------------------------------------------------------


def refusal(sentence: Sentence, status: int) -> ResponseReturnValue:
    """What every answer that is none looks like."""
    return jsonify(error=sentence.to(language())), status


@contextmanager
def found() -> Iterator[None]:
    """In here a RequestError means that what the address names is not there."""
    try:
        yield
    except RequestError as error:
        raise _NotFoundError(error.sentence) from error


class _NotFoundError(NotFound):
    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


def _refused(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    return refusal(getattr(error, "sentence", None) or Sentence(_WORDS[code]), code)


def _no_token(_error: CSRFError) -> ResponseReturnValue:
    told = N_("The CSRF token is missing or wrong: send that of the session as X-CSRFToken.")
    return refusal(Sentence(told), 400)


def _not_as_asked(error: RequestError) -> ResponseReturnValue:
    return refusal(error.sentence, 400)


def _no_database(_error: Exception) -> ResponseReturnValue:
    told = Sentence(_WORDS[503])  # in the configured language: the database knows the user's
    return jsonify(error=told.to(current_app.config["FIKSTUR"].language)), 503


rest = blueprint("rest")


@rest.route("/<path:_rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def unknown(_rest: str) -> ResponseReturnValue:
    """An address that nobody else answers."""
    abort(404)


# --- what was sent --------------------------------------------------------------------------------


def body() -> Mapping[str, Any]:
    """The JSON object of the request; none is an empty one. RequestError when it is no object."""
    sent = request.get_json(silent=True) if request.data else {}
    if not isinstance(sent, dict):
        raise RequestError(N_("The body must be a JSON object."))
    return sent


def text_of(sent: Mapping[str, Any], name: str) -> str | None:
    """A text that may be missing."""
    value = sent.get(name)
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise RequestError(N_("“%(name)s” must be text."), name=name)
    return value


def texts_of(sent: Mapping[str, Any], name: str, *, each_once: bool = True) -> list[str]:
    """A list of texts that may be missing, as it was sent or each of them once."""
    values = sent.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RequestError(N_("“%(name)s” must be a list of texts."), name=name)
    return list(dict.fromkeys(values)) if each_once else values


def whole_of(sent: Mapping[str, Any], name: str, most: int) -> int:
    """A whole number from 0 to `most`; 0 when it is missing."""
    value = sent.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise RequestError(
            N_("“%(name)s” must be a whole number from 0 to %(most)s."), name=name, most=most
        )
    return value


def numbers_of(sent: Mapping[str, Any], name: str) -> list[int]:
    """A list of row numbers that may be missing, each once."""
    values = sent.get(name) or []
    if not isinstance(values, list) or not all(_is_id(value) for value in values):
        raise RequestError(N_("“%(name)s” must be a list of numbers."), name=name)
    return list(dict.fromkeys(values))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_ID


def number_arg(name: str, default: int | None = None, most: int = MOST_ID) -> int | None:
    """A whole number of the query string. RequestError when it is none or out of range."""
    value = request.args.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and 0 < int(value[:20]) <= most):
        raise RequestError(
            N_("“%(name)s” must be a whole number from 1 to %(most)s."), name=name, most=most
        )
    return int(value)


def limit_arg(default: int) -> int:
    """How many rows to answer with."""
    return number_arg("limit", default, MOST_ROWS) or default


def choice_arg(name: str, choices: list[str]) -> str | None:
    """One of these, or nothing. RequestError names them."""
    value = request.args.get(name)
    if value is not None and value not in choices:
        raise RequestError(
            N_("“%(value)s” will not do for “%(name)s”. Known are: %(known)s."),
            name=name,
            value=value,
            known=", ".join(choices),
        )
    return value
