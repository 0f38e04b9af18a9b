import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from factories import items_of
from fakes import AllSources, FakeOutside, answer, stream_all
from shapes import an_event, statistics, the_api
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.db import persist, reading, transaction
from app.core.text import RequestError
from app.errors.models import FixtureError
from app.fixtures.asking import Desk
from app.fixtures.details import DetailWork
from app.fixtures.details_request import details_plan
from app.fixtures.models import (
    Match,
    MatchChange,
    MatchDetail,
    MatchIncident,
    MatchPlayer,
    MatchStatistic,
    RawAnswer,
)
from app.fixtures.store import fit, store_matches
from app.jobs import ledger, steer
from app.jobs.ledger import Terms
from app.jobs.models import Trigger
from app.jobs.report import JobReport, job_report
from app.jobs.stream import Streams
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources import pause
from app.sources.base import Answer, Request, Source
from app.sources.models import RequestLog
from app.sources.registry import adapter

pytestmark = pytest.mark.usefixtures("app")

SOURCE = adapter("sandbox", "http://127.0.0.1:9")


def ask(ids: list[str], *kinds: str, source: Source = SOURCE, **more: Any) -> int:
    with transaction() as session:
        plan = details_plan(session, source, ids, kinds, **more)
        assert plan.job is not None
        return submit_job(session, plan.job, by="tester", trigger=Trigger.CLI).job_id


def fetch(ids: list[str], *kinds: str, **changes: Any) -> int:
    job_id = ask(ids, *kinds)
    stream_all(job_id, FakeOutside(lambda request: the_api(request, **changes)))
    return job_id


def report(job_id: int) -> JobReport:
    with reading() as session:
        return job_report(session, job_id)


def count(model: type) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def open_errors() -> dict[tuple[str, str], FixtureError]:
    with reading() as session:
        rows = session.scalars(select(FixtureError).where(FixtureError.resolved_at.is_(None)))
        return {(row.kind, row.key): row for row in rows}


IDS = [str(n) for n in range(1, 301)]


def test_every_kind_of_three_hundred_matches_is_stored_each_once() -> None:
    job_id = fetch(IDS)
    assert report(job_id).outcomes["stored"] == 1200
    assert report(job_id).job.state == "DONE"
    assert report(job_id).balanced
    assert (count(Match), count(MatchDetail), count(RawAnswer)) == (300, 1200, 1200)
    assert (count(MatchStatistic), count(MatchIncident), count(MatchPlayer)) == (300, 300, 1200)
    assert count(RequestLog) == 1200
    assert {item.fence for item in items_of(job_id)} == {1}


def test_the_same_again_is_unchanged_and_stores_no_raw_answer() -> None:
    fetch(IDS[:20])
    again = fetch(IDS[:20])
    assert report(again).outcomes == {"stored": 0, "unchanged": 80, "no_data": 0}
    assert (count(RawAnswer), count(MatchChange)) == (80, 0)


def test_not_modified_is_as_fresh_as_the_same_again() -> None:
    event = answer(json.dumps({"event": an_event("7", home=2)}), etag='"1"')
    fetch(["7"], "event", **{"7": event})
    since = datetime.now(UTC)
    fetch(["7"], "event", **{"7": answer(b"", 304)})
    with reading() as session:
        head = session.scalars(select(MatchDetail)).one()
        plan = details_plan(session, SOURCE, ["7"], ["event"], fresh_since=since)
    assert (head.code, plan.fresh) == ("OK_UNCHANGED", 1)


def test_what_differs_replaces_its_part_and_is_history_of_the_match() -> None:
    fetch(["7"])
    changed = {
        "7": answer(json.dumps({"event": an_event("7", home=3)})),
        "7/statistics": answer(json.dumps(statistics("60%"))),
    }
    again = fetch(["7"], **changed)
    assert report(again).outcomes == {"stored": 2, "unchanged": 2, "no_data": 0}
    with reading() as session:
        assert session.scalars(select(MatchStatistic.home)).all() == ["60%"]
        told = {c.field: (c.old, c.new) for c in session.scalars(select(MatchChange))}
    assert told["home_score"] == ("2", "3")


def test_a_detail_told_again_is_the_last_word_on_a_match_that_a_list_told_otherwise() -> None:
    def scores() -> list[int | None]:
        with reading() as session:
            return list(session.scalars(select(Match.home_score)))

    event = answer(json.dumps({"event": an_event("7", home=2)}), etag='"1"')
    fetch(["7"], "event", **{"7": event})
    (listed,) = SOURCE.day_rows(json.dumps({"events": [an_event("7", home=3)]}))
    with transaction() as session:
        store_matches(session, "sandbox", [SOURCE.normalise(listed)], {}, datetime.now(UTC))
    assert scores() == [3]
    outside = FakeOutside(event)
    stream_all(ask(["7"], "event"), outside)
    assert "If-None-Match" not in outside.asked[0].headers
    assert scores() == [2]
    outside = FakeOutside(answer(b"", 304))
    stream_all(ask(["7"], "event"), outside)
    assert outside.asked[0].headers["If-None-Match"] == '"1"'


def test_a_zero_that_no_database_keeps_is_left_out() -> None:
    (row,) = SOURCE.day_rows(json.dumps({"events": [an_event("7", home=3)]}))
    match = msgspec.structs.replace(SOURCE.normalise(row), home="Göz\0tepe")
    with transaction() as session:
        store_matches(session, "sandbox", [match], {}, datetime.now(UTC))
        assert session.scalars(select(Match.home)).all() == ["Göztepe"]
    assert fit(MatchStatistic, "name", "a\0b") == "ab"


def test_some_come_some_do_not_and_each_ends_in_its_slice() -> None:
    job_id = fetch(
        IDS[:50],
        "event",
        **{
            "3": answer(b"{}", 404),
            "5": answer(b"<html>", content_type="text/html", status=200),
        }
        | {"8": answer(b'{"event": ')},
    )
    done = report(job_id)
    assert done.balanced
    # A page instead of JSON is a block: the source pauses, what was not asked yet waits.
    assert done.errors.get("BLOCKED") == 1
    with transaction() as session:
        pause.resume(session, "sandbox")
    stream_all(job_id, FakeOutside(lambda request: the_api(request, **{"3": answer(b"{}", 404)})))
    after = report(job_id)
    assert after.balanced
    assert after.items["failed"] >= 2
    assert ("detail_event", "3") in open_errors()
    assert ("detail_event", "5") in open_errors()


def test_no_statistics_of_a_match_is_no_data_and_no_error() -> None:
    job_id = fetch(["1"], **{"1/statistics": answer(b"{}", 404), "1/lineups": answer(b"{}", 404)})
    assert report(job_id).outcomes == {"stored": 2, "unchanged": 0, "no_data": 2}
    assert open_errors() == {}
    with reading() as session:
        codes = {d.kind: d.code for d in session.scalars(select(MatchDetail))}
    assert codes["statistics"] == "NO_DATA"


class SwitchedOff(AllSources):
    def known(self, name: str) -> Source:
        return super().get(name)

    def get(self, name: str) -> Source:
        raise RequestError("The source %(name)s is off.", name=name)


def test_what_is_refused_since_its_source_was_switched_off_is_an_open_error() -> None:
    job_id = ask(["1", "2"], "event")
    desk = Desk(SwitchedOff(), FakeOutside(the_api))
    streams = Streams(Worker(lease_s=30), DetailWork(desk))
    while streams.work_on(job_id, slice_s=2):
        pass
    assert report(job_id).items["failed"] == 2
    assert {row.code for row in open_errors().values()} == {"BAD_REQUEST"}
    assert set(open_errors()) == {("detail_event", "1"), ("detail_event", "2")}
    assert str(open_errors()["detail_event", "1"].message) == "The source sandbox is off."


def test_a_block_stops_what_is_already_claimed_too() -> None:
    blocked = answer(b'{"error": {"code": 403, "reason": "challenge"}}', 403)
    outside = FakeOutside(blocked)
    job_id = ask(IDS, "event")
    stream_all(job_id, outside)
    assert len(outside.asked) <= 8, "only those on their way when it came"
    assert report(job_id).balanced
    assert report(job_id).items["waiting"] >= 292
    with transaction() as session:
        pause.resume(session, "sandbox")
    time.sleep(1.1)  # what was given back is not handed out again at once
    stream_all(job_id, FakeOutside(the_api))
    assert report(job_id).items["waiting"] == 0
    assert report(job_id).items["done"] >= 292


def test_a_success_resolves_the_error_of_that_kind_alone() -> None:
    fetch(["1", "2"], "event", **{"1": answer(b"{}", 404), "2": answer(b"{}", 404)})
    assert len(open_errors()) == 2
    fetch(["1"], "event")
    assert set(open_errors()) == {("detail_event", "2")}


def test_what_was_taken_meanwhile_is_not_written_and_the_rest_of_the_batch_is() -> None:
    job_id = ask(IDS[:20], "event")
    stolen = threading.Event()

    def steal(session: Session) -> None:
        ledger.reap(session)
        terms = Terms(lease_s=60, deadline_s=60)
        ledger.claim(session, job_id, worker="thief", kinds=["detail_event"], terms=terms)

    def steal_then_answer(request: Request) -> Any:
        if not stolen.is_set() and request.url.endswith("/event/5"):
            _expire(job_id, "5")
            persist(steal)
            stolen.set()
        return the_api(request)

    from flask import current_app

    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def in_context(request: Request) -> Any:
        with app.app_context():
            return steal_then_answer(request)

    stream_all(job_id, FakeOutside(in_context))
    assert report(job_id).items | {"done": 19, "running": 1} == report(job_id).items
    with reading() as session:
        assert session.scalar(select(MatchDetail.id).where(MatchDetail.source_id == "5")) is None


def _expire(job_id: int, key: str) -> None:
    from sqlalchemy import update

    from app.core.db import db_now
    from app.jobs.models import JobItem

    with transaction() as session:
        session.execute(
            update(JobItem)
            .where(JobItem.job_id == job_id, JobItem.key == key)
            .values(lease_until=db_now(-1))
        )


def a_fixture(match_id: str, goals: int = 1) -> dict[str, Any]:
    return {
        "fixture": {"id": int(match_id), "timestamp": 0, "status": {"short": "FT"}},
        "teams": {"home": {"id": 1, "name": "Göztepe"}, "away": {"id": 2, "name": "Iğdır"}},
        "goals": {"home": goals, "away": 0},
    }


def batch_of(*rows: object) -> Answer:
    """What API-Football answers to a request for many matches."""
    return answer(json.dumps({"errors": [], "response": list(rows)}))


def ask_together(ids: list[str], *replies: Any) -> int:
    job_id = ask(ids, source=adapter("api_football"))
    stream_all(job_id, FakeOutside(*replies))
    return job_id


def test_in_a_batch_a_row_that_cannot_be_read_is_nobody_elses_error() -> None:
    job_id = ask_together(["1", "2", "3"], batch_of(a_fixture("1"), a_fixture("2"), {"x": 1}))
    assert report(job_id).outcomes["stored"] == 2
    assert {key: row.code for (_, key), row in open_errors().items()} == {"3": "ROW_REJECTED"}
    ask_together(["3"], batch_of(a_fixture("3")))
    assert open_errors() == {}


def test_an_answer_about_many_matches_is_kept_once_for_all_of_them() -> None:
    ids = [str(n) for n in range(1, 10)]
    job_id = ask_together(ids, batch_of(*map(a_fixture, ids)))
    with reading() as session:
        (raw,) = session.scalars(select(RawAnswer)).all()
        raw_ids = session.scalars(select(MatchDetail.raw_id)).all()
        (log,) = session.scalars(select(RequestLog)).all()
    assert raw_ids == [raw.id] * 9
    assert raw.key == log.key == "1 2 3 4 5 6 7 8 9"
    assert log.items == "," + ",".join(str(item.id) for item in items_of(job_id)) + ","
    ask_together(ids, batch_of(*map(a_fixture, ids)))
    assert (count(RawAnswer), count(RequestLog)) == (1, 2)
    ask_together(["3", "33"], batch_of(a_fixture("3"), a_fixture("33")))
    assert count(RawAnswer) == 2


def test_a_request_is_as_good_as_what_came_of_it() -> None:
    ask_together(["1", "2", "3"], batch_of(a_fixture("2")))
    with reading() as session:
        assert session.scalars(select(RequestLog.code)).all() == ["OK"]


def test_a_match_that_is_not_in_the_answer_is_unknown_asked_with_others_or_alone() -> None:
    for ids, reply in (
        (["1", "2"], batch_of(a_fixture("1"))),
        (["2"], batch_of()),
        (["2", "5"], batch_of()),
    ):
        ask_together(ids, reply)
        assert open_errors()["detail_fixture", "2"].code == "NOT_FOUND"
    none = answer(b'{"events": null}')
    stream_all(ask(["9"], source=adapter("thesportsdb")), FakeOutside(none))
    assert open_errors()["detail_event", "9"].code == "NOT_FOUND"


def test_our_mistake_with_one_match_does_not_spoil_the_others() -> None:
    def broken(request: Request) -> Any:
        if request.url.endswith("/event/5"):
            raise ZeroDivisionError("oops")
        return the_api(request)

    job_id = ask(IDS[:20], "event")
    stream_all(job_id, FakeOutside(broken))
    assert report(job_id).items | {"done": 19, "waiting": 1} == report(job_id).items
    assert open_errors()["detail_event", "5"].code == "INTERNAL"


def test_a_cancelled_job_ends_while_its_stream_runs() -> None:
    job_id = ask(IDS, "event")

    def slow(request: Request) -> Any:
        time.sleep(0.02)
        return the_api(request)

    worker = Worker(lease_s=30)
    with transaction() as session:
        steer.cancel(session, job_id, by="ayşe")
    stream_all(job_id, FakeOutside(slow), worker)
    assert report(job_id).job.state == "CANCELLED"
    assert report(job_id).items["cancelled"] == 300


def test_a_plan_says_what_is_new_fresh_and_in_hand_before_anything_is_written() -> None:
    fetch(IDS[:10], "event")
    waiting = ask(["11", "12"], "event")
    since = datetime.now(UTC) - timedelta(hours=1)
    with reading() as session:
        plan = details_plan(session, SOURCE, IDS[:20], ["event"], fresh_since=since)
    assert (plan.asked, plan.fresh, plan.in_hand, plan.new, plan.requests) == (20, 10, 2, 8, 8)
    assert plan.to_do == len(plan.job.items) == 8
    assert report(waiting).items["waiting"] == 2


def test_a_kind_the_source_does_not_have_is_a_sentence() -> None:
    with reading() as session:
        with pytest.raises(RequestError, match="no details named “weather”"):
            details_plan(session, SOURCE, ["1"], ["weather"])
        with pytest.raises(RequestError, match="There are no match ids"):
            details_plan(session, SOURCE, [], [])
        with pytest.raises(RequestError, match="has no details to fetch"):
            details_plan(session, adapter("openfootball"), ["1"], [])
