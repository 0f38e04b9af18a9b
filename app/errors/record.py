"""The only writers of open problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from app.core.db import insert_into
from app.core.text import Sentence
from app.errors.fingerprint import fingerprint
from app.errors.models import FixtureError
from app.errors.policy import Failures, counted_together


@dataclass(frozen=True, slots=True)
class Problem:
    """What is known of a failure, ready to be written."""

    source: str
    kind: str
    key: str
    code: str
    message: Sentence
    evidence: Mapping[str, Any]
    http_status: int | None = None
    next_try_at: datetime | None = None
    job_id: int | None = None
    item_id: int | None = None
    burns_attempt: bool = True  # throttling is nobody's failure


def record_error(session: Session, problem: Problem, now: datetime) -> None:
    """Open the problem, or bring the open one of the same source, kind and key up to date."""
    latest = {
        "code": problem.code,
        "http_status": problem.http_status,
        "message": problem.message,
        "fingerprint": fingerprint(
            problem.source, problem.code, problem.http_status, problem.message
        ),
        "evidence": dict(problem.evidence),
        "last_seen_at": now,
        "next_try_at": problem.next_try_at,
        "job_id": problem.job_id,
        "item_id": problem.item_id,
    }
    counted = {"counted_code": problem.code, "code_attempts": 1, "code_since": now}
    statement = insert_into(session, FixtureError).values(
        source=problem.source,
        kind=problem.kind,
        key=problem.key,
        first_seen_at=now,
        attempts=int(problem.burns_attempt),
        **latest,
        **(counted if problem.burns_attempt else {}),
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["source", "kind", "key"],
            index_where=FixtureError.resolved_at.is_(None),
            set_=latest | (_one_more(problem.code, now) if problem.burns_attempt else {}),
        )
    )


def _one_more(code: str, now: datetime) -> dict[str, Any]:
    """The count of attempts goes on, or begins anew with another code."""
    goes_on = FixtureError.counted_code.in_(counted_together(code))
    is_same = FixtureError.counted_code == code
    return {
        "attempts": FixtureError.attempts + 1,
        "counted_code": code,
        "code_attempts": case((goes_on, FixtureError.code_attempts + 1), else_=1),
        "code_since": case((is_same, FixtureError.code_since), else_=now),
    }


def failures_of(problem: FixtureError | None) -> Failures:
    """What the next plan has to know of an open problem."""
    return Failures(problem.counted_code, problem.code_attempts) if problem else Failures()


def resolve(
    session: Session, source: str, kind: str, key: str, now: datetime, by: str = "success"
) -> int:
    """Close the open problem of this source, kind and key, if there is one; it stays as history."""
    done = session.execute(
        update(FixtureError)
        .where(
            FixtureError.source == source,
            FixtureError.kind == kind,
            FixtureError.key == key,
            FixtureError.resolved_at.is_(None),
        )
        .values(resolved_at=now, resolved_by=by, next_try_at=None)
        .returning(FixtureError.id)
    ).all()
    return len(done)


def put_off(session: Session, error_ids: list[int], until: datetime | None) -> None:
    """Set when these problems are tried again."""
    session.execute(
        update(FixtureError)
        .where(FixtureError.id.in_(error_ids), FixtureError.resolved_at.is_(None))
        .values(next_try_at=until)
    )
