"""A day's list that truly shrank: the operator says so, and only then does it become current."""

from datetime import timedelta

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from factories import items_of
from fakes import FakeOutside, a_desk, answer, work_all
from shapes import a_list, a_match
from sqlalchemy import select, text, update
from test_fetch_day import FULL, ask_for, fetch, how_many, names_on, open_errors, report, the_day

from app.audit.models import AuditEntry
from app.core.clock import now
from app.core.db import db, reading, transaction
from app.core.text import RequestError
from app.errors.models import FixtureError
from app.errors.record import resolve
from app.fixtures import fetch as module
from app.fixtures.accept import accept_request, suspect
from app.fixtures.models import FixtureDay, FixtureDayMatch, Match, RawAnswer
from app.fixtures.renormalise import Wanted, renormalise
from app.jobs import ledger
from app.jobs.ledger import Terms
from app.jobs.models import Job, Trigger
from app.jobs.submit import submit as submit_job

pytestmark = pytest.mark.usefixtures("app")


def rows(count: int) -> bytes:
    """A list of so many matches."""
    return a_list(*(a_match(n) for n in range(1, count + 1)))


def a_suspect(reply: bytes, source: str = "sandbox") -> int:
    """A day of ten matches of which an answer was too short: the id of its error."""
    fetch(answer(FULL, etag='W/"1"'), source=source)
    fetch(answer(reply), source=source)
    (error,) = open_errors()
    assert error.code == "SUSPECT_EMPTY"
    return error.id


def accept(*error_ids: int) -> int:
    with transaction() as session:
        request = accept_request(session, error_ids)
        return submit_job(session, request, by="tester", trigger=Trigger.CLI).job_id


def accept_and_get(error_id: int, *replies: object) -> FakeOutside:
    outside = FakeOutside(*replies)
    work_all(accept(error_id), a_desk(outside))
    return outside


def listed(day: FixtureDay) -> int:
    with reading() as session:
        return session.query(FixtureDayMatch).filter_by(day_id=day.id).count()


def test_an_accepted_short_list_becomes_current_and_the_bar_is_up_again() -> None:
    error_id = a_suspect(rows(3))
    outside = accept_and_get(error_id, answer(rows(3)))
    assert outside.asked[0].headers.get("If-None-Match") is None
    day = the_day()
    assert (day.count, day.code, day.accepted_rows, listed(day)) == (3, "OK", None, 3)
    assert open_errors() == []
    assert how_many(Match) == 10
    fetch(answer(rows(1)))
    assert open_errors()[0].code == "SUSPECT_EMPTY"


def test_accepting_writes_the_bar_the_job_and_the_log_together() -> None:
    error_id = a_suspect(rows(3))
    job_id = accept(error_id)
    assert (the_day().accepted_rows, the_day().count) == (3, 10)
    assert [(i.kind, i.source, i.key) for i in items_of(job_id)] == [
        ("fetch_day", "sandbox", "2025-05-05")
    ]
    with reading() as session:
        assert session.get_one(Job, job_id).kind == "fetch_day"
        noted = session.scalars(select(AuditEntry).where(AuditEntry.action == "day.accept")).one()
    assert (noted.kind, noted.object) == ("day", "sandbox 2025-05-05")
    assert noted.after == {"accepted": 3, "instead_of": 10, "error": error_id}


def test_an_accepted_empty_list_is_current_and_the_matches_stay() -> None:
    error_id = a_suspect(a_list())
    job_id = accept(error_id)
    assert the_day().accepted_rows == 0
    work_all(job_id, a_desk(FakeOutside(answer(a_list()))))
    assert report(job_id).outcomes["no_data"] == 1
    day = the_day()
    assert (day.code, day.count, day.finished, day.in_progress, day.rejected) == (
        "NO_DATA",
        *[0] * 4,
    )
    assert (day.raw_id, day.content_hash, day.accepted_rows) == (None, None, None)
    assert day.changed_at == day.fetched_at == day.looked_at
    assert (names_on(day), open_errors()) == ([], [])
    assert (how_many(Match), how_many(RawAnswer)) == (10, 1)


def test_an_emptied_day_is_nothing_that_renormalise_could_not_read() -> None:
    accept_and_get(a_suspect(a_list()), answer(a_list()))
    *_, found = renormalise(Wanted(), write=True)
    assert (found.total, found.unreadable, found.differs) == (0, 0, False)


def test_an_emptied_day_stays_empty_until_a_list_comes() -> None:
    accept_and_get(a_suspect(a_list()), answer(a_list()))
    emptied = the_day()
    fetch(answer(a_list()))
    assert (the_day().changed_at, the_day().count) == (emptied.changed_at, 0)
    fetch(answer(FULL))
    assert (the_day().count, listed(the_day())) == (10, 10)


@pytest.mark.parametrize(
    ("accepted", "then", "code"),
    [(4, 2, "OK"), (4, 1, "SUSPECT_EMPTY"), (4, 0, "SUSPECT_EMPTY"), (0, 9, "OK"), (4, 10, "OK")],
)
def test_what_comes_is_held_against_what_was_accepted(accepted: int, then: int, code: str) -> None:
    accept_and_get(a_suspect(rows(accepted)), answer(rows(then)))
    day = the_day()
    assert day.code == code
    kept = (10, accepted) if code == "SUSPECT_EMPTY" else (then, None)
    assert (listed(day), day.accepted_rows) == kept


def test_what_came_shorter_still_can_be_accepted_too() -> None:
    error_id = a_suspect(rows(4))
    accept_and_get(error_id, answer(rows(1)))
    accept_and_get(error_id, answer(rows(1)))
    assert (the_day().count, open_errors()) == (1, [])


def test_sofascores_single_row_empties_the_day() -> None:
    accept_and_get(a_suspect(rows(1), "sofascore"), answer(rows(1)))
    day = the_day("sofascore")
    assert (day.code, day.count, listed(day), day.accepted_rows) == ("NO_DATA", 0, 0, None)


def test_an_answer_that_is_none_leaves_the_bar_where_it_was_put() -> None:
    error_id = a_suspect(rows(3))
    accept_and_get(error_id, answer(b"{}", 404))
    assert (the_day().accepted_rows, the_day().count, listed(the_day())) == (3, 10, 10)
    fetch(answer(rows(3)))
    assert (the_day().count, the_day().accepted_rows) == (3, None)


def test_not_modified_resolves_the_error_and_lifts_the_bar() -> None:
    """It answers a request that was sent before somebody accepted."""
    error_id = a_suspect(rows(3))
    accept_and_get(error_id, answer(b"", 304))
    assert (the_day().count, the_day().accepted_rows, open_errors()) == (10, None, [])


def test_whose_item_was_taken_empties_nothing() -> None:
    job_id = accept(a_suspect(a_list()))

    def taken(_request: object) -> object:
        with transaction() as session:
            session.execute(
                text("UPDATE job_item SET fence = fence + 1 WHERE job_id = :id"), {"id": job_id}
            )
        return answer(a_list())

    work_all(job_id, a_desk(FakeOutside(taken)))
    assert (the_day().count, listed(the_day()), the_day().accepted_rows) == (10, 10, 0)


# --- what cannot be accepted ----------------------------------------------------------------------


def refused(*error_ids: int) -> str:
    with pytest.raises(RequestError) as told, transaction() as session:
        accept_request(session, error_ids)
    return str(told.value)


def test_only_an_open_shortened_list_can_be_accepted() -> None:
    fetch(answer(b"{}", 404))
    (other,) = open_errors()
    told = refused(other.id)
    assert f"Error {other.id} is NOT_FOUND." in told
    assert refused(99) == "There is no error 99."
    assert refused() == "Name the errors whose list is to be accepted."
    fetch(answer(FULL))
    assert refused(other.id).startswith(f"Error {other.id} (NOT_FOUND) is resolved already")


def test_a_resolved_one_offers_nothing() -> None:
    error_id = a_suspect(rows(3))
    with transaction() as session:
        resolve(session, "sandbox", "fetch_day", "2025-05-05", now())
    with reading() as session:
        assert suspect(session, session.get_one(FixtureError, error_id)) is None


def test_details_have_no_list_to_accept() -> None:
    error_id = a_suspect(rows(3))
    with transaction() as session:
        session.execute(update(FixtureError).values(kind="event"))
    assert "can be accepted" in refused(error_id)


def test_all_are_accepted_or_none() -> None:
    error_id = a_suspect(rows(3))
    fetch(answer(b"{}", 404), source="football_data")
    other = next(error.id for error in open_errors() if error.id != error_id)
    refused(error_id, other)
    assert the_day().accepted_rows is None
    with reading() as session:
        assert session.query(AuditEntry).filter_by(action="day.accept").count() == 0


def test_a_day_that_is_being_asked_for_is_waited_for() -> None:
    error_id = a_suspect(rows(3))
    job_id, terms = ask_for(), Terms(lease_s=30, deadline_s=300, most=1)
    with transaction() as session:
        assert ledger.claim(session, job_id, worker="w", kinds=["fetch_day"], terms=terms)
    assert "being asked for 2025-05-05 right now" in refused(error_id)
    assert the_day().accepted_rows is None


def test_what_waits_already_is_joined_and_finds_the_bar_lowered() -> None:
    error_id = a_suspect(rows(3))
    waiting = ask_for()
    assert accept(error_id) == waiting
    work_all(waiting, a_desk(FakeOutside(answer(rows(3)))))
    assert the_day().count == 3


def test_the_way_back_of_the_migration_keeps_the_lists() -> None:
    fetch(answer(FULL))
    with db.engine.connect() as connection, connection.begin() as started:
        operations = Operations(MigrationContext.configure(connection))
        operations.drop_column("fixture_day", "accepted_rows")
        count = connection.scalar(text("SELECT count(*) FROM fixture_day_match"))
        started.rollback()
    assert count == 10


def test_look_without_a_list_knows_no_last_good() -> None:
    fetch(answer(b"{}", 404))
    before = module.look("sandbox", the_day().date, now() + timedelta(days=1))
    assert (before.last_good, before.validators) == (None, {})
