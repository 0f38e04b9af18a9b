"""What is asked of the books many times a second reads what it takes, not all that waits."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.db import transaction
from app.fixtures.detail_kinds import all_item_kinds
from app.fixtures.details_request import details_plan
from app.jobs import allowance, ledger, runner, steward
from app.jobs.models import Trigger
from app.jobs.submit import submit
from app.sources import pace
from app.sources.registry import adapter

pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.postgres,
    pytest.mark.parametrize("engine", ["postgres"], indirect=True),
]

WAITING, TAKEN = 5000, 50
TERMS = ledger.Terms(lease_s=30, deadline_s=60, most=TAKEN)


@pytest.fixture
def job_id() -> int:
    """A job of many items of one source, of which something is known."""
    source = adapter("sandbox", "http://127.0.0.1:9")
    with transaction() as session:
        job = details_plan(session, source, [str(n) for n in range(WAITING)], ["event"]).job
        assert job is not None
        made = submit(session, job, by="tester", trigger=Trigger.CLI).job_id
        pace.wait_for_slot(session, "sandbox", -1)
    with transaction() as session:
        session.execute(text("ANALYZE"))
    return made


def items_read(work: Callable[[Session], object]) -> int:
    """How many items the server came by in it."""
    read = text(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relname = 'job_item' AND schemaname = current_schema()"
    )
    with transaction() as session:
        work(session)
        found: int = session.execute(read).scalar_one()
    return found


def order(job_id: int) -> allowance.Order:
    return allowance.Order(job_id, "me", all_item_kinds(), TERMS)


def test_control_all_that_waits_is_seen_by_who_looks_for_all(job_id: int) -> None:
    every = text("SELECT count(*) FROM job_item WHERE state = 'waiting' AND job_id = :id")
    assert items_read(lambda session: session.execute(every, {"id": job_id})) >= WAITING


def test_what_is_next_is_found_without_the_rest(job_id: int) -> None:
    found: list[allowance.Wanted] = []
    read = items_read(lambda session: found.extend(allowance.wanted(session, order(job_id))))
    assert [wish.items for wish in found] == [TAKEN]
    assert read <= 2 * TAKEN


def test_a_claim_reads_what_it_takes(job_id: int) -> None:
    claims: list[ledger.Claim] = []
    read = items_read(
        lambda session: claims.extend(
            allowance.claim_shares(session, order(job_id), {"sandbox": TAKEN}, 0)
        )
    )
    assert len(claims) == TAKEN
    assert read <= 6 * TAKEN, "found, locked, changed, told, and looked for once more"


def test_a_bell_is_rung_for_one_that_waits(job_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []

    def ring(_kind: str, one: int, _times: int) -> bool:
        rung.append(one)
        return False

    def look(session: Session) -> None:
        monkeypatch.setattr(steward, "reading", lambda: nullcontext(session))
        steward.ring_waiting(ring)

    assert items_read(look) <= TAKEN
    assert rung == [job_id]


def test_whether_something_can_be_claimed_is_known_by_one_item(
    job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session) -> None:
        monkeypatch.setattr(runner, "reading", lambda: nullcontext(session))
        assert runner.kind_to_claim(job_id) is not None

    assert items_read(look) <= TAKEN
