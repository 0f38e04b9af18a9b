"""The known sources, and those that are switched on with their addresses and keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.core.text import N_, RequestError
from app.sources.api_football import ApiFootball
from app.sources.base import Source
from app.sources.espn import Espn
from app.sources.football_data import FootballData
from app.sources.openfootball import OpenFootball
from app.sources.openligadb import OpenLigaDb
from app.sources.sandbox import Sandbox
from app.sources.sofascore import SofaScore
from app.sources.thesportsdb import TheSportsDb

_ALL: tuple[type[Source], ...] = (
    Sandbox,
    FootballData,
    ApiFootball,
    TheSportsDb,
    OpenLigaDb,
    OpenFootball,
    Espn,
    SofaScore,
)
ADAPTERS: dict[str, type[Source]] = {adapter.name: adapter for adapter in _ALL}


class Settings(Protocol):
    """What the configuration says of one source."""

    @property
    def base_url(self) -> str | None:
        """Another address than the provider's own."""

    @property
    def token(self) -> str | None:
        """The key, for those who need one."""


class Configured(Protocol):
    """The part of the configuration that is read here."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The names that are switched on."""

    @property
    def source_settings(self) -> Mapping[str, Settings]:
        """By name; a source that is missing here has the defaults."""

    @property
    def sofascore_permitted(self) -> bool:
        """Whether the operator confirms that he may use it."""


def adapter(name: str, base_url: str | None = None) -> Source:
    """The adapter of a known source, switched on or not: enough to read recorded answers.

    RequestError when nobody knows the name.
    """
    if name not in ADAPTERS:
        raise RequestError(
            N_("There is no source “%(name)s”. Known are: %(known)s."),
            name=name,
            known=", ".join(ADAPTERS),
        )
    return ADAPTERS[name](base_url)


@dataclass(frozen=True, slots=True)
class SourceTable:
    """The sources that may be asked."""

    on: tuple[str, ...]
    permitted: frozenset[str]
    _adapters: Mapping[str, Source] = field(repr=False)
    _tokens: Mapping[str, str | None] = field(repr=False)

    def known(self, name: str) -> Source:
        """The adapter of a known source, switched on or not. RequestError when nobody knows it."""
        return self._adapters.get(name) or adapter(name)

    def get(self, name: str) -> Source:
        """The adapter of a source that may be asked; else RequestError says what is missing."""
        source = self._adapters.get(name) or adapter(name)
        if name not in self.on:
            raise RequestError(
                N_("%(title)s is not switched on. Add “%(name)s” to SOURCES to use it."),
                title=source.title,
                name=name,
            )
        if source.needs_permission and name not in self.permitted:
            raise RequestError(
                N_(
                    "%(title)s is off: its owner has refused permission to others and blocks them. "
                    "Set %(setting)s=true only if you have an agreement with it."
                ),
                title=source.title,
                setting=f"{name.upper()}_PERMITTED",
            )
        if source.needs_token and not self.token(name):
            raise RequestError(
                N_("%(title)s needs a key. Put the one you have from it into %(setting)s."),
                title=source.title,
                setting=f"{name.upper()}_TOKEN",
            )
        return source

    def usable(self) -> list[str]:
        """The names that `get` would give."""
        return [name for name in self.on if self._is_usable(name)]

    def _is_usable(self, name: str) -> bool:
        try:
            self.get(name)
        except RequestError:
            return False
        return True

    def token(self, name: str) -> str | None:
        """The key of a source, None where there is none."""
        return self._tokens.get(name)


class CurrentSources:
    """The table in force. Whoever holds this sees each new table at once."""

    def __init__(self, table: SourceTable) -> None:
        self.table = table

    def known(self, name: str) -> Source:
        """As SourceTable."""
        return self.table.known(name)

    def get(self, name: str) -> Source:
        """As SourceTable."""
        return self.table.get(name)

    def token(self, name: str) -> str | None:
        """As SourceTable."""
        return self.table.token(name)


def source_table(config: Configured) -> SourceTable:
    """The table for `config`. Nothing is refused here: `get` says what is missing, when asked."""
    settings = config.source_settings
    return SourceTable(
        on=tuple(config.sources),
        permitted=frozenset(["sofascore"] if config.sofascore_permitted else []),
        _adapters={
            name: adapter(name, settings[name].base_url if name in settings else None)
            for name in config.sources
            if name in ADAPTERS
        },
        _tokens={name: setting.token or None for name, setting in settings.items()},
    )
