import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import items_of
from fakes import FakeOutside, answer, stream_all
from shapes import an_event, statistics, the_api
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.db import persist, reading, transaction
from app.core.text import RequestError
from app.errors.models import FixtureError
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
from app.jobs import ledger, steer
from app.jobs.ledger import Terms
from app.jobs.models import Trigger
from app.jobs.report import JobReport, job_report
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources import pause
from app.sources.base import Request
from app.sources.models import RequestLog
from app.sources.registry import adapter

pytestmark = pytest.mark.usefixtures("app")

SOURCE = adapter("sandbox", "http://127.0.0.1:9")


def ask(ids: list[str], *kinds: str, **more: Any) -> int:
    with transaction() as session:
        plan = details_plan(session, SOURCE, ids, kinds, **more)
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
