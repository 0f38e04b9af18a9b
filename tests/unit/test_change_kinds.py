import pytest

from app.fixtures.changes import ChangeKind, kind_of_change

K = ChangeKind


@pytest.mark.parametrize(
    ("field", "old", "new", "kind"),
    [
        ("kickoff", "2025-05-05T17:00:00Z", "2025-05-06T17:00:00Z", K.KICKOFF),
        ("kickoff", "2025-05-05T17:00:00Z", None, K.KICKOFF),
        ("kickoff", None, "2025-05-06T17:00:00Z", K.OTHER),
        ("home_score", None, "1", K.PROGRESS),
        ("home_score", "1", "2", K.SCORE),
        ("away_penalties", "4", None, K.SCORE),
        ("status", "SCHEDULED", "LIVE", K.PROGRESS),
        ("status", "LIVE", "FINISHED", K.PROGRESS),
        ("status", "FINISHED", "SCHEDULED", K.STATUS_BACK),
        ("status", "FINISHED", "LIVE", K.STATUS_BACK),
        ("status", "CANCELLED", "SCHEDULED", K.STATUS_BACK),
        ("status", "SCHEDULED", "POSTPONED", K.OTHER),
        ("status", "POSTPONED", "SCHEDULED", K.OTHER),
        ("status", "SCHEDULED", "UNKNOWN", K.OTHER),
        ("status", "a word of an older version", "LIVE", K.OTHER),
        ("home", "Beşiktaş", "Besiktas JK", K.TEAMS),
        ("away_id", None, "12", K.OTHER),
        ("away_id", "11", "12", K.TEAMS),
        ("winner", None, "home", K.PROGRESS),
        ("winner", "home", "draw", K.OTHER),
        ("raw_status", "live/6", "finished/100", K.PROGRESS),
        ("round", "7", "8", K.OTHER),
        ("a field nobody knows", "1", "2", K.OTHER),
    ],
)
def test_a_change_is_of_one_kind(field: str, old: str, new: str, kind: ChangeKind) -> None:
    assert kind_of_change(field, old, new) is kind


def test_a_goal_while_it_is_played_is_no_correction() -> None:
    assert kind_of_change("home_score", "1", "2", in_play=True) is K.PROGRESS
    assert kind_of_change("home_score", "2", "1", in_play=True) is K.SCORE
    assert kind_of_change("home_score", "1", None, in_play=True) is K.SCORE
    assert kind_of_change("home_score", "1", "?", in_play=True) is K.SCORE
