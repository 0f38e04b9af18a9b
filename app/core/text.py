"""Sentences for people: kept as a message and its values, put into words at the edge."""

import functools
import gettext
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import msgspec

TRANSLATIONS = Path(__file__).parent.parent / "translations"
LANGUAGES = ("tr", "en")


def N_(message: str) -> str:  # noqa: N802  the name gettext tools look for
    """Mark `message` for the catalogue without translating it here."""
    return message


def NN_(one: str, many: str) -> str:  # noqa: N802
    """Mark a message that has a plural; its key in the catalogue is `one`."""
    return one


class Sentence(msgspec.Struct, frozen=True):
    """An English message with `%(name)s` places and the values that fill them.

    It is stored, not its translation: one row reads Turkish to one user, English to another.
    """

    message: str
    values: Mapping[str, object] = msgspec.field(default_factory=dict)

    def __str__(self) -> str:
        return self.to("en")

    def to(self, language: str) -> str:
        """The sentence in `language`; sentences in it are translated too, times are local ones."""
        values = {name: _as_told(name, value, language) for name, value in self.values.items()}
        text = catalogue(language).gettext(self.message)
        return text % values if values else text

    def dump(self) -> str:
        """One line of JSON, for a text column."""
        values = {name: _as_kept(value) for name, value in self.values.items()}
        return _encoder.encode([self.message, values])

    @classmethod
    def load(cls, text: str) -> Self:
        """What `dump` wrote."""
        message, values = json.loads(text)
        return cls(message, {name: _as_was(value) for name, value in values.items()})


_encoder = json.JSONEncoder(ensure_ascii=False, default=str)  # making one costs more than using it


def read_times_in(zone: str) -> None:
    """Set the time zone in which this process tells people times."""
    _zone[0] = ZoneInfo(zone)


_zone = [ZoneInfo("UTC")]
_TIMES = {"tr": "%d.%m.%Y %H:%M:%S", "en": "%Y-%m-%d %H:%M:%S"}
# Places that hold an amount: 20.000 in Turkish. Other numbers may be names, as that of a job.
_AMOUNTS = {
    *("all", "bad", "count", "counted", "effects", "ended", "fresh", "in_hand", "items", "matches"),
    *("new", "num", "repeated", "requests", "submitted", "todo", "waiting"),
}


def _as_told(name: str, value: object, language: str) -> object:
    if isinstance(value, Sentence):
        return value.to(language)
    if isinstance(value, datetime):
        return value.astimezone(_zone[0]).strftime(_TIMES.get(language, _TIMES["en"]))
    if name in _AMOUNTS and type(value) is int:
        return f"{value:,}".replace(",", "." if language == "tr" else ",")
    if type(value) is float and language == "tr":
        return str(value).replace(".", ",")
    return value


def _as_kept(value: object) -> object:
    if isinstance(value, Sentence):
        return {"sentence": value.dump()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    return value


def _as_was(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    if "time" in value:
        return datetime.fromisoformat(value["time"])
    return Sentence.load(value["sentence"])


@functools.cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The messages of one language; English needs none, it is what the code says."""
    return gettext.translation("messages", TRANSLATIONS, [language], fallback=True)


class RequestError(Exception):
    """It cannot be done as asked; `sentence` names the thing, the value and what to do."""

    def __init__(self, message: str, **values: object) -> None:
        self.sentence = Sentence(message, values)
        super().__init__(str(self.sentence))
