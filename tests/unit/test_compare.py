from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.fixtures.compare import FIELDS, changes, content_hash, distinct
from app.sources.base import Match, MatchStatus

KICKOFF = datetime(2025, 5, 5, 18, tzinfo=UTC)


def a_match(source_id: str = "1", **values: Any) -> Match:
    plain = {
        "kickoff": KICKOFF,
        "status": MatchStatus.SCHEDULED,
        "raw_status": "notstarted/0",
        "home": "Qəbələ FK",
        "away": "Iğdır",
    }
    return Match(source_id=source_id, **{**plain, **values})


def stored(match: Match) -> dict[str, Any]:
    return {name: getattr(match, name) for name in FIELDS}


@given(st.builds(Match, source_id=st.text(min_size=1), kickoff=st.none()))
def test_a_match_does_not_differ_from_itself(match: Match) -> None:
    assert changes(match, stored(match)) == []


def test_each_field_that_differs_is_one_change_with_both_values_as_text() -> None:
    later = a_match(home_score=0, kickoff=KICKOFF.replace(hour=19), status=MatchStatus.LIVE)
    told = {c.field: (c.old, c.new) for c in changes(later, stored(a_match()))}
    assert told == {
        "home_score": (None, "0"),
        "kickoff": ("2025-05-05T18:00:00Z", "2025-05-05T19:00:00Z"),
        "status": ("SCHEDULED", "LIVE"),
    }


def test_every_field_counts_in_the_hash_and_so_does_the_order() -> None:
    one, other = a_match("1"), a_match("2")
    base = content_hash([one, other], 0)
    assert content_hash([one, other], 0) == base
    assert content_hash([other, one], 0) != base
    assert content_hash([one, other], 1) != base
    assert content_hash([msgspec.structs.replace(one, round="2"), other], 0) != base


def test_of_an_id_that_stands_twice_the_last_row_holds_at_the_first_place() -> None:
    rows = [a_match("1", home="old"), a_match("2"), a_match("1", home="new")]
    assert [(m.source_id, m.home) for m in distinct(rows)] == [("1", "new"), ("2", "Qəbələ FK")]
