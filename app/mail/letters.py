"""What each letter says, in the language of its reader, as plain text and HTML."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from enum import StrEnum
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from app.core.text import N_, Sentence, catalogue

TEMPLATES = Path(__file__).parent.parent / "templates" / "mail"


class Kind(StrEnum):
    """What a letter is about."""

    INVITE = "invite"
    RESET = "reset"
    TEST = "test"
    BACKUP_ALERT = "backup_alert"
    BACKUP_OVER = "backup_over"
    BACKUP_DIGEST = "backup_digest"


ABOUT_BACKUPS = frozenset({Kind.BACKUP_ALERT, Kind.BACKUP_OVER, Kind.BACKUP_DIGEST})


@dataclass(frozen=True, slots=True)
class _Words:
    subject: str
    paragraphs: Sequence[str]
    button: str | None
    after: Sequence[str] = field(default=())


_LETTERS: Mapping[Kind, _Words] = {
    Kind.INVITE: _Words(
        N_("You are invited to Fikstür"),
        [
            N_("Hello %(name)s,"),
            N_("an administrator made an account for you. Choose your password to begin:"),
        ],
        N_("Choose my password"),
        [N_("Your user name is %(username)s. The link works once, for three days.")],
    ),
    Kind.RESET: _Words(
        N_("A new password for Fikstür"),
        [
            N_("Hello %(name)s,"),
            N_("somebody asked for a new password for your account. Choose it here:"),
        ],
        N_("Choose a new password"),
        [
            N_("Your user name is %(username)s. The link works once, for one hour."),
            N_("If it was not you, do nothing: your password stays as it is."),
        ],
    ),
    Kind.BACKUP_ALERT: _Words(
        N_("Fikstür: something is wrong with the backups"),
        [N_("Hello %(name)s,"), N_("this needs somebody who looks at it:")],
        N_("Look at the backups"),
        [N_("You get one letter about it, and one when it is over.")],
    ),
    Kind.BACKUP_OVER: _Words(
        N_("Fikstür: the backups are in order again"),
        [N_("Hello %(name)s,"), N_("this is over:")],
        N_("Look at the backups"),
    ),
    Kind.BACKUP_DIGEST: _Words(
        N_("Fikstür: the backups of the week"),
        [N_("Hello %(name)s,"), N_("how the backups are:")],
        N_("Look at the backups"),
        [N_("You can switch this letter off on the page Settings (BACKUP_MAIL).")],
    ),
    Kind.TEST: _Words(
        N_("Fikstür can send mail"),
        [
            N_("Hello %(name)s,"),
            N_("you asked for this mail on the page Settings. That it came means that mail works."),
        ],
        None,
    ),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who gets it, and where the button leads; the link opens an account: it is never stored."""

    to: str
    name: str
    username: str
    language: str
    link: str | None = field(default=None, repr=False)


def write(kind: Kind, reader: Reader, sender: str, news: Sentence | None = None) -> EmailMessage:
    """The letter, ready to be sent; each line of `news` is a paragraph."""
    words, tongue = _LETTERS[kind], catalogue(reader.language)
    values = {"name": reader.name, "username": reader.username}

    def told(text: str) -> str:
        return tongue.gettext(text) % values

    lines = news.to(reader.language).splitlines() if news else []
    parts = {
        "language": reader.language,
        "subject": told(words.subject),
        "paragraphs": [told(text) for text in words.paragraphs] + lines,
        "button": told(words.button) if words.button else None,
        "after": [told(text) for text in words.after],
        "link": reader.link,
    }
    message = EmailMessage()
    message["From"], message["To"] = sender, reader.to
    message["Subject"] = str(parts["subject"])
    message["Auto-Submitted"] = "auto-generated"  # nobody's holiday answers it
    message.set_content(_page("letter.txt").render(parts))
    message.add_alternative(_page("letter.html").render(parts), subtype="html")
    return message


def _page(name: str) -> Template:
    return _templates().get_template(name)


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
