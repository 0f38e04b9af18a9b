"""What the board of a backup says: the step, how much of it, how fast, and how long it takes."""

from pathlib import Path

import pytest

from app.backups import progress
from app.backups.progress import Board, Progress, in_hand
from app.jobs.moves import Claim

CLAIM = Claim(7, 3, "create_backup", None, "key", 1, 0, 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, and ten seconds more each time anybody looks."""
    at = [1000.0]

    def look() -> float:
        at[0] += 10
        return at[0]

    monkeypatch.setattr(progress.time, "time", look)
    monkeypatch.setattr(progress, "FORGOTTEN_S", 1000)
    return at


def after(folder: Path, *told: tuple[str, int, int]) -> Progress:
    """What another process sees after these words."""
    with Board(folder, CLAIM) as board:
        for one in told:
            board.tell(*one)
        (seen,) = in_hand(folder)
    assert in_hand(folder) == []
    return seen


@pytest.mark.usefixtures("clock")
def test_tables_are_counted_and_their_bytes_make_the_rate(tmp_path: Path) -> None:
    seen = after(
        tmp_path,
        ("snapshot", 0, 0),
        ("table job", 0, 4),  # ten seconds each
        ("table job", 500, 0),
        ("table job", 100, 0),  # the next part of it
        ("table match", 1, 4),
        ("table match", 400, 0),
    )
    assert (seen.job_id, seen.step, seen.percent) == (3, "table match", 25)
    assert seen.rate == 1000 / 40
    assert seen.left_s == 40 * 3 / 1


@pytest.mark.usefixtures("clock")
def test_bytes_of_all_bytes_are_both(tmp_path: Path) -> None:
    seen = after(tmp_path, ("table match", 900, 0), ("hashes", 100, 1000), ("hashes", 300, 1000))
    assert (seen.step, seen.percent, seen.rate, seen.left_s) == ("hashes", 30, 30, 10 * 7 / 3)


@pytest.mark.usefixtures("clock")
def test_where_nothing_is_counted_nothing_is_made_up(tmp_path: Path) -> None:
    seen = after(tmp_path, ("hashes", 300, 1000), ("migrate", 0, 0))
    assert (seen.percent, seen.rate, seen.left_s) == (None, None, None)


def test_what_was_not_heard_of_for_long_is_not_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Board(tmp_path, CLAIM) as board:
        board.tell("hashes", 1, 2)
        assert len(in_hand(tmp_path)) == 1
        monkeypatch.setattr(progress, "FORGOTTEN_S", -1)
        assert in_hand(tmp_path) == []
