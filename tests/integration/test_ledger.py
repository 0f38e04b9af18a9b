import pytest
from factories import a_job, counts, items_of, overdue
from sqlalchemy import select

from app.core.db import transaction
from app.core.text import RequestError, Sentence
from app.jobs import ledger, steer
from app.jobs.audit import imbalances
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, Job, JobEvent, JobItem, Trigger
from app.jobs.moves import Claim, Report, StaleError
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job
from app.sources.models import SourceState

pytestmark = pytest.mark.usefixtures("app")


def take(job_id: int, most: int = 1, worker: str = "w1", lease_s: float = 30) -> list[Claim]:
    with transaction() as session:
        terms = Terms(lease_s=lease_s, deadline_s=300, most=most)
        return ledger.claim(session, job_id, worker=worker, kinds=["fetch_day"], terms=terms)


def done(claim: Claim) -> None:
    with transaction() as session:
        ledger.finish(session, claim, ItemOutcome.STORED, Report("OK", Sentence("fine")))


def job(job_id: int) -> Job:
    with transaction() as session:
        return session.get_one(Job, job_id)


def test_a_submitted_job_has_all_its_items_waiting_and_is_pending() -> None:
    job_id = a_job(days=5)
    assert counts(job_id)["waiting"] == 5
    assert job(job_id).state == "PENDING"
    assert job(job_id).submitted == 5


def test_a_claim_raises_the_fence_and_no_item_is_handed_out_twice() -> None:
    job_id = a_job(days=3)
    first, second = take(job_id, most=2), take(job_id, most=2, worker="w2")
    assert [claim.fence for claim in first] == [1, 1]
    assert len(second) == 1
    assert {c.item_id for c in first}.isdisjoint(c.item_id for c in second)
    assert take(job_id) == []
    assert job(job_id).state == "PROCESSING"


def test_the_last_item_done_ends_the_job() -> None:
    job_id = a_job(days=2)
    for claim in take(job_id, most=2):
        assert job(job_id).finished_at is None
        done(claim)
    assert job(job_id).state == "DONE"
    assert job(job_id).finished_at is not None


def test_one_failed_item_makes_the_job_failed_and_the_others_go_on() -> None:
    job_id = a_job(days=2)
    bad, good = take(job_id, most=2)
    with transaction() as session:
        ledger.fail(session, bad, Report("NOT_FOUND", Sentence("gone")))
    done(good)
    assert job(job_id).state == "FAILED"
    assert counts(job_id) | {"done": 1, "failed": 1} == counts(job_id)


def test_an_expired_lease_is_taken_back_and_the_late_finish_has_no_effect() -> None:
    job_id = a_job()
    (slow,) = take(job_id)
    overdue(slow)
    with transaction() as session:
        assert len(ledger.reap(session)) == 1
    (quick,) = take(job_id, worker="w2")
    assert quick.fence == slow.fence + 1
    with pytest.raises(StaleError), transaction() as session:
        session.add(SourceState(source="effect"))
        ledger.finish(session, slow, ItemOutcome.STORED, Report())
    done(quick)
    with transaction() as session:
        assert session.get(SourceState, "effect") is None
    assert counts(job_id)["done"] == 1


def test_a_lease_that_still_runs_is_left_alone() -> None:
    take(a_job())
    with transaction() as session:
        assert ledger.reap(session) == []


def test_the_third_crash_quarantines_the_item_and_ends_the_job_as_failed() -> None:
    job_id = a_job()
    for _ in range(3):
        (claim,) = take(job_id)
        overdue(claim)
        with transaction() as session:
            ledger.reap(session)
    assert counts(job_id)["quarantined"] == 1
    assert job(job_id).state == "FAILED"
    assert items_of(job_id)[0].attempts == 0


def test_a_clean_stop_gives_the_item_back_at_once_and_counts_nothing() -> None:
    job_id = a_job()
    claims = take(job_id)
    with transaction() as session:
        assert ledger.give_back(session, [(c.item_id, c.fence) for c in claims]) == 1
    (item,) = items_of(job_id)
    assert (item.state, item.crashes, item.attempts) == ("waiting", 0, 0)
    assert take(job_id, worker="w2")


def test_giving_back_with_an_old_fence_takes_nothing_from_the_new_holder() -> None:
    job_id = a_job()
    (old,) = take(job_id)
    overdue(old)
    with transaction() as session:
        ledger.reap(session)
    take(job_id, worker="w2")
    with transaction() as session:
        assert ledger.give_back(session, [(old.item_id, old.fence)]) == 0
    assert counts(job_id)["running"] == 1


def test_an_item_that_waits_is_not_handed_out_before_its_time() -> None:
    job_id = a_job()
    (claim,) = take(job_id)
    with transaction() as session:
        ledger.wait_again(session, claim, 60, Report("SERVER_ERROR"), burns_attempt=True)
    assert take(job_id) == []
    assert items_of(job_id)[0].attempts == 1


def test_throttling_burns_no_attempt() -> None:
    job_id = a_job()
    (claim,) = take(job_id)
    with transaction() as session:
        ledger.wait_again(session, claim, 0, Report("RATE_LIMITED"), burns_attempt=False)
    assert items_of(job_id)[0].attempts == 0
    assert take(job_id)


def test_cancel_ends_what_waits_at_once_and_what_runs_when_its_worker_looks() -> None:
    job_id = a_job(days=3)
    (held,) = take(job_id)
    with transaction() as session:
        assert steer.cancel(session, job_id, by="ayşe") == 2
    assert counts(job_id) | {"cancelled": 2, "running": 1} == counts(job_id)
    assert job(job_id).state == "PROCESSING"
    with transaction() as session:
        ledger.drop(session, held)
    assert job(job_id).state == "CANCELLED"


def test_a_job_cancelled_before_it_began_says_who_did_it_and_then_ended() -> None:
    job_id = a_job(days=2)
    with transaction() as session:
        assert steer.cancel(session, job_id, by="ayşe") == 2
    ended = job(job_id)
    assert (ended.state, ended.cancelled_by) == ("CANCELLED", "ayşe")
    assert ended.cancel_requested_at is not None
    with transaction() as session:
        events = session.scalars(select(JobEvent).order_by(JobEvent.id)).all()
    assert [e.event for e in events if not e.item_id] == ["submitted", "cancel_requested", "ended"]


def test_an_item_of_a_cancelled_job_does_not_wait_again() -> None:
    job_id = a_job()
    (held,) = take(job_id)
    with transaction() as session:
        steer.cancel(session, job_id, by="ayşe")
    with transaction() as session:
        ledger.wait_again(session, held, 5, Report("SERVER_ERROR"), burns_attempt=True)
    assert counts(job_id)["cancelled"] == 1
    assert job(job_id).state == "CANCELLED"


def test_cancelling_an_ended_or_unknown_job_says_so() -> None:
    job_id = a_job()
    done(take(job_id)[0])
    for number, words in ((job_id, "already ended"), (999, "no job 999")):
        with pytest.raises(RequestError, match=words), transaction() as session:
            steer.cancel(session, number, by="ayşe")


def test_a_paused_job_hands_out_nothing_until_it_is_resumed() -> None:
    job_id = a_job()
    with transaction() as session:
        steer.pause(session, job_id)
    assert take(job_id) == []
    with transaction() as session:
        steer.resume(session, job_id)
    assert take(job_id)


def test_asking_for_the_same_again_joins_the_open_job() -> None:
    request = JobRequest(
        "fetch_range",
        [ItemRequest("fetch_day", f"2025-05-0{n}", "sandbox") for n in (1, 2)],
        unique_key="same",
    )
    with transaction() as session:
        first = submit_job(session, request, by="a", trigger=Trigger.CLI)
        again = submit_job(session, request, by="b", trigger=Trigger.PANEL)
    assert (again.job_id, again.joined, first.joined) == (first.job_id, True, False)
    for claim in take(first.job_id, most=2):
        done(claim)
    with transaction() as session:
        later = submit_job(session, request, by="a", trigger=Trigger.CLI)
    assert later.job_id != first.job_id


def test_a_single_day_joins_the_range_that_already_holds_it() -> None:
    job_id = a_job(days=3)
    item = items_of(job_id)[1]
    request = JobRequest("fetch_day", [ItemRequest(item.kind, item.key, item.source)])
    with transaction() as session:
        assert submit_job(session, request, by="a", trigger=Trigger.CLI).job_id == job_id


def test_a_lease_is_renewed_but_never_beyond_the_deadline() -> None:
    job_id = a_job()
    with transaction() as session:
        terms = Terms(lease_s=1, deadline_s=5)
        (claim,) = ledger.claim(session, job_id, worker="w1", kinds=["fetch_day"], terms=terms)
    with transaction() as session:
        assert ledger.renew(session, "w1", 600) == {claim.item_id: claim.fence}
    (item,) = items_of(job_id)
    assert item.lease_until == item.deadline_at


def test_an_item_of_a_kind_nobody_knows_waits_for_a_worker_that_does() -> None:
    request = JobRequest("future", [ItemRequest("fetch_planet", "mars")])
    with transaction() as session:
        job_id = submit_job(session, request, by="a", trigger=Trigger.CLI).job_id
    assert take(job_id) == []
    assert counts(job_id)["waiting"] == 1


def test_what_still_waits_at_the_jobs_deadline_has_failed() -> None:
    request = JobRequest("fetch_day", [ItemRequest("fetch_day", "2025-05-05", "s")], deadline_s=-1)
    with transaction() as session:
        job_id = submit_job(session, request, by="a", trigger=Trigger.CLI).job_id
    with transaction() as session:
        ledger.sweep(session)
    assert (items_of(job_id)[0].code, job(job_id).state) == ("EXPIRED", "FAILED")


def test_every_transition_writes_its_history_in_order() -> None:
    job_id = a_job()
    (claim,) = take(job_id)
    with transaction() as session:
        ledger.wait_again(session, claim, 0, Report("SERVER_ERROR"), burns_attempt=True)
    done(take(job_id, worker="w2")[0])
    with transaction() as session:
        events = session.scalars(select(JobEvent).order_by(JobEvent.id)).all()
    assert [(e.event, e.state, e.fence, e.worker) for e in events if e.item_id] == [
        ("claimed", "running", 1, "w1"),
        ("retry", "waiting", 1, "w1"),
        ("claimed", "running", 2, "w2"),
        ("done", "done", 2, "w2"),
    ]
    assert [(e.event, e.state) for e in events if not e.item_id] == [
        ("submitted", "PENDING"),
        ("ended", "DONE"),
    ]


def test_the_conservation_check_finds_a_lost_item_and_an_end_too_early() -> None:
    lost, early, fine = a_job(days=2), a_job(), a_job()
    with transaction() as session:
        assert imbalances(session) == []
        session.delete(items_of(lost)[0])
        session.get_one(Job, early).state = "DONE"
    with transaction() as session:
        wrong = {row.job_id: row for row in imbalances(session)}
    assert set(wrong) == {lost, early}
    assert fine not in wrong
    assert "2 items were submitted, 1 are there" in str(wrong[lost].sentence)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"state": "lost"}, "1 that nobody can end; its state is PROCESSING"),
        ({"state": "running", "lease_until": None}, "1 that nobody can end"),
        ({"state": "failed"}, "1 not done, 0 that nobody can end; its state is DONE"),
        ({"state": "quarantined"}, "1 not done"),
        ({"state": "cancelled"}, "1 not done"),
    ],
)
def test_the_conservation_check_finds_what_adds_up_and_is_wrong(
    damage: dict[str, str | None], said: str
) -> None:
    job_id = a_job(days=2)
    first, second = take(job_id, most=2)
    done(first)
    with transaction() as session:
        assert imbalances(session) == []
        for name, value in damage.items():
            setattr(session.get_one(JobItem, second.item_id), name, value)
        if "DONE" in said or said == "1 not done":
            session.get_one(Job, job_id).state = "DONE"
    with transaction() as session:
        (wrong,) = imbalances(session)
    assert said in str(wrong.sentence)


def test_a_third_crash_in_a_cancelled_job_ends_it_as_cancelled() -> None:
    job_id = a_job()
    for _ in range(3):
        (claim,) = take(job_id)
        if claim.crashes == 2:
            with transaction() as session:
                steer.cancel(session, job_id, by="ayşe")
        overdue(claim)
        with transaction() as session:
            ledger.reap(session)
    assert (job(job_id).state, items_of(job_id)[0].crashes) == ("CANCELLED", 3)
    with transaction() as session:
        assert imbalances(session) == []


def test_an_ended_item_is_never_moved_again() -> None:
    job_id = a_job()
    (claim,) = take(job_id)
    done(claim)
    for late in (
        lambda s: ledger.finish(s, claim, ItemOutcome.STORED, Report()),
        lambda s: ledger.fail(s, claim, Report()),
        lambda s: ledger.drop(s, claim),
        lambda s: ledger.hold(s, claim),
        lambda s: ledger.wait_again(s, claim, 1, Report(), burns_attempt=True),
    ):
        with pytest.raises(StaleError), transaction() as session:
            late(session)
    with transaction() as session:
        assert session.get_one(JobItem, claim.item_id).state == "done"
