"""Turkish or English: whose choice counts, and whose catalogue."""

import flask_admin.babel
import flask_admin.translations
from flask import Flask, current_app, g, has_request_context, session
from flask_babel import Babel, get_locale

from app.core.text import TRANSLATIONS, Sentence
from config import Config


def init_app(app: Flask, config: Config) -> None:
    """Set up Flask-Babel, and let our words win over Flask-Admin's."""
    Babel(
        app,
        default_locale=config.language,
        default_timezone=config.time_zone,
        default_translation_directories=str(TRANSLATIONS),
        locale_selector=chosen,
    )
    # Flask-Admin's Turkish has errors and its translations_path is merged first; the last one wins.
    both = [flask_admin.translations.__path__[0], str(TRANSLATIONS)]
    flask_admin.babel.CustomDomain.translation_directories = property(lambda _domain: both)


def chosen() -> str:
    """The user's own language, else what was picked before signing in, else the configured one."""
    # Not `current_user`: that would ask the database, which may be what an error page is about.
    user = getattr(g.get("_login_user"), "user", None)
    picked = session.get("language") if has_request_context() else None
    return (user and user.language) or picked or current_app.config["FIKSTUR"].language


def current() -> str:
    """The language of this page."""
    return str(get_locale() or "en")


def say(sentence: Sentence | None) -> str:
    """A sentence of the house in the language of this page."""
    return "" if sentence is None else sentence.to(current())
