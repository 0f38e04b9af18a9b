import json
import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from fakes import FakeOutside, a_desk, answer, stream_all, work_all
from payloads import needs_payloads, payload, sofascore_days
from shapes import a_list, a_match, an_event, statistics, the_api
from sqlalchemy import func, select, text

from app.core.db import Base, reading, table_of, transaction
from app.errors.models import FixtureError
from app.fixtures import corrections
from app.fixtures import renormalise as module
from app.fixtures.details_request import details_plan
from app.fixtures.models import (
    FixtureDay,
    FixtureDayMatch,
    Match,
    MatchChange,
    MatchDetail,
    MatchIncident,
    MatchPlayer,
    MatchStatistic,
    RawAnswer,
)
from app.fixtures.renormalise import Report, Wanted, renormalise
from app.fixtures.request import fetch_request
from app.jobs.models import Trigger
from app.jobs.submit import submit as submit_job
from app.sources.base import Match as MatchValues
from app.sources.base import RowError, ShapeError
from app.sources.details import Detail
from app.sources.registry import adapter
from app.sources.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("app")

DAY = date(2025, 5, 5)
NEXT = DAY + timedelta(days=1)
TABLES: tuple[type[Base], ...] = (
    RawAnswer,
    FixtureDay,
    Match,
    FixtureDayMatch,
    MatchChange,
    MatchDetail,
    MatchStatistic,
    MatchIncident,
    MatchPlayer,
)


# --- the stage ------------------------------------------------------------------------------------


def fetch(day: date, *rows: dict[str, Any], source: str = "sandbox") -> None:
    """Fetch a day whose list is these rows, as a worker does."""
    fetch_days(lambda _: a_list(*rows), day, source=source)


def fetch_days(
    body_of: Callable[[str], bytes], first: date, last: date | None = None, source: str = "sandbox"
) -> None:
    """`body_of` is given the day as it stands in the address."""
    outside = FakeOutside(lambda request: answer(body_of(request.url.rpartition("/")[2])))
    with transaction() as session:
        job = fetch_request(session, [source], first, last or first).job
        assert job is not None
        job_id = submit_job(session, job, by="tester", trigger=Trigger.CLI).job_id
    work_all(job_id, a_desk(outside))


def fetch_details(ids: Sequence[str], *kinds: str, **changes: Any) -> None:
    with transaction() as session:
        plan = details_plan(session, adapter("sandbox"), ids, kinds)
        assert plan.job is not None
        job_id = submit_job(session, plan.job, by="tester", trigger=Trigger.CLI).job_id
    stream_all(job_id, FakeOutside(lambda request: the_api(request, **changes)))


def all_of(**wanted: Any) -> Wanted:
    return Wanted(**wanted)


def count(wanted: Wanted | None = None) -> Report:
    """What would be corrected."""
    *_, report = renormalise(wanted or Wanted())
    return report


def correct(wanted: Wanted | None = None) -> Report:
    *_, report = renormalise(wanted or Wanted(), write=True)
    return report


def told(report: Report) -> dict[str, tuple[int, int, int]]:
    """What differs, by kind and rows: changed, new, gone."""
    return {
        f"{kind} {what}": (rows.changed, rows.new, rows.gone)
        for (_, kind, what), rows in report.rows.items()
        if rows.differing
    }


def stored(*models: type[Base]) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the collection, row by row."""
    with reading() as session:
        return {
            table_of(model).name: [
                tuple(row)
                for row in session.execute(
                    select(table_of(model)).order_by(*table_of(model).primary_key)
                )
            ]
            for model in models or TABLES
        }


def a_collection() -> None:
    """Two days that overlap, and every kind of detail of three matches."""
    fetch(DAY, *(a_match(n) for n in range(1, 7)))
    fetch(NEXT, *(a_match(n) for n in range(4, 10)))
    fetch_details(["1", "2", "5"])


def match(source_id: str) -> Match:
    with reading() as session:
        return session.scalars(select(Match).where(Match.source_id == source_id)).one()


def the_day(day: date = DAY) -> FixtureDay:
    with reading() as session:
        return session.scalars(select(FixtureDay).where(FixtureDay.date == day)).one()


def sql(statement: str) -> None:
    with transaction() as session:
        assert session.execute(text(statement)).rowcount > 0


def reads(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Today's adapter reads these fields so; a function is given what yesterday's read."""
    before = Sandbox.normalise

    def normalise(self: Sandbox, row: msgspec.Raw) -> MatchValues:
        old = before(self, row)
        new = {name: new(old) if callable(new) else new for name, new in fields.items()}
        return msgspec.structs.replace(old, **new)

    monkeypatch.setattr(Sandbox, "normalise", normalise)


# --- nothing to do --------------------------------------------------------------------------------


def test_what_live_storing_wrote_does_not_differ() -> None:
    a_collection()
    before = stored()
    report = count()
    assert (report.done, report.total, report.unreadable) == (14, 14, 0)
    assert not report.differs
    rows = {(kind, what): rows.equal for (_, kind, what), rows in report.rows.items()}
    assert rows["day", "days"] == 2
    assert rows["day", "places"] == 12
    assert rows["day", "matches"] + rows["event", "matches"] == 9, "each match once"
    assert rows["lineups", "lineups"] == 12
    assert correct().done == 14
    assert stored() == before


def test_an_empty_collection_is_no_error() -> None:
    report = count()
    assert (report.done, report.total, report.differs) == (0, 0, False)


def test_a_list_that_came_again_with_other_decoration_overrules_nobody() -> None:
    fetch(DAY, a_match(1), a_match(2))
    fetch(NEXT, a_match(2, startTimestamp=1746453600))
    fetch(DAY, a_match(1, userCount=7), a_match(2))
    assert not count().differs
    assert match("2").kickoff.hour == 14


@needs_payloads
def test_all_recorded_days_do_not_differ() -> None:
    names = {name.rpartition("/")[2].removesuffix(".json.gz"): name for name in sofascore_days()}
    days = [date.fromisoformat(day) for day in names]
    fetch_days(lambda day: payload(names[day]), days[0], days[-1], source="sofascore")
    report = count()
    assert (report.done, report.unreadable, report.differs) == (len(names), 0, False)
    with reading() as session:
        matches = session.scalar(select(func.count()).select_from(Match))
    assert report.rows["sofascore", "day", "matches"].equal == matches
    sql("UPDATE match SET home = 'x', home_score = 77 WHERE id % 7 = 0")
    with reading() as session:
        damaged = select(func.count()).where(Match.home == "x").select_from(Match)
        assert count().rows["sofascore", "day", "matches"].changed == session.scalar(damaged) > 500
    correct()
    assert not count().differs


# --- mending --------------------------------------------------------------------------------------

DAMAGE = [
    ("UPDATE match SET home = 'Damaged', status = 'LIVE', kickoff = NULL WHERE source_id = '2'",
     {"event matches": (1, 0, 0)}),
    ("UPDATE match SET country = NULL WHERE source_id = '9'", {"day matches": (1, 0, 0)}),
    ("UPDATE fixture_day SET count = 999, finished = 5", {"day days": (2, 0, 0)}),
    ("UPDATE fixture_day SET content_hash = NULL", {"day days": (2, 0, 0)}),
    ("DELETE FROM fixture_day_match WHERE position = 5", {"day places": (0, 2, 0)}),
    ("UPDATE fixture_day_match SET position = position + 10", {"day places": (12, 0, 0)}),
    ("DELETE FROM match_statistic", {"statistics statistics": (0, 3, 0)}),
    ("UPDATE match_incident SET minute = 77", {"incidents incidents": (3, 0, 0)}),
    ("INSERT INTO match_player (detail_id, position, side, name, substitute)"
     " SELECT id, 90, 'home', 'Nobody', FALSE FROM match_detail WHERE kind = 'lineups'",
     {"lineups lineups": (0, 0, 3)}),
    ("UPDATE match_detail SET missing = 'x'", {f"{kind} details": (3, 0, 0) for kind in
     ("event", "statistics", "incidents", "lineups")}),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "differing"), DAMAGE)
def test_rows_that_were_damaged_are_whole_again(damage: str, differing: dict[str, Any]) -> None:
    a_collection()
    before = stored()
    sql(damage)
    damaged = stored()
    assert told(count()) == differing
    assert stored() == damaged, "counting changes nothing"
    assert told(correct()) == differing
    assert stored() == before
    assert not count().differs


def test_matches_that_were_deleted_come_back_into_their_lists() -> None:
    a_collection()
    columns = [column.name for column in table_of(Match).columns if column.name != "id"]

    def matches() -> list[tuple[Any, ...]]:
        with reading() as session:
            wanted = select(*(Match.__table__.c[name] for name in columns))
            return [tuple(row) for row in session.execute(wanted.order_by(Match.source_id))]

    before = matches()
    sql("DELETE FROM match")
    assert told(count()) == {"day matches": (0, 9, 0), "day places": (0, 12, 0)}
    correct()
    assert not count().differs
    told_now = {row[1]: row for row in matches()}
    names = ("home", "away", "status", "kickoff", "country")
    for row in before:
        for name in names:
            assert told_now[row[1]][columns.index(name)] == row[columns.index(name)]


def test_what_was_counted_is_what_is_corrected_where_the_newest_list_comes_last() -> None:
    fetch(NEXT, a_match(1), a_match(2))
    fetch(DAY, a_match(2, **LATER), a_match(3))
    sql("DELETE FROM match")
    counted = told(count())
    assert counted == {"day matches": (0, 3, 0), "day places": (0, 4, 0)}
    assert told(correct()) == counted
    assert match("2").kickoff.hour == 14
    assert not count().differs


def test_a_name_too_long_for_its_column_does_not_differ_for_ever() -> None:
    long = {"id": 2, "name": "Ş" * 250}
    fetch(DAY, a_match(1, homeTeam=long))
    assert not count().differs
    fetch(DAY, a_match(1, homeTeam=long, awayTeam={"id": 3, "name": "Iğdır"}))
    with reading() as session:
        assert [c.field for c in session.scalars(select(MatchChange))] == ["away"]


# --- an adapter that reads otherwise --------------------------------------------------------------


def test_a_mended_adapter_is_counted_then_applied_and_no_change_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_collection()
    before = stored()
    reads(monkeypatch, round="Final", country=lambda old: (old.country or "").upper())
    expected = {
        "day days": (2, 0, 0),
        "day matches": (6, 0, 0),
        "event details": (3, 0, 0),
        "event matches": (3, 0, 0),
    }
    assert told(count()) == expected
    assert stored() == before
    assert told(correct()) == expected
    assert {match(str(n)).round for n in range(1, 10)} == {"Final"}
    after = stored()
    for table in ("raw_answer", "match_change", "fixture_day_match", "match_statistic"):
        assert after[table] == before[table]
    times = ("first_seen_at", "last_seen_at", "changed_at", "fetched_at", "looked_at", "raw_id")
    for model in (Match, FixtureDay, MatchDetail):
        names = table_of(model).columns.keys()
        name = table_of(model).name
        for at in (names.index(time) for time in times if time in names):
            assert [row[at] for row in after[name]] == [row[at] for row in before[name]]
    assert not count().differs
    fetch(DAY, *(a_match(n) for n in range(1, 7)))
    assert stored(MatchChange) == {"match_change": before["match_change"]}


def test_rows_that_can_be_read_now_come_in_and_their_problem_is_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Sandbox.normalise

    def yesterday(self: Sandbox, row: msgspec.Raw) -> MatchValues:
        if json.loads(bytes(row))["id"] == 2:
            raise RowError("“status” is unknown")
        return whole(self, row)

    monkeypatch.setattr(Sandbox, "normalise", yesterday)
    fetch(DAY, a_match(1), a_match(2), a_match(3))
    assert (the_day().rejected, the_day().code) == (1, "ROW_REJECTED")
    monkeypatch.setattr(Sandbox, "normalise", whole)
    expected = {"day days": (1, 0, 0), "day matches": (0, 1, 0), "day places": (1, 1, 0)}
    assert told(count()) == expected
    correct()
    day = the_day()
    assert (day.rejected, day.code, str(day.message)) == (0, "OK", "Sandbox answered; rows: 3.")
    assert match("2").first_seen_at == day.changed_at
    with reading() as session:
        problem = session.scalars(select(FixtureError)).one()
    assert problem.resolved_by == "renormalise"


def test_a_row_that_is_refused_now_leaves_its_list_but_its_match_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_collection()
    whole = Sandbox.normalise

    def today(self: Sandbox, row: msgspec.Raw) -> MatchValues:
        if json.loads(bytes(row))["id"] == 9:
            raise RowError("“id” is not to our liking")
        return whole(self, row)

    monkeypatch.setattr(Sandbox, "normalise", today)
    assert told(count()) == {"day days": (1, 0, 0), "day places": (0, 0, 1)}
    correct()
    assert (the_day(NEXT).rejected, the_day(NEXT).code) == (1, "ROW_REJECTED")
    assert match("9").home == "Çayırova 9"
    assert not count().differs


def test_the_word_of_a_later_look_that_failed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(DAY, a_match(1), a_match(2), a_match(3))
    fetch(DAY)  # empty: suspect
    looked = the_day()
    reads(monkeypatch, round="Final")
    correct()
    day = the_day()
    assert (day.code, day.message, day.looked_at) == (looked.code, looked.message, looked.looked_at)
    assert day.code == "SUSPECT_EMPTY"
    assert match("1").round == "Final"


# --- answers that cannot be read ------------------------------------------------------------------


def unreadable(report: Report) -> dict[tuple[str, str], str]:
    return {(one.kind, one.key): str(one.message) for one in report.named}


def test_an_answer_that_cannot_be_read_leaves_what_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_collection()
    with transaction() as session:
        for raw in session.scalars(select(RawAnswer).where(RawAnswer.key.in_(["2025-05-05", "2"]))):
            raw.body = b"not zstd"
    before = stored()
    reads(monkeypatch, country=lambda old: "Turkey" if old.source_id in "129" else old.country)
    report = correct()
    assert report.unreadable == len(report.named) == 5
    said = unreadable(report)
    assert "is damaged" in said["day", "2025-05-05"]
    assert "is damaged" in said["lineups", "2"]
    assert [match(n).country for n in "1239"] == ["Turkey", "Türkiye", "Türkiye", "Turkey"]
    after = stored()
    assert after["fixture_day"][0] == before["fixture_day"][0]
    assert after["fixture_day_match"] == before["fixture_day_match"]


def no_key(*_: object) -> list[msgspec.Raw]:
    raise ShapeError("“events” is missing")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (no_key, "Today's adapter cannot read it (SCHEMA_MISSING_KEY: “events” is missing)."),
        (lambda *_: [], "Today's adapter finds nothing in it."),
        (
            lambda self, text, day: whole_rows(self, text, day)[:2],
            "Today's adapter reads only 2 of the 6 matches in its list.",
        ),
    ],
)
def test_an_adapter_that_reads_nothing_or_too_little_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, rows: Any, said: str
) -> None:
    a_collection()
    before = stored()
    monkeypatch.setattr(Sandbox, "day_rows", rows)
    report = correct()
    assert (report.unreadable, report.differs) == (2, False)
    assert unreadable(report)["day", "2025-05-05"] == said
    assert stored() == before


whole_rows = Sandbox.day_rows


def test_what_no_adapter_is_there_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    a_collection()
    monkeypatch.setattr(Sandbox, "detail_kinds", ("event", "statistics", "incidents"))
    sql("UPDATE fixture_day SET source = 'closed_down' WHERE date = '2025-05-06'")
    sql("UPDATE raw_answer SET source = 'closed_down' WHERE key = '2025-05-06'")
    said = unreadable(count())
    assert "There is no source “closed_down”" in said["day", "2025-05-06"]
    assert "Sandbox has no details named “lineups”" in said["lineups", "1"]
    assert count().unreadable == 4


def test_an_answer_about_another_match_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    a_collection()
    before = stored()
    whole = Sandbox.detail

    def today(self: Sandbox, kind: str, row: msgspec.Raw) -> Detail:
        return msgspec.structs.replace(whole(self, kind, row), match_id="4711")

    monkeypatch.setattr(Sandbox, "detail", today)
    report = correct(all_of(kinds=["event"]))
    assert unreadable(report)["event", "1"] == (
        "Today's adapter does not find the match in it, but 4711."
    )
    assert stored() == before


def test_an_encoding_that_only_the_header_knew_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps({"events": [a_match(1), a_match(2)]}, ensure_ascii=False).encode("cp1254")
    outside = FakeOutside(answer(body, content_type="application/json; charset=windows-1254"))
    with transaction() as session:
        job = fetch_request(session, ["sandbox"], DAY, DAY).job
        assert job is not None
        job_id = submit_job(session, job, by="tester", trigger=Trigger.CLI).job_id
    work_all(job_id, a_desk(outside))
    assert match("1").away == "Iğdır 1"
    report = correct()
    assert "It is not in UTF-8" in unreadable(report)["day", "2025-05-05"]
    assert match("1").away == "Iğdır 1"


# --- who tells a match ----------------------------------------------------------------------------

LATER = {"startTimestamp": 1746453600}


@pytest.mark.parametrize("days", [(DAY, NEXT), (NEXT, DAY)])
def test_of_lists_that_overlap_the_newest_tells(
    monkeypatch: pytest.MonkeyPatch, days: tuple[date, date]
) -> None:
    fetch(days[0], a_match(1), a_match(2))
    fetch(days[1], a_match(2, **LATER), a_match(3))
    reads(monkeypatch, round=lambda old: f"at {old.kickoff.hour}")
    assert told(count())["day matches"] == (3, 0, 0)
    correct()
    assert [match(n).round for n in "123"] == ["at 13", "at 14", "at 13"]
    assert not count().differs


@pytest.mark.parametrize("read", [DAY, NEXT])
def test_a_list_that_is_read_alone_tells_only_what_no_newer_one_tells(
    monkeypatch: pytest.MonkeyPatch, read: date
) -> None:
    fetch(NEXT, a_match(1), a_match(2))
    fetch(DAY, a_match(2, **LATER), a_match(3))
    reads(monkeypatch, round=lambda old: f"at {old.kickoff.hour}")
    correct(all_of(first=read, last=read))
    rounds = [match(n).round for n in "123"]
    assert rounds == ([None, "at 14", "at 13"] if read == DAY else ["at 13", None, None])


def test_a_newer_detail_tells_the_match_and_a_newer_list_after_it() -> None:
    fetch(DAY, a_match(1), a_match(2))
    fetch_details(["1"], "event", **{"1": answer(json.dumps({"event": an_event("1", home=3)}))})
    sql("UPDATE match SET home_score = 9, home = 'x'")
    assert told(count()) == {"day matches": (1, 0, 0), "event matches": (1, 0, 0)}
    correct()
    assert (match("1").home_score, match("1").home) == (3, "Göztepe")
    assert (match("2").home_score, match("2").home) == (None, "Çayırova 2")
    fetch(DAY, a_match(1, **LATER), a_match(2))
    sql("UPDATE match SET home_score = 9, home = 'x'")
    correct()
    assert (match("1").home_score, match("1").home) == (None, "Çayırova 1")


def test_a_match_that_its_newest_list_has_dropped_does_not_fall_back_to_an_older_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch(DAY, a_match(1), a_match(2))
    fetch(NEXT, a_match(2, status={"code": 60, "type": "postponed"}), a_match(3))
    fetch(NEXT, a_match(3))
    assert match("2").status == "POSTPONED"
    report = count()
    assert (report.differs, report.kept) == (False, 1)
    reads(monkeypatch, round="Final")
    correct()
    assert (match("2").status, match("2").round) == ("POSTPONED", None)
    assert (match("1").round, match("3").round) == ("Final", "Final")


def test_the_same_body_read_again_by_a_mended_adapter_tells_as_of_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = json.dumps({"event": an_event("2", home=1)})
    fetch_details(["2"], "event", **{"2": answer(document)})
    fetch(DAY, a_match(2), a_match(3))
    reads(monkeypatch, season="2025")
    fetch_details(["2"], "event", **{"2": answer(document)})
    assert (match("2").home, match("2").season) == ("Göztepe", "2025")
    assert told(count()) == {"day days": (1, 0, 0), "day matches": (1, 0, 0)}
    reads(monkeypatch, season="2025/26")
    correct()
    assert (match("2").home, match("2").season) == ("Göztepe", "2025/26")
    assert (match("3").home, match("3").season) == ("Çayırova 3", "2025/26")


# --- a part of it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        ({"kinds": ["day"]}, {"day": 2}),
        ({"kinds": ["lineups", "statistics"]}, {"lineups": 3, "statistics": 3}),
        ({"first": NEXT}, {"day": 1, "event": 1, "incidents": 1, "lineups": 1, "statistics": 1}),
        ({"last": DAY, "kinds": ["day", "event"]}, {"day": 1, "event": 3}),
        ({"first": DAY, "last": DAY, "kinds": ["lineups"]}, {"lineups": 3}),
        ({"first": date(2025, 6, 1)}, {}),
        ({"source": "sofascore"}, {}),
        ({"source": "sandbox", "kinds": ["event"]}, {"event": 3}),
    ],
)
def test_only_what_was_asked_for_is_read(wanted: dict[str, Any], read: dict[str, int]) -> None:
    a_collection()
    report = count(all_of(**wanted))
    assert {kind: n for (_, kind), n in report.answers.items()} == read
    assert report.total == sum(read.values())
    assert not report.differs


# --- being killed, and others at work -------------------------------------------------------------


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DAYS_AT_ONCE", 1)
    monkeypatch.setattr(module, "DETAILS_AT_ONCE", 2)


def twenty_days() -> None:
    for n in range(20):
        fetch(DAY + timedelta(days=n), *(a_match(10 * n + k) for k in range(1, 13)))


@pytest.mark.usefixtures("small_batches")
def test_killed_between_two_batches_the_next_run_finds_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twenty_days()
    reads(monkeypatch, round="Final")
    whole = told(count())
    assert whole == {"day days": (20, 0, 0), "day matches": (202, 0, 0)}
    running = renormalise(Wanted(), write=True)
    for report in running:
        if report.done == 7:
            break
    running.close()
    done = report.rows["sandbox", "day", "matches"].changed
    assert 0 < done < 202
    rest = correct().rows
    assert rest["sandbox", "day", "days"].changed == 13
    assert rest["sandbox", "day", "matches"].changed == 202 - done
    assert not count().differs


@pytest.mark.usefixtures("small_batches")
def test_killed_in_the_middle_of_a_batch_nothing_of_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twenty_days()
    reads(monkeypatch, round="Final")
    before = stored()
    calls: list[bool] = []
    head = module.correct_days

    def killed(work: Any, readings: Any) -> None:
        head(work, readings)
        calls.append(work.write)
        if calls.count(True) == 3:
            work.session.flush()
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "correct_days", killed)
    with pytest.raises(KeyboardInterrupt):
        correct()
    monkeypatch.setattr(module, "correct_days", head)
    written = [row != old for row, old in zip(stored(FixtureDay)["fixture_day"],
                                              before["fixture_day"], strict=True)]  # fmt: skip
    assert sum(written) == 2
    assert told(correct())["day days"] == (18, 0, 0)
    assert not count().differs


@pytest.mark.usefixtures("small_batches")
def test_what_is_stored_while_the_answer_is_read_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    a_collection()
    reads(monkeypatch, round="Final")
    read_day, read_detail = module._read_day, module._read_detail
    newer = json.dumps({"event": an_event("2", home=7)})

    def day_with_news(row: FixtureDay, *more: Any) -> Any:
        reading_ = read_day(row, *more)
        if row.date == DAY and not seen:
            seen.append("day")
            fetch(DAY, a_match(1, **LATER), a_match(2), a_match(3))
        return reading_

    def detail_with_news(row: MatchDetail, *more: Any) -> Any:
        reading_ = read_detail(row, *more)
        if row.kind == "event" and row.source_id == "2" and len(seen) == 1:
            seen.append("event")
            fetch_details(["2"], "event", **{"2": answer(newer)})
        return reading_

    seen: list[str] = []
    monkeypatch.setattr(module, "_read_day", day_with_news)
    monkeypatch.setattr(module, "_read_detail", detail_with_news)
    report = correct()
    assert seen == ["day", "event"]
    assert report.overtaken == 2
    assert match("1").kickoff.hour == 14
    assert match("2").home_score == 7
    with reading() as session:
        listed = select(func.count()).where(FixtureDayMatch.day_id == the_day().id)
        assert session.scalar(listed) == 3
    assert not count().differs


def test_who_stores_while_a_batch_is_corrected_waits_for_its_end(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_details(["1"], "statistics")
    sql("UPDATE match_statistic SET home = '99%'")
    newer = answer(json.dumps(statistics("61%")))
    workers: list[threading.Thread] = []
    correct_part = corrections._correct_part

    def store() -> None:
        with app.app_context():
            fetch_details(["1"], "statistics", **{"1/statistics": newer})

    def with_another(work: Any, *more: Any) -> None:
        if work.write and not workers:
            workers.append(threading.Thread(target=store))
            workers[0].start()
            workers[0].join(1)  # time enough to come between, if it could
        correct_part(work, *more)

    monkeypatch.setattr(corrections, "_correct_part", with_another)
    correct()
    workers[0].join()
    assert not count().differs
    with reading() as session:
        assert session.scalars(select(MatchStatistic.home)).all() == ["61%"]


@pytest.mark.usefixtures("small_batches")
def test_it_runs_while_workers_store(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    twenty_days()
    fetch_details([str(n) for n in range(1, 40)], "event", "statistics")
    reads(monkeypatch, round=lambda old: f"at {old.kickoff.hour}")
    problems: list[BaseException] = []

    def store() -> None:
        try:
            with app.app_context():
                for n in range(6):
                    fetch(
                        DAY + timedelta(days=3 * n),
                        *(a_match(30 * n + k, **LATER) for k in range(1, 13)),
                    )
                    event = {"event": {**an_event(str(n + 1), home=n), **LATER}}
                    fetch_details([str(n + 1)], "event", **{str(n + 1): answer(json.dumps(event))})
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    worker = threading.Thread(target=store)
    worker.start()
    while worker.is_alive():
        correct()
    worker.join()
    assert problems == []
    correct()
    assert not count().differs
    with reading() as session:
        for one in session.scalars(select(Match)):
            assert one.kickoff is not None
            assert one.round == f"at {one.kickoff.hour}"
    assert [match(str(n)).home_score for n in range(1, 7)] == list(range(6))
