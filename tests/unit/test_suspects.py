"""How many items may be in one hand, by how many workers each has seen die."""

import pytest

from app.jobs.allowance import MOST_SUSPECTS, safe_together


@pytest.mark.parametrize(
    ("crashes", "together"),
    [
        ([], 0),
        ([0] * 500, 500),
        ([0, 0, 1, 0], 2),  # a suspect is left for a hand of its own
        ([1] * 500, MOST_SUSPECTS),
        ([1, 1, 0, 2], 3),
        ([2, 2, 0], 1),  # before it is quarantined it was tried alone
        ([3], 1),
    ],
)
def test_suspects_are_tried_in_ever_smaller_hands(crashes: list[int], together: int) -> None:
    assert safe_together(crashes) == together
