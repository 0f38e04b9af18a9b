from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pytest

from app.core.text import RequestError
from app.sources.base import Source
from app.sources.registry import ADAPTERS, adapter, source_table
from config import KNOWN_SOURCES


@dataclass(frozen=True)
class Settings:
    base_url: str | None = None
    token: str | None = None


@dataclass(frozen=True)
class Configuration:
    sources: tuple[str, ...] = ("sandbox",)
    source_settings: Mapping[str, Settings] = field(default_factory=dict)
    sofascore_permitted: bool = False


def test_each_known_source_answers_to_its_name() -> None:
    assert set(ADAPTERS) == set(KNOWN_SOURCES)
    for name in ADAPTERS:
        source: Source = adapter(name)
        assert source.name == name
        assert source.title
        assert source.licence_note
        assert source.day_request(date(2026, 1, 2)).url.startswith(source.default_base_url)
        for kind in source.detail_kinds:
            asked = source.detail_request(kind, ["1"])
            assert asked.url.startswith(source.default_base_url)
            assert 1 <= source.detail_batch(kind) <= 20


def test_another_address_is_used_without_its_last_slash() -> None:
    settings = {"sandbox": Settings(base_url="http://127.0.0.1:1/")}
    table = source_table(Configuration(source_settings=settings))
    assert (
        table.get("sandbox").detail_request("event", ["1"]).url
        == "http://127.0.0.1:1/api/v1/event/1"
    )


def test_what_is_on_can_be_asked() -> None:
    table = source_table(Configuration())
    assert table.on == ("sandbox",)
    assert table.get("sandbox").name == "sandbox"
    assert table.token("sandbox") is None


@pytest.mark.parametrize(
    ("configuration", "name", "words"),
    [
        (Configuration(), "fotmob", ["fotmob", ", ".join(ADAPTERS)]),
        (Configuration(("fotmob",)), "fotmob", ["fotmob", "sandbox"]),
        (Configuration(), "football_data", ["football-data.org", "SOURCES", "football_data"]),
        (Configuration(("sofascore",)), "sofascore", ["SOFASCORE_PERMITTED", "permission"]),
        (Configuration(("football_data",)), "football_data", ["FOOTBALL_DATA_TOKEN"]),
        (
            Configuration(("football_data",), {"football_data": Settings(token="")}),
            "football_data",
            ["FOOTBALL_DATA_TOKEN"],
        ),
    ],
)
def test_what_cannot_be_asked_says_what_is_missing(
    configuration: Configuration, name: str, words: list[str]
) -> None:
    with pytest.raises(RequestError) as raised:
        source_table(configuration).get(name)
    for word in words:
        assert word in str(raised.value)


def test_with_permission_and_key_all_are_there() -> None:
    settings = {name: Settings(token="s3cret") for name in ADAPTERS}
    table = source_table(Configuration(tuple(ADAPTERS), settings, sofascore_permitted=True))
    assert [table.get(name).name for name in table.on] == list(ADAPTERS)
    assert table.token("football_data") == "s3cret"
    assert "s3cret" not in repr(table)
