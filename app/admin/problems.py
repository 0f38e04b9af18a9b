"""Error pages in words: what happened and what to do, never a trace."""

from typing import NoReturn

from flask import Flask, abort, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from app.admin.language import say
from app.admin.security import API
from app.core.text import N_, RequestError, Sentence

WORDS = {
    400: (
        N_("The request could not be understood"),
        N_("Something in the address or the form was not right. Go back and try again."),
    ),
    403: (
        N_("You may not do this"),
        N_("Your role does not allow it. An administrator can give you another one."),
    ),
    404: (
        N_("There is nothing here"),
        N_("The address is wrong, or what was here has been removed."),
    ),
    405: (
        N_("This address cannot be opened like this"),
        N_("It only takes what a button sends. Go back and press the button."),
    ),
    413: (
        N_("That was too much at once"),
        N_("What was sent is larger than what is accepted."),
    ),
    429: (
        N_("Too many requests"),
        N_("Wait a little, then try again."),
    ),
    500: (
        N_("Something went wrong inside Fikstür"),
        N_("It is our mistake, not yours, and it was written to the log. Nothing was changed."),
    ),
}
STALE_FORM = N_(
    "The form was opened before you signed in, or not sent from this panel. "
    "Nothing was changed. Go back, reload the page and try again."
)


def init_app(app: Flask) -> None:
    """Answer these codes with a page."""
    for code in WORDS:
        app.register_error_handler(code, show)


def refuse(code: int, sentence: Sentence) -> NoReturn:
    """Answer with this code and say exactly why."""
    g.problem = say(sentence)
    abort(code)


def show(error: Exception) -> ResponseReturnValue:
    """The page of an error; programs get JSON."""
    code = (error.code or 500) if isinstance(error, HTTPException) else 500
    title, text = (gettext(words) for words in WORDS[code])
    if isinstance(error, CSRFError):
        text = gettext(STALE_FORM)
    text = g.get("problem", text)
    if request.path.startswith(API):
        return jsonify(error=text), code
    frame = "panel/base.html" if code < 500 and _is_signed_in() else "panel/plain.html"
    page = render_template("panel/problem.html", frame=frame, code=code, title=title, text=text)
    return page, code


def _is_signed_in() -> bool:
    """Whether there is somebody to show the menu to; when the database is away, nobody."""
    try:
        return bool(current_user.is_authenticated)
    except SQLAlchemyError:
        return False


def whole_number(text: str) -> int:
    """The number written in a field of a form. RequestError when it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestError(N_("“%(value)s” is not a whole number."), value=text[:40])
    return int(text)
