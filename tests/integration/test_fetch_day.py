import contextlib
import gzip
import json
import threading
from datetime import date, timedelta
from typing import Any

import pytest
from factories import counts, items_of
from fakes import FakeOutside, FrozenClock, a_desk, answer, work_all
from flask import current_app
from shapes import a_list, a_match
from sqlalchemy import func, select

from app.core.db import reading, transaction
from app.errors.models import FixtureError
from app.fixtures import store
from app.fixtures.asking import Desk
from app.fixtures.models import FixtureDay, Match, MatchChange, RawAnswer
from app.fixtures.report import matches_of
from app.fixtures.request import fetch_request
from app.fixtures.store import unpack
from app.jobs import steer
from app.jobs.models import Job, Trigger
from app.jobs.report import job_report
from app.jobs.submit import submit as submit_job
from app.sources import pause
from app.sources.base import Code, Failure
from app.sources.models import RequestLog, SourceState

pytestmark = pytest.mark.usefixtures("app")

DAY = date(2025, 5, 5)


FULL = a_list(*(a_match(n) for n in range(1, 11)))


def ask_for(day: date = DAY, source: str = "sandbox", to: date | None = None) -> int:
    with transaction() as session:
        request = fetch_request(session, [source], day, to or day).job
        return submit_job(session, request, by="tester", trigger=Trigger.CLI).job_id


def fetch(
    *replies: object, day: date = DAY, source: str = "sandbox", desk: Desk | None = None
) -> int:
    """Ask for a day and work on it: the job's id."""
    job_id = ask_for(day, source)
    work_all(job_id, desk or a_desk(FakeOutside(*replies)))
    return job_id


def the_day(source: str = "sandbox") -> FixtureDay:
    with reading() as session:
        return session.scalars(select(FixtureDay).where(FixtureDay.source == source)).one()


def open_errors() -> list[FixtureError]:
    with reading() as session:
        return list(session.scalars(select(FixtureError).where(FixtureError.resolved_at.is_(None))))


def how_many(model: type) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(model))


def report(job_id: int):
    with reading() as session:
        return job_report(session, job_id)


def names_on(day: FixtureDay) -> list[str]:
    with reading() as session:
        return [match.home for match in matches_of(session, day.id)]


def test_a_day_is_stored_with_its_matches_in_the_sources_order_and_its_raw_answer() -> None:
    job_id = fetch(answer(FULL, etag='W/"1"'))
    day = the_day()
    assert (day.count, day.data_id, day.code) == (10, 20250505, "OK")
    assert names_on(day) == [f"Çayırova {n}" for n in range(1, 11)]
    assert report(job_id).outcomes == {"stored": 1, "unchanged": 0, "no_data": 0}
    with reading() as session:
        assert unpack(session.get_one(RawAnswer, day.raw_id)) == FULL
        log = session.scalars(select(RequestLog)).one()
    assert (log.status, log.code, log.bytes, log.key) == (200, "OK", len(FULL), "2025-05-05")


def test_the_same_answer_again_is_unchanged_and_stores_nothing() -> None:
    fetch(answer(FULL))
    before = the_day()
    job_id = fetch(answer(FULL))
    assert report(job_id).outcomes["unchanged"] == 1
    assert (how_many(RawAnswer), how_many(Match), how_many(MatchChange)) == (1, 10, 0)
    assert the_day().fetched_at > before.fetched_at
    assert the_day().changed_at == before.changed_at


def test_decoration_that_differs_is_kept_raw_but_is_no_change() -> None:
    fetch(answer(a_list(a_match(1, userCount=1), a_match(2))))
    job_id = fetch(answer(a_list(a_match(1, userCount=2), a_match(2))))
    assert report(job_id).outcomes["unchanged"] == 1
    assert how_many(RawAnswer) == 2


def test_not_modified_is_unchanged_and_the_etag_was_sent() -> None:
    fetch(answer(FULL, etag='W/"1"'))
    outside = FakeOutside(answer(b"", 304))
    job_id = fetch(desk=a_desk(outside))
    assert outside.asked[0].headers["If-None-Match"] == 'W/"1"'
    assert report(job_id).outcomes["unchanged"] == 1
    assert len(names_on(the_day())) == 10


def test_while_rows_are_missing_not_modified_is_not_asked_for() -> None:
    fetch(answer(a_list(a_match(1), a_match(2), {}), etag='W/"1"'))
    outside = FakeOutside(answer(a_list(a_match(1), a_match(2), {}), etag='W/"1"'))
    fetch(desk=a_desk(outside))
    assert "If-None-Match" not in outside.asked[0].headers
    assert [error.code for error in open_errors()] == ["ROW_REJECTED"]


def test_a_changed_score_status_and_kick_off_are_written_down() -> None:
    fetch(answer(a_list(a_match(1), a_match(2))))
    later = a_match(
        1,
        startTimestamp=1746453600,
        status={"code": 100, "type": "finished"},
        homeScore={"display": 2, "current": 2},
        awayScore={"display": 0, "current": 0},
    )
    fetch(answer(a_list(later, a_match(2))))
    with reading() as session:
        told = {c.field: (c.old, c.new) for c in session.scalars(select(MatchChange))}
    assert told["status"] == ("SCHEDULED", "FINISHED")
    assert told["home_score"] == (None, "2")
    assert told["kickoff"] == ("2025-05-05T13:00:00Z", "2025-05-05T14:00:00Z")


def test_a_match_of_two_neighbouring_days_is_one_row_in_both_lists() -> None:
    fetch(answer(a_list(a_match(1), a_match(2))))
    fetch(answer(a_list(a_match(2), a_match(3))), day=date(2025, 5, 6))
    assert how_many(Match) == 3
    with reading() as session:
        days = session.scalars(select(FixtureDay).order_by(FixtureDay.date)).all()
    assert [names_on(day) for day in days] == [
        ["Çayırova 1", "Çayırova 2"],
        ["Çayırova 2", "Çayırova 3"],
    ]


def two_days_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two lists that both hold a new match; who has looked what is stored waits for the other."""
    both, look = threading.Barrier(2), store.stored_matches

    def look_and_wait(*asked: Any) -> Any:
        found = look(*asked)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1)
        return found

    monkeypatch.setattr(store, "stored_matches", look_and_wait)
    app = current_app._get_current_object()

    def work(job_id: int) -> None:
        with app.app_context():
            work_all(job_id, a_desk(FakeOutside(answer(a_list(a_match(1), a_match(2))))))

    jobs = [ask_for(day) for day in (DAY, DAY + timedelta(days=1))]
    threads = [threading.Thread(target=work, args=[job_id]) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return jobs


def test_two_who_tell_of_the_same_new_match_at_once_store_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = two_days_at_once(monkeypatch)
    assert [report(job_id).outcomes["stored"] for job_id in jobs] == [1, 1]
    assert (how_many(Match), open_errors()) == (2, [])


@pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_without_the_lock_on_the_matches_of_a_source_the_second_would_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "one_at_a_time", lambda _session, _what: None)
    two_days_at_once(monkeypatch)
    assert [error.code for error in open_errors()] == [Code.INTERNAL]


def test_a_match_that_left_the_list_leaves_the_day_but_not_the_collection() -> None:
    fetch(answer(a_list(a_match(1), a_match(2))))
    fetch(answer(a_list(a_match(2), a_match(3))))
    assert names_on(the_day()) == ["Çayırova 2", "Çayırova 3"]
    assert how_many(Match) == 3


def test_a_broken_row_is_an_open_error_the_others_are_stored_and_a_whole_list_resolves_it() -> None:
    job_id = fetch(answer(a_list(a_match(1), a_match(2, homeTeam=None, startTimestamp=None))))
    (error,) = open_errors()
    assert (error.code, error.next_try_at) == ("ROW_REJECTED", None)
    assert "rejected" in error.evidence
    assert (the_day().count, the_day().rejected, names_on(the_day())) == (2, 1, ["Çayırova 1"])
    assert report(job_id).job.state == "DONE"
    fetch(answer(a_list(a_match(1), a_match(2))))
    assert open_errors() == []
    assert len(names_on(the_day())) == 2


BLOCK = b'{"error": {"code": 403, "reason": "challenge"}}'


def test_a_block_after_a_good_day_pauses_the_source_and_touches_nothing() -> None:
    fetch(answer(FULL), source="sofascore")
    outside = FakeOutside(answer(BLOCK, 403, retry_after="0"))
    job_id = ask_for(source="sofascore", to=date(2025, 5, 20))
    work_all(job_id, a_desk(outside))
    assert len(outside.asked) == 1, "no retry storm"
    assert report(job_id).items | {"failed": 1, "waiting": 15} == report(job_id).items
    assert report(job_id).balanced
    (error,) = open_errors()
    assert (error.code, error.http_status) == ("BLOCKED", 403)
    assert len(names_on(the_day("sofascore"))) == 10
    assert the_day("sofascore").code == "BLOCKED"
    with reading() as session:
        assert session.get_one(SourceState, "sofascore").code == "BLOCKED"
    assert "paused" in str(report(job_id).waits_for)
    with transaction() as session:
        pause.resume(session, "sofascore")
    work_all(job_id, a_desk(FakeOutside(answer(FULL))))
    assert report(job_id).items | {"failed": 1, "done": 15} == report(job_id).items


NOTHING_STORED = [
    (answer(b"{}", 500), "SERVER_ERROR"),
    (answer(b"{}", 503, retry_after="2"), "SERVER_ERROR"),
    (answer(b"{}", 429, retry_after="2"), "RATE_LIMITED"),
    (answer(b"{}", 429), "RATE_LIMITED"),
    (
        answer(b'{"message":"You reached your request limit. Wait 48 seconds."}', 429),
        "RATE_LIMITED",
    ),
    (answer(b"{}", 404), "NOT_FOUND"),
    (answer(b"{}", 401), "AUTH_INVALID"),
    (answer(b"<html><body>hello</body></html>", content_type="text/html"), "BLOCKED"),
    (answer(b'{"events": [{"id": 1'), "INVALID_JSON"),
    (answer(b'{"matches": []}'), "SCHEMA_MISSING_KEY"),
    (answer(b'{"events": null}'), "SCHEMA_MISSING_KEY"),
    (answer(a_list()), "SUSPECT_EMPTY"),
    (answer(a_list(a_match(1))), "SUSPECT_EMPTY"),
    (answer(a_list(*[a_match(1)] * 10)), "SUSPECT_EMPTY"),
    (answer(a_list(*(a_match(n) for n in range(4)), *[{}] * 6)), "SCHEMA_MISSING_KEY"),
    (Failure(Code.CONN_RESET, "connection reset", 3), "CONN_RESET"),
    (Failure(Code.TRUNCATED, "cut short", 3, 100, 200), "TRUNCATED"),
    (Failure(Code.TIMEOUT_READ, "too slow", 30_000, 10, 200), "TIMEOUT_READ"),
    (Failure(Code.TOO_LARGE, "more than 25 MB", 900, 26_000_000, 200), "TOO_LARGE"),
]


@pytest.mark.parametrize(("reply", "code"), NOTHING_STORED, ids=lambda value: str(value)[:60])
def test_an_error_has_its_code_and_a_sentence_and_the_good_list_stays(reply, code) -> None:
    fetch(answer(FULL))
    job_id = fetch(reply)
    (error,) = open_errors()
    assert (error.code, error.source, error.kind, error.key) == (
        code,
        "sandbox",
        "fetch_day",
        "2025-05-05",
    )
    assert len(str(error.message)) > 20
    assert "%(" not in str(error.message)
    day = the_day()
    assert (day.count, day.code, len(names_on(day))) == (10, code, 10)
    assert how_many(RawAnswer) == 1
    job = report(job_id)
    assert job.balanced
    assert job.errors == {code: 1}
    with transaction() as session:  # the source answers again and everybody forgets
        pause.resume(session, "sandbox")
    with transaction() as session:
        steer.cancel(session, job_id, by="x") if job.is_open else None
    fetch(answer(FULL))
    assert open_errors() == []


def test_rows_that_were_refused_before_are_not_missed() -> None:
    fetch(answer(a_list(a_match(1), a_match(2), *[{}] * 6)))
    fetch(answer(a_list(a_match(1), a_match(3))))
    assert (the_day().code, names_on(the_day())) == ("OK", ["Çayırova 1", "Çayırova 3"])


def test_an_empty_list_of_a_day_never_seen_is_no_data_and_no_error() -> None:
    job_id = fetch(answer(a_list()))
    assert report(job_id).outcomes["no_data"] == 1
    assert report(job_id).job.state == "DONE"
    assert open_errors() == []
    assert (the_day().code, the_day().count) == ("NO_DATA", 0)


def test_a_single_row_is_sofascores_way_of_saying_none() -> None:
    job_id = fetch(answer(a_list(a_match(1))), source="sofascore")
    assert report(job_id).outcomes["no_data"] == 1
    assert how_many(Match) == 0


def test_throttling_keeps_the_item_waiting_pauses_the_source_and_burns_no_attempt() -> None:
    job_id = fetch(answer(b"{}", 429, retry_after="7"))
    (item,) = items_of(job_id)
    assert (item.state, item.attempts, item.code) == ("waiting", 0, "RATE_LIMITED")
    assert open_errors()[0].attempts == 0
    with reading() as session:
        assert pause.states(session)[0].paused_until is not None


def test_a_server_error_is_tried_again_in_the_job_and_then_left_to_the_retry_job() -> None:
    outside = FakeOutside(answer(b"{}", 500))
    job_id = ask_for()
    for _ in range(10):
        work_all(job_id, a_desk(outside))
        _make_due(job_id)
    assert len(outside.asked) == 6
    assert counts(job_id)["failed"] == 1
    (error,) = open_errors()
    assert error.attempts == 6
    assert error.next_try_at is not None


def _make_due(job_id: int) -> None:
    from sqlalchemy import update

    from app.core.db import db_now
    from app.jobs.models import JobItem

    with transaction() as session:
        session.execute(
            update(JobItem).where(JobItem.job_id == job_id).values(not_before=db_now(-1))
        )


def test_unknown_a_day_later_still_is_gone() -> None:
    clock = FrozenClock()
    missing = FakeOutside(answer(b"{}", 404))
    desk = Desk(a_desk(missing).sources, missing, now=clock)
    fetch(desk=desk)
    assert open_errors()[0].code == "NOT_FOUND"
    clock.move(minutes=1)
    fetch(desk=desk)
    assert open_errors()[0].code == "NOT_FOUND", "asking twice in a minute proves nothing"
    clock.move(hours=24)
    fetch(desk=desk)
    assert (open_errors()[0].code, open_errors()[0].next_try_at) == ("GONE", None)


TIMEOUT = Failure(Code.TIMEOUT_READ, "too slow", 30_000)


def fail_in_turn(clock: FrozenClock, *replies: object) -> FixtureError:
    """Each in a job of its own, which is left when it would wait; the open error."""
    for reply in replies:
        outside = FakeOutside(reply)
        job_id = fetch(desk=Desk(a_desk(outside).sources, outside, now=clock))
        if report(job_id).is_open:
            with transaction() as session:
                steer.cancel(session, job_id, by="x")
    (error,) = open_errors()
    return error


def test_attempts_are_counted_for_each_code() -> None:
    clock = FrozenClock()
    unknown = fail_in_turn(clock, TIMEOUT, answer(b"{}", 404))
    assert (unknown.code, unknown.attempts, unknown.code_attempts) == ("NOT_FOUND", 2, 1)
    assert unknown.next_try_at == clock() + timedelta(days=1), "it has its second look"
    blocked = fail_in_turn(clock, TIMEOUT, TIMEOUT, TIMEOUT, answer(BLOCK, 403))
    assert (blocked.code, blocked.code_attempts) == ("BLOCKED", 1)
    assert blocked.next_try_at is not None, "it has its probe"


def test_what_passes_by_itself_is_one_count_and_throttling_none() -> None:
    clock = FrozenClock()
    error = fail_in_turn(clock, TIMEOUT, answer(b"{}", 500), TIMEOUT, answer(b"{}", 500))
    assert (error.code, error.attempts, error.code_attempts) == ("SERVER_ERROR", 4, 4)
    throttled = fail_in_turn(clock, answer(b"{}", 404), answer(b"{}", 429, retry_after="7"))
    assert (throttled.code, throttled.attempts) == ("RATE_LIMITED", 5)
    assert (throttled.counted_code, throttled.code_attempts) == ("NOT_FOUND", 1)


def test_the_first_404_after_a_day_of_other_trouble_is_not_gone() -> None:
    clock = FrozenClock()
    fail_in_turn(clock, TIMEOUT)
    clock.move(hours=25)
    error = fail_in_turn(clock, answer(b"{}", 404))
    clock.move(minutes=1)
    error = fail_in_turn(clock, answer(b"{}", 404))
    assert error.code == "NOT_FOUND"
    clock.move(hours=24)
    assert fail_in_turn(clock, answer(b"{}", 404)).code == "GONE"
    clock.move(minutes=1)
    assert fail_in_turn(clock, answer(b"{}", 404)).code == "GONE"


def test_no_transaction_is_open_while_the_request_is_on_the_wire() -> None:
    from app.core.db import db

    held: list[int] = []

    def look(_request):
        held.append(db.engine.pool.checkedout())
        return answer(FULL)

    fetch(look)
    assert held == [0]


def test_our_own_mistake_is_recorded_and_the_other_items_go_on() -> None:
    job_id = ask_for(to=date(2025, 5, 6))
    work_all(job_id, a_desk(FakeOutside(ZeroDivisionError("oops"), answer(FULL))))
    assert counts(job_id) | {"waiting": 1, "done": 1} == counts(job_id)
    (error,) = open_errors()
    assert error.code == "INTERNAL"
    assert "ZeroDivisionError" in error.evidence["traceback"]


def test_a_used_up_allowance_pauses_the_source_before_it_has_to_refuse() -> None:
    body = json.dumps({"resultSet": {"count": 0}, "matches": []})
    headers = {"x_requests_available_minute": "0", "x_requestcounter_reset": "21"}
    fetch(answer(body, **headers), source="football_data")
    with reading() as session:
        state = session.get_one(SourceState, "football_data")
    assert (state.paused_until - state.paused_at).total_seconds() == pytest.approx(22.05, abs=0.01)


@pytest.mark.parametrize(("told", "seconds"), [("0", 5), ("400000", 3600)])
def test_what_an_answer_says_of_the_next_window_is_believed_within_bounds(
    told: str, seconds: float
) -> None:
    headers = {"x_requests_available_minute": "0", "x_requestcounter_reset": told}
    fetch(answer(b'{"matches": []}', **headers), source="football_data")
    with reading() as session:
        state = session.get_one(SourceState, "football_data")
    assert (state.paused_until - state.paused_at).total_seconds() == pytest.approx(
        seconds * 1.05, abs=0.01
    )


def test_a_used_up_day_pauses_the_source_until_tomorrow() -> None:
    headers = {"x_ratelimit_requests_remaining": "0", "date": "Sun, 01 Jun 2025 09:05:00 GMT"}
    fetch(answer(b'{"response": [], "errors": []}', **headers), source="api_football")
    with reading() as session:
        state = session.get_one(SourceState, "api_football")
    assert (state.paused_until - state.paused_at).total_seconds() > 3600 * 15


@pytest.mark.payloads
def test_every_recorded_day_is_stored_whole_and_all_again_is_unchanged(recorded_days) -> None:
    bodies = {path.name[:10]: gzip.decompress(path.read_bytes()) for path in recorded_days}
    desk = a_desk(FakeOutside(lambda request: answer(bodies[request.url[-10:]])))
    first, last = (date.fromisoformat(day) for day in (min(bodies), max(bodies)))
    job_id = ask_for(first, "sofascore", to=last)
    work_all(job_id, desk)
    assert report(job_id).outcomes["stored"] == len(bodies) == 57
    with reading() as session:
        stored = {row.date.isoformat(): row.count for row in session.scalars(select(FixtureDay))}
    assert stored == {day: len(json.loads(body)["events"]) for day, body in bodies.items()}
    ids = {event["id"] for body in bodies.values() for event in json.loads(body)["events"]}
    assert how_many(Match) == len(ids)
    again = ask_for(first, "sofascore", to=last)
    work_all(again, desk)
    assert report(again).outcomes == {"stored": 0, "unchanged": 57, "no_data": 0}
    assert how_many(Match) == len(ids)
    assert how_many(RawAnswer) == 57
    assert how_many(Job) == 2
