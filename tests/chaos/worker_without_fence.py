"""The control: a worker that writes whether or not an item is still its own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from sqlalchemy.orm import Session

import tasks
from app.jobs import ledger, moves
from app.jobs.moves import Claim
from app.jobs.worker import Worker

honest_move = moves.move


def hold_all(_session: Session, claims: Sequence[Claim]) -> set[Claim]:
    return set(claims)


def move(session: Session, where: Any, *, event: str, from_state: str, **rest: Any) -> Any:
    """Whatever state the item is in by now, it becomes what this worker says."""
    if event == "done":
        rows = honest_move(session, where, event=event, from_state="done", **rest)
        return [*rows, *honest_move(session, where, event=event, from_state=from_state, **rest)]
    return honest_move(session, where, event=event, from_state=from_state, **rest)


ledger.hold_all = hold_all
moves.move = move
Worker.check = lambda _worker, _claim: None
Worker.renew = lambda _worker: None
tasks.huey.create_consumer(workers=2, initial_delay=0.02, max_delay=0.1).run()
