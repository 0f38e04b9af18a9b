"""Stand-ins that can be programmed: an outside that answers what the test says."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from app.fixtures.asking import Desk
from app.fixtures.details import DetailWork
from app.fixtures.fetch import fetch_day
from app.jobs.runner import Handler, work_on
from app.jobs.stream import Streams
from app.jobs.worker import Worker
from app.sources.base import Answer, Failure, Request, Source
from app.sources.registry import adapter

Reply = Answer | Failure | Exception


def answer(
    body: bytes | str = b"{}",
    status: int = 200,
    content_type: str = "application/json",
    **headers: str,
) -> Answer:
    """A whole answer; header names with _ for -."""
    told = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    raw = body.encode() if isinstance(body, str) else body
    return Answer(status, {"content-type": content_type, **told}, raw, 5)


class FakeOutside:
    """Answers each request with the next of its replies, the last one for ever after."""

    def __init__(self, *replies: Reply | Callable[[Request], Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[Request] = []

    def ask(self, request: Request) -> Answer | Failure:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return reply


class AllSources:
    """Every known adapter, switched on."""

    def known(self, name: str) -> Source:
        return self.get(name)

    def get(self, name: str) -> Source:
        return adapter(name, "http://127.0.0.1:9")

    def token(self, name: str) -> str | None:
        return "token"


class FrozenClock:
    """A time that moves only when told."""

    def __init__(self, at: datetime = datetime(2025, 6, 1, 12, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


def a_desk(outside: FakeOutside) -> Desk:
    """What a fetch needs, with the outside faked."""
    return Desk(AllSources(), outside, random=lambda: 0.5)


def work_all(job_ids: int | Iterable[int], desk: Desk, worker: Worker | None = None) -> Worker:
    """Work on jobs in this thread until nothing can be claimed."""
    worker = worker or Worker(lease_s=30)
    handlers = {"fetch_day": Handler(lambda claim, w: fetch_day(desk, claim, w))}
    for job_id in [job_ids] if isinstance(job_ids, int) else job_ids:
        while work_on(worker, job_id, handlers):
            pass
    return worker


def stream_all(job_id: int, outside: FakeOutside, worker: Worker | None = None) -> Worker:
    worker = worker or Worker(lease_s=30)
    streams = Streams(worker, DetailWork(a_desk(outside)))
    while streams.work_on(job_id, slice_s=2):
        pass
    return worker
