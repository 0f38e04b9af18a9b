"""Every job kind as a Huey task, and the periodic ones. A bell carries a job's id and nothing else.

    huey_consumer tasks.huey        or        flask --app wsgi worker

No decision is taken here: a task opens the app, works on the job, closes.
"""

import atexit
import functools
import gc
import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask, current_app
from huey import crontab
from huey.signals import SIGNAL_INTERRUPTED
from sqlalchemy.orm import Session

import config as configuration
from app import create_app
from app.audit import trail
from app.audit.trail import Actor, Via
from app.backups.offsite_work import handlers as offsite_handlers
from app.backups.offsite_work import submit_due
from app.backups.schedule import fire_due
from app.backups.uploads import handlers as upload_handlers
from app.backups.work import bench_of
from app.backups.work import handlers as backup_handlers
from app.core import queue
from app.core.db import keep_few_pages, persist
from app.core.memory import keep_what_is_loaded, share_heaps
from app.core.statistics import gather_statistics
from app.drill.work import drill_item
from app.fixtures.asking import Desk
from app.fixtures.details import DetailWork
from app.fixtures.fetch import fetch_day as fetch_one_day
from app.fixtures.probe import Probe
from app.fixtures.probe import probe as probe_source
from app.fixtures.request import regular_request
from app.fixtures.retry import due_request
from app.jobs.models import Trigger
from app.jobs.moves import Claim
from app.jobs.prune import Keep, prune_item
from app.jobs.runner import Handler, kind_to_claim, more_urgent, work_on
from app.jobs.steward import Duty, Steward, duties_of, duties_of_all, duty_at_slots, run_due
from app.jobs.stream import Streams
from app.jobs.submit import ItemRequest, JobRequest, Submitted
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.mail.send import send_item
from app.monitoring import alerts
from app.schedules.fire import Submit, fire_if_due, last_due
from app.sources.http import Client
from app.sources.limiter import build_limiter
from app.sources.limits import at_once, rates_in_force
from app.sources.pace import forget_waits
from app.sources.registry import CurrentSources, source_table

config = configuration.load()
huey = queue.build_huey(config.redis_url, config.data_dir, config.redis_namespace)
ring = functools.partial(queue.ring, huey)

USER_AGENT = "Fikstur/0.1 (football data collection; one operator)"
PROBE_S = 8.0  # somebody at the panel waits for it
STOP_GRACE_S = 4.0  # `docker stop` kills after ten


# --- the job kinds --------------------------------------------------------------------------------


@huey.task()
def fetch_day(job_id: int) -> None:
    """One source's fixture list of one day."""
    work("fetch_day", job_id)


@huey.task()
def fetch_range(job_id: int) -> None:
    """The fixture lists of a range of days, an item each."""
    work("fetch_range", job_id)


@huey.task()
def fetch_details(job_id: int) -> None:
    """Details of matches: one item per match and kind, many at once."""
    work("fetch_details", job_id)


@huey.task()
def retry_errors(job_id: int) -> None:
    """Ask again for what open errors are about, an item each."""
    work("retry_errors", job_id)


@huey.task()
def prune_history(job_id: int) -> None:
    """Forget history that is old enough."""
    work("prune_history", job_id)


@huey.task()
def send_mail(job_id: int) -> None:
    """A letter to a user."""
    work("send_mail", job_id)


@huey.task()
def drill_chaos(job_id: int) -> None:
    """Workers killed on a sandbox and a database made for it; the receipt says what was lost."""
    work("drill_chaos", job_id)


@huey.task()
def create_backup(job_id: int) -> None:
    """An archive, verified and restored on trial."""
    work("create_backup", job_id)


@huey.task()
def verify_backup(job_id: int) -> None:
    """Every hash of an archive."""
    work("verify_backup", job_id)


@huey.task()
def drill_backup(job_id: int) -> None:
    """An archive restored into a scratch database and compared."""
    work("drill_backup", job_id)


@huey.task()
def preview_backup(job_id: int) -> None:
    """What a restore of an archive would change."""
    work("preview_backup", job_id)


@huey.task()
def restore_backup(job_id: int) -> None:
    """An archive in place of the live database."""
    work("restore_backup", job_id)


@huey.task()
def undo_restore(job_id: int) -> None:
    """What the last restore replaced, in its place again."""
    work("undo_restore", job_id)


@huey.task()
def prune_backups(job_id: int) -> None:
    """Archives that no rule keeps, into the trash."""
    work("prune_backups", job_id)


@huey.task()
def copy_backup(job_id: int) -> None:
    """An archive to the far side, read back."""
    work("copy_backup", job_id)


@huey.task()
def fetch_backup(job_id: int) -> None:
    """An archive back from the far side."""
    work("fetch_backup", job_id)


@huey.task()
def check_offsite(job_id: int) -> None:
    """Does the far side work, and what lies there?"""
    work("check_offsite", job_id)


@huey.task()
def receive_backup(job_id: int) -> None:
    """An archive that was sent, checked whole and listed."""
    work("receive_backup", job_id)


# --- the periodic ones ----------------------------------------------------------------------------

PERIODIC: dict[str, Submit] = {}


def periodic(name: str) -> Callable[[Submit], Submit]:
    """Fire `name` by its crontab in the configuration: from Huey, and from the steward's loop.

    Both may, in any number of workers: a due time is a unique row, and one of them gets it.
    """
    line = config.schedules[name]

    def is_due(at: datetime) -> bool:
        minute = at.replace(second=0, microsecond=0, tzinfo=UTC)
        return line is not None and last_due(line, config.time_zone, minute) == minute

    def register(submit: Submit) -> Submit:
        def fire_it() -> None:
            fire(name)

        if line is not None:
            PERIODIC[name] = submit
            huey.periodic_task(is_due, name=f"periodic_{name}")(fire_it)
        return submit

    return register


@periodic("fetch_upcoming")
def fetch_upcoming(session: Session, due: datetime) -> int | None:
    """Today and tomorrow, hourly."""
    return _submit_days(session, due, 0, 1)


@periodic("fetch_results")
def fetch_results(session: Session, due: datetime) -> int | None:
    """Yesterday's results, in the morning."""
    return _submit_days(session, due, -1, -1)


@periodic("retry_errors")
def retry_due_errors(session: Session, due: datetime) -> int | None:
    """Open errors whose next try has come, every five minutes."""
    return _submit(session, due_request(session, due))


@periodic("prune")
def prune_nightly(session: Session, _due: datetime) -> int | None:
    """History, every night."""
    items = [ItemRequest("prune_history", "history")]
    return _submit(session, JobRequest("prune_history", items, unique_key="prune_history"))


@huey.periodic_task(crontab())
def steward_pass() -> None:
    """The steward's duties once a minute, for a worker whose own loop has died."""
    with this_process().app.app_context():
        run_due([*duties_of_all(ring), *_firing()], at=0.0)


def fire(name: str) -> None:
    """Take the schedule's due time if nobody has; its job is rung for by the steward."""
    with this_process().app.app_context(), trail.acting(Actor(name, Via.SCHEDULE)):
        fire_if_due(name, config.schedules[name] or "", in_force().time_zone, PERIODIC[name])


def fire_backups() -> None:
    """As `fire`, of the schedules that are rows of a table."""
    with this_process().app.app_context(), trail.acting(Actor("backups", Via.SCHEDULE)):
        fire_due(in_force().time_zone)


@periodic("backup_digest")
def send_backup_digest(session: Session, due: datetime) -> int | None:
    """How the backups are, to administrators, weekly."""
    return alerts.digest(session, in_force(), due)


def look_after_backups() -> None:
    """Who is to be told of what is wrong with them, is."""
    with this_process().app.app_context(), trail.acting(Actor("backups", Via.SCHEDULE)):
        alerts.look(in_force())


def copy_backups() -> None:
    """What ought to be on the far side and is not; every backup is a job of its own."""
    with this_process().app.app_context(), trail.acting(Actor("backups", Via.SCHEDULE)):
        submit_due(in_force())


def in_force() -> configuration.Config:
    """The configuration with what is stored over it. Needs an app context."""
    now: configuration.Config = current_app.config["FIKSTUR"]
    return now


def _submit_days(session: Session, due: datetime, first: int, last: int) -> int | None:
    now = in_force()
    today = due.astimezone(ZoneInfo(now.time_zone)).date()
    days = (today + timedelta(days=first), today + timedelta(days=last))
    request = regular_request(session, source_table(now).usable(), now.failover, *days)
    return _submit(session, request)


def _submit(session: Session, request: JobRequest | None) -> int | None:
    if request is None:
        return None
    return submit_job(session, request, by="schedule", trigger=Trigger.SCHEDULE).job_id


# --- asking and working ---------------------------------------------------------------------------


def submit(request: JobRequest, *, by: str, trigger: Trigger) -> Submitted:
    """Write a job into the ledger, then ring for it. Needs an app context."""
    return submit_made(lambda _session: request, by=by, trigger=trigger)


def submit_made(make: Callable[[Session], JobRequest], *, by: str, trigger: Trigger) -> Submitted:
    """As `submit`, of a job that is made in the transaction in which it is written."""

    def write(session: Session) -> tuple[str, Submitted]:
        request = make(session)
        return request.kind, submit_job(session, request, by=by, trigger=trigger)

    kind, submitted = persist(write)
    ring(kind, submitted.job_id, min(submitted.items, config.worker_threads))
    return submitted


def probe(source: str) -> Probe:
    """Ask a source once, for who tests its settings; also one that is off. Needs an app context."""
    now = in_force()
    table = source_table(replace(now, sources=(*now.sources, source)))
    with (
        closing(Client(USER_AGENT, connect_timeout_s=PROBE_S, read_timeout_s=PROBE_S)) as client,
        closing(build_limiter(now)) as limiter,
    ):
        return probe_source(Desk(table, client), limiter, source)


def work(kind: str, job_id: int) -> None:
    """Work on a job for a slice of time, on the more urgent ones before; ring again for more."""
    process = this_process()
    with process.app.app_context():
        for its_kind, its_id in [*more_urgent(job_id), (kind, job_id)]:
            if process.work_on(its_id):
                ring(its_kind, its_id)


class Process:
    """What a worker process holds: its app, its name in the ledger, the loops of its steward."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.app: Flask = create_app(config, edges=False)
        self.live = self.app.extensions["live"]
        with self.app.app_context():
            keep_few_pages()
            self.live.follow_now()
            self.config = in_force()
        self.limiter = build_limiter(self.config)
        self.worker = Worker(config.lease_s, self.limiter)
        self.sources = CurrentSources(source_table(self.config))
        client = Client(
            USER_AGENT,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
            max_bytes=config.max_answer_bytes,
        )
        desk = Desk(self.sources, client)
        self.handlers = {
            "fetch_day": Handler(functools.partial(fetch_one_day, desk)),
            "prune_history": Handler(self.prune, deadline_s=3600),
            "send_mail": Handler(self.send_letter),
            "drill_chaos": Handler(functools.partial(drill_item, config), deadline_s=3600),
            **backup_handlers(bench_of(config)),
            **offsite_handlers(lambda: self.config),
            **upload_handlers(lambda: self.config),
        }
        work = DetailWork(desk, lambda source: at_once(self.limiter.rates(source)))
        self.streams = Streams(self.worker, work, functools.partial(queue.bells, huey))
        self.keeper = Steward(duties_of(self.worker), self.app.app_context)
        self.steward = Steward(self.duties(), self.app.app_context, self.worker.slot_in_s)
        self.live.on_change(self.follow)
        # All this stays: the collector need not look through it again, and less often through the
        # rest. It was a sixth of what an item costs.
        keep_what_is_loaded()
        share_heaps()
        gc.set_threshold(20_000, 10, 10)

    def work_on(self, job_id: int) -> bool:
        """Work a slice on the heavy items of a job one by one, then stream its light ones."""
        heavy = work_on(self.worker, job_id, self.handlers)
        light = self.streams.work_on(job_id)
        return light or heavy or self.worker.may_go_on(job_id)

    def duties(self) -> list[Duty]:
        """Everything the steward of this process does, beside keeping what is in hand."""
        slots = duty_at_slots(self.worker, ring)
        pass_on = Duty("pass bells on", self.pass_bells_on, every_s=0.0)
        follow = Duty("follow the settings", self.live.follow_now)
        tables = Duty("gather statistics", gather_statistics, every_s=5.0)
        return [*duties_of_all(ring, self.worker), slots, pass_on, follow, tables, *_firing()]

    def follow(self, changed: configuration.Config) -> None:
        """Work on with other settings; what is in hand is finished with those it began with."""
        before, rates = rates_in_force(self.config), rates_in_force(changed)
        self.config = changed
        self.sources.table = source_table(changed)
        self.limiter.change(rates)
        if others := [name for name in rates if rates[name] != before[name]]:
            persist(lambda session: forget_waits(session, others))

    def prune(self, claim: Claim, worker: Worker) -> None:
        """Keep as long as is set now."""
        days = (self.config.keep_history_days, self.config.keep_requests_days)
        prune_item(Keep(*days, self.config.keep_audit_days), claim, worker)

    def send_letter(self, claim: Claim, worker: Worker) -> None:
        """By the mail server that is set now."""
        send_item(self.config, claim, worker)

    def pass_bells_on(self) -> None:
        """What was rung twice here is rung again: another process may have a hand free for it."""
        for job_id in self.streams.bells_for_others():
            if kind := kind_to_claim(job_id):
                ring(kind, job_id)

    def start(self) -> None:
        """Begin both loops."""
        self.keeper.start()
        self.steward.start()

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """A clean stop: finish or give back what is in hand. Harmless the second time."""
        if self.worker.stopping.is_set() or self.pid != os.getpid():
            return
        with self.app.app_context():
            self.worker.stop(grace_s)
        self.keeper.stop()
        self.steward.stop()


_making_one = threading.Lock()


def _firing() -> list[Duty]:
    backups = Duty("fire the backups that are due", fire_backups, every_s=15.0)
    copies = Duty("submit the copies that are due", copy_backups, every_s=15.0)
    return [
        *(Duty(f"fire {name}", functools.partial(fire, name), every_s=5.0) for name in PERIODIC),
        backups,
        copies,
        Duty("tell of trouble with backups", look_after_backups, every_s=30.0),
    ]


@functools.lru_cache(maxsize=1)
def _process_of(_pid: int) -> Process:
    process = Process()
    atexit.register(process.stop)
    process.start()
    return process


def this_process() -> Process:
    """Made at first use, anew in each forked worker; one, however many threads begin at once."""
    with _making_one:
        return _process_of(os.getpid())


@huey.on_startup()
def begin() -> None:
    """The steward must run before the first bell is heard."""
    this_process()


@huey.on_shutdown()
def end() -> None:
    """A forked worker leaves without atexit; a thread's end is not the process's."""
    if os.getpid() != _MAIN_PID:
        this_process().stop()


@huey.signal(SIGNAL_INTERRUPTED)
def interrupted(_signal: str, _task: object) -> None:
    """Told to stop at once: give back what is in hand."""
    this_process().stop(grace_s=0)


_MAIN_PID = os.getpid()
