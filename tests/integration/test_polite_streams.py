"""What is claimed is held back too: pauses, breaker and limits as streams of details see them."""

from typing import Any

import pytest
from fakes import FakeOutside, answer, stream_all

from app.core.db import reading, transaction
from app.fixtures.details_request import details_plan
from app.jobs.models import Trigger
from app.jobs.submit import submit as submit_job
from app.sources.base import Request
from app.sources.models import SourceState
from app.sources.registry import adapter

pytestmark = pytest.mark.usefixtures("app")


def ask(items: int, source: str = "sandbox", kind: str = "event", first: int = 1) -> int:
    ids = [str(first + n) for n in range(items)]
    with transaction() as session:
        job = details_plan(session, adapter(source, "http://127.0.0.1:9"), ids, [kind]).job
        assert job is not None
        return submit_job(session, job, by="tester", trigger=Trigger.CLI).job_id


def state(source: str = "sandbox") -> SourceState | None:
    with reading() as session:
        return session.get(SourceState, source)


def test_a_good_answer_that_is_the_last_one_allowed_pauses_though_others_were_good_before() -> None:
    def says_how_many_are_left(request: Request) -> Any:
        left = 9 - int(request.url.split("/matches/")[1].split("/")[0])
        headers = {"x_requests_available_minute": str(left), "x_requestcounter_reset": "40"}
        return answer(b"{}", 404, **headers)  # no such part of the match: a good answer

    job_id = ask(9, "football_data", "head2head")
    stream_all(job_id, FakeOutside(says_how_many_are_left))
    found = state("football_data")
    assert found is not None
    assert found.code == "RATE_LIMITED"
