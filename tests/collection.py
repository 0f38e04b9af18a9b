"""A small collection with everything that is awkward: Turkish names, markup in names, gaps."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.db import transaction
from app.core.text import N_, Sentence
from app.errors.messages import EMPTY, SHRUNKEN
from app.errors.models import FixtureError
from app.errors.record import Problem, record_error
from app.fixtures import names
from app.fixtures.models import FixtureDay, FixtureDayMatch, Match, MatchChange, RawAnswer
from app.jobs.models import Worker
from app.sources.models import RequestLog

HOSTILE = "<script>alert('x')</script>"
NOON = datetime(2025, 5, 5, 9, 30, 15, tzinfo=UTC)


def a_match(source_id: str, home: str, away: str, **more: Any) -> Match:
    """A match, finished unless told otherwise."""
    fields = {
        "source": "sandbox",
        "kickoff": NOON,
        "status": "FINISHED",
        "raw_status": "finished/100",
        "home_score": 2,
        "away_score": 1,
        "competition": "Süper Lig",
        "round": "7",
        "country": "Türkiye",
        **more,
    }
    seen = {"first_seen_at": NOON, "last_seen_at": NOON, "changed_at": NOON}
    return Match(source_id=source_id, home=home, away=away, **fields, **seen)


def add_matches(session: Session, matches: Sequence[Match]) -> None:
    """Write them and their names, by which they are found."""
    session.add_all(matches)
    session.flush()
    names.know(session, [{n: getattr(match, n) for n in names.NAMED} for match in matches])


def fill() -> dict[str, int]:
    """Write it all; the ids of what tests ask for."""
    with transaction() as session:
        raw = RawAnswer(
            source="sandbox",
            kind="fetch_day",
            key="2025-05-05",
            fetched_at=NOON,
            http_status=200,
            sha256="0" * 64,
            size=1234,
            body=b"packed",
        )
        session.add(raw)
        session.flush()
        full = FixtureDay(
            source="sandbox",
            date=date(2025, 5, 5),
            data_id=20250505,
            count=4,
            finished=3,
            rejected=1,
            raw_id=raw.id,
            fetched_at=NOON,
            changed_at=NOON,
            looked_at=NOON,
            code="ROW_REJECTED",
            message=Sentence(HOSTILE),
        )
        bare = FixtureDay(
            source="football_data",
            date=date(2025, 5, 6),
            data_id=20250506,
            looked_at=NOON,
            code="NOT_FOUND",
        )
        pens = {"home_penalties": 4, "away_penalties": 2, "decided_by": "PENS"}
        gaps = dict.fromkeys(
            ("kickoff", "home_score", "away_score", "competition", "round", "country")
        )
        matches = [
            a_match("1", "Beşiktaş", "İstanbul Başakşehir", home_half_time=1, away_half_time=0),
            a_match("2", "Fenerbahçe", "Galatasaray", **pens),
            a_match("3", HOSTILE, "Iğdır FK", decided_by="AET"),
            a_match("4", "Århus", "Łódź", status="TIME_TBD", **gaps),
        ]
        other = a_match("1", "Real Madrid", "Atlético", source="football_data")
        session.add_all([full, bare])
        add_matches(session, [*matches, other])
        for position, match in enumerate(matches):
            session.add(FixtureDayMatch(day_id=full.id, match_id=match.id, position=position))
        for field, old, new in (("home", None, HOSTILE), ("status", "LIVE", "FINISHED")):
            changed = {"field": field, "old": old, "new": new, "raw_id": raw.id}
            session.add(MatchChange(match_id=matches[0].id, seen_at=NOON, **changed))
        fields = {"source": "sandbox", "template": "/days/{date}", "key": "2025-05-05"}
        session.add(RequestLog(at=NOON, status=200, code="OK", **fields))
        session.add(RequestLog(at=NOON, status=None, code="DNS", job_id=1, item_id=1, **fields))
        session.add(Worker(id="a:1:x", host="pc", pid=1, started_at=NOON, heartbeat_at=now()))
        session.add(
            Worker(
                id="b:2:x", host="ıssız", pid=2, started_at=NOON, heartbeat_at=NOON, stopped_at=NOON
            )
        )
        session.add(Worker(id="c:3:x", host="lost", pid=3, started_at=NOON, heartbeat_at=NOON))
        return {"day": full.id, "match": matches[0].id, "gaps": matches[3].id, "raw": raw.id}


def an_error(key: str, code: str = "NOT_FOUND", source: str = "sandbox", **more: Any) -> int:
    """An open problem: its id."""
    sentence = Sentence(N_("%(what)s went wrong."), {"what": HOSTILE})
    fields = {"kind": "fetch_day", "http_status": 404, "message": sentence, **more}
    evidence = {"body": f"{HOSTILE} ş", "headers": {"server": HOSTILE}}
    problem = Problem(source=source, key=key, code=code, evidence=evidence, **fields)
    with transaction() as session:
        record_error(session, problem, now() - timedelta(minutes=5))
        found = session.query(FixtureError.id).filter_by(source=source, key=key, resolved_at=None)
        return found.scalar()


def a_suspect(key: str, rows: int = 12, stored: int = 100, source: str = "sandbox") -> int:
    """The open problem of a day that had so many matches and was answered with fewer: its id."""
    values = {"source": source, "last_good": stored} | ({"count": rows} if rows else {})
    message = Sentence(SHRUNKEN if rows else EMPTY, values)
    day, code = date.fromisoformat(key), "SUSPECT_EMPTY"
    with transaction() as session:
        told = {"data_id": int(key.replace("-", "")), "looked_at": NOON, "fetched_at": NOON}
        session.add(FixtureDay(source=source, date=day, count=stored, code=code, **told))
    return an_error(key, code, source, http_status=200, message=message)
