import pytest
from factories import a_job, items_of
from sqlalchemy import update

from app.core.db import reading, transaction
from app.core.text import RequestError, Sentence
from app.jobs import ledger, steer
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, JobItem, Trigger
from app.jobs.moves import Report
from app.jobs.report import sums
from app.jobs.slices import (
    Slice,
    count_retriable,
    each_item,
    list_slice,
    retry_jobs,
    retry_slice,
)
from app.jobs.submit import submit

pytestmark = pytest.mark.usefixtures("app")


def a_mixed_job() -> int:
    """Two stored, one unchanged, two DNS, one NOT_FOUND, the last two cancelled."""
    job_id = a_job(days=8)
    terms = Terms(lease_s=30, deadline_s=300, most=6)
    with transaction() as session:
        held = ledger.claim(session, job_id, worker="w", kinds=["fetch_day"], terms=terms)
        for claim in held[:2]:
            ledger.finish(session, claim, ItemOutcome.STORED, Report("OK", Sentence("fine")))
        ledger.finish(session, held[2], ItemOutcome.UNCHANGED, Report("OK", Sentence("same")))
        for claim, code in zip(held[3:], ("DNS", "DNS", "NOT_FOUND"), strict=True):
            ledger.fail(session, claim, Report(code, Sentence("bad")))
        steer.cancel(session, job_id, by="tester")
    return job_id


def ids(wanted: Slice) -> list[int]:
    with reading() as session:
        return [item.id for item in each_item(session, wanted, per_step=2)]


def test_every_slice_has_as_many_items_as_the_sums_say() -> None:
    job_id = a_mixed_job()
    a_mixed_job()
    with reading() as session:
        items, outcomes, errors = sums(session, job_id)
    assert outcomes["stored"] == 2
    assert errors["DNS"] == 2
    for name, counts in (("state", items), ("outcome", outcomes), ("code", errors)):
        for value, count in counts.items():
            assert len(ids(Slice(job_id, **{name: value}))) == count, (name, value)
    assert ids(Slice(job_id)) == [item.id for item in items_of(job_id)]
    assert len(ids(Slice(job_id, state="failed", code="DNS"))) == 2


def test_a_page_of_a_slice_goes_on_after_the_last_id() -> None:
    wanted = Slice(a_mixed_job(), state="failed")
    with reading() as session:
        first = list_slice(session, wanted, most=2)
        (last,) = list_slice(session, wanted, after=first[-1].id, most=2)
    assert [item.id for item in (*first, last)] == ids(wanted)


def test_a_retry_has_exactly_the_keys_that_ended_without_being_done() -> None:
    job_id = a_mixed_job()
    keys = [item.key for item in items_of(job_id)]
    for wanted, expected in (
        (Slice(job_id, state="failed"), keys[3:6]),
        (Slice(job_id, code="DNS"), keys[3:5]),
        (Slice(job_id, state="cancelled"), keys[6:]),
        (Slice(job_id), keys[3:]),
    ):
        with reading() as session:
            job, left_out = retry_slice(session, wanted)
            assert count_retriable(session, wanted) == (len(expected), 0)
        assert [(i.source, i.kind, i.key) for i in job.items] == [
            ("sandbox", "fetch_day", key) for key in expected
        ]
        assert (job.kind, left_out) == ("retry_errors", 0)
        assert job.params["why"] == f"slice of job {job_id}"


def test_what_another_job_has_in_hand_is_left_out_and_nothing_is_a_sentence() -> None:
    job_id = a_mixed_job()
    with transaction() as session:
        job, _ = retry_slice(session, Slice(job_id, code="DNS"))
        submit(session, job, by="tester", trigger=Trigger.CLI)
    with reading() as session:
        job, left_out = retry_slice(session, Slice(job_id, state="failed"))
        assert (len(job.items), left_out) == (1, 2)
        with pytest.raises(RequestError, match="being tried right now"):
            retry_slice(session, Slice(job_id, code="DNS"))
        with pytest.raises(RequestError, match="has ended without being done"):
            retry_slice(session, Slice(job_id, outcome="stored"))


def test_what_a_retry_has_done_is_not_offered_again() -> None:
    job_id = a_mixed_job()
    with transaction() as session:
        job, _ = retry_slice(session, Slice(job_id, state="failed"))
        again = submit(session, job, by="tester", trigger=Trigger.CLI).job_id
    first, second, _third = items_of(again)
    with transaction() as session:
        done = update(JobItem).where(JobItem.id == first.id).values(state="done")
        session.execute(done)
        session.execute(update(JobItem).where(JobItem.id == second.id).values(state="failed"))
    with reading() as session:
        assert retry_jobs(session, job_id) == [again]
        assert retry_jobs(session, again) == []
        assert count_retriable(session, Slice(job_id, state="failed")) == (1, 2)
        job, in_hand = retry_slice(session, Slice(job_id, state="failed"))
        assert ([item.key for item in job.items], in_hand) == ([second.key], 1)
    with transaction() as session:
        session.execute(update(JobItem).where(JobItem.job_id == again).values(state="done"))
    with reading() as session, pytest.raises(RequestError, match="All of it was done since"):
        retry_slice(session, Slice(job_id, state="failed"))
