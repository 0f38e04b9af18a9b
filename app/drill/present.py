"""A receipt in rows for people: the same for the commands and the panel. Labels are messages."""

from app.core.text import N_, Sentence
from app.drill.receipt import Facts, Spread, in_seconds, running_again, taken_back

KILL_LABELS = (
    N_("Kill"),
    N_("Second"),
    N_("Done by then"),
    N_("In hand"),
    N_("Taken back after s"),
    N_("Running again after s"),
)


def note(facts: Facts) -> Sentence | None:
    """What the reader must know of where it was run."""
    if facts.not_on is None:
        return None
    said = N_("The role may not create databases on %(engine)s: the drill used SQLite instead.")
    return Sentence(said, {"engine": facts.not_on})


def rows(facts: Facts) -> list[tuple[str, str]]:
    """What was counted."""
    return [
        (N_("Submitted"), str(facts.submitted)),
        (N_("Done"), str(facts.done)),
        (N_("Effects in the database"), str(facts.effects)),
        (N_("Doubled"), str(facts.doubled)),
        (N_("Executions by the sandbox's log"), str(facts.executions)),
        (N_("Repeated, of these"), str(facts.repeated)),
        (N_("Claimed again / explained"), f"{facts.claimed_again} / {facts.explained}"),
        (N_("Taken back: p50 / p99 s"), _spread(taken_back(facts))),
        (N_("Running again: p50 / p99 s"), _spread(running_again(facts))),
        (N_("Looks at the books / wrong ones"), f"{facts.looks} / {facts.unbalanced}"),
        (N_("Queue wiped"), str(facts.wipes)),
        (N_("Database / queue"), f"{facts.database} / {facts.queue}"),
        (N_("Lease, s"), f"{facts.lease_s:g}"),
        (N_("Took, s"), in_seconds(facts.took_s)),
    ]


def kill_rows(facts: Facts) -> list[tuple[str, ...]]:
    """What became of each victim's items, under KILL_LABELS."""
    return [
        (
            str(number),
            in_seconds(kill.at_s),
            str(kill.done),
            str(kill.in_hand),
            in_seconds(kill.back_s),
            in_seconds(kill.again_s),
        )
        for number, kill in enumerate(facts.kills, 1)
    ]


def _spread(spread: Spread) -> str:
    return f"{in_seconds(spread.p50)} / {in_seconds(spread.p99)}"
