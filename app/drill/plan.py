"""What a drill is asked to do, checked, and the moments at which it kills. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from app.core.text import N_, RequestError

FEWEST_ITEMS, MOST_ITEMS, MOST_KILLS = 20, 20_000, 100
PROPOSED_ITEMS, PROPOSED_KILLS = 500, 3  # of a drill that a worker runs
# An item that loses its third worker is quarantined, as it should be: a drill that kills more often
# than this would show nothing else.
ITEMS_PER_KILL = 20
FIRST, LAST = 0.05, 0.7  # of the items; what the victims held must still be done again
WORKER = ("flask", "--app", "wsgi", "worker", "--threads", "2")


@dataclass(frozen=True, slots=True)
class Plan:
    """A drill; make it with `checked`."""

    items: int = 2000
    kills: int = 10
    wipe: bool = False  # the queue, after each kill
    patience_s: float = 60.0  # without any progress, longer where it is slow: then it gives up
    worker: tuple[str, ...] = WORKER  # a module and its arguments

    @classmethod
    def checked(
        cls, items: int, kills: int, *, wipe: bool = False, most_items: int = MOST_ITEMS
    ) -> Self:
        """RequestError says what a drill cannot do."""
        if not FEWEST_ITEMS <= items <= most_items:
            raise RequestError(
                N_("A drill cannot work on %(items)s items. Ask for %(least)s to %(most)s."),
                items=items,
                least=FEWEST_ITEMS,
                most=most_items,
            )
        most = most_kills(items)
        if not 1 <= kills <= most:
            raise RequestError(
                N_(
                    "A drill of %(items)s items cannot kill %(kills)s times. Ask for 1 to %(most)s."
                ),
                items=items,
                kills=kills,
                most=most,
            )
        return cls(items, kills, wipe)


def most_kills(items: int) -> int:
    """How often a drill on so many items may kill."""
    return min(items // ITEMS_PER_KILL, MOST_KILLS)


def moments(plan: Plan, draw: Callable[[], float]) -> list[int]:
    """After how many items that are done to kill: one moment in each of as many equal stretches.

    `draw` gives a number from 0 up to 1.
    """
    stretch = (LAST - FIRST) / plan.kills
    return [int(plan.items * (FIRST + stretch * (n + draw()))) for n in range(plan.kills)]
