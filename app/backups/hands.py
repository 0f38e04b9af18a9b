"""An item in hand: worked on by the settings of the moment, stopped when it should stop."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.backups.depot import Tell
from app.backups.layout import DamagedError
from app.backups.offsite import FarError
from app.backups.progress import Board
from app.backups.work import DAMAGED, REFUSED, surroundings
from app.core.db import persist
from app.core.text import N_, RequestError, Sentence
from app.jobs import ledger
from app.jobs.models import ItemOutcome
from app.jobs.moves import Claim, Report
from app.jobs.runner import Handler
from app.jobs.worker import Worker

if TYPE_CHECKING:
    from config import Config

DEADLINE_S = 3600
LONGEST_S = 3300.0  # then it gives up by itself and says so
UNREACHABLE = "OFFSITE_FAILED"
AGAIN_AFTER_S = (30, 120, 600, 1800)  # between the tries of one job; then it has failed

Work = Callable[["Config", Tell, Claim], None]


class _StoppingError(Exception):
    """This worker was told to stop."""


def handler(current: Callable[[], "Config"], work: Work, told: Tell) -> Handler:
    """What cannot be done ends the item; what the far side did not take is tried again later."""

    def handle(claim: Claim, worker: Worker) -> None:
        config = current()
        with Board(config.backup.folder, claim) as board:
            try:
                work(config, _teller(claim, worker, told, board), claim)
            except _StoppingError:
                persist(lambda session: ledger.give_back(session, [(claim.item_id, claim.fence)]))
            except FarError as error:
                _again_or_fail(claim, Report(UNREACHABLE, error.sentence))
            except RequestError as error:
                code = DAMAGED if isinstance(error, DamagedError) else REFUSED
                _fail(claim, Report(code, error.sentence))
            except (DBAPIError, OSError) as error:
                _fail(claim, Report(REFUSED, surroundings(error)))

    return Handler(handle, DEADLINE_S)


def _teller(claim: Claim, worker: Worker, told: Tell, board: Board) -> Tell:
    began = time.monotonic()

    def tell(step: str, done: int, of: int) -> None:
        if worker.stopping.is_set():
            raise _StoppingError
        worker.check(claim)
        _refuse_late(began)
        told(step, done, of)
        board.tell(step, done, of)

    return tell


def _refuse_late(began: float) -> None:
    if time.monotonic() - began > LONGEST_S:
        raise FarError(
            N_("It took longer than %(minutes)s minutes and was given up: the line is too slow."),
            minutes=round(LONGEST_S / 60),
        )


def _again_or_fail(claim: Claim, report: Report) -> None:
    if claim.kind == "check_offsite" or claim.attempts >= len(AGAIN_AFTER_S):
        _fail(claim, report)
        return
    again = AGAIN_AFTER_S[claim.attempts]
    persist(lambda s: ledger.wait_again(s, claim, again, report, burns_attempt=True))


def _fail(claim: Claim, report: Report) -> None:
    persist(lambda session: ledger.fail(session, claim, report))


def finish(claim: Claim, message: Sentence) -> None:
    """It is done, and what came of it."""

    def both(session: Session) -> None:
        ledger.hold(session, claim)
        ledger.finish(session, claim, ItemOutcome.STORED, Report(message=message))

    persist(both)
