"""The jobs of backups: an item's work, its effect and its end in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.backups import catalogue, previews
from app.backups.archive import Archive, opened, verify
from app.backups.choice import from_params
from app.backups.depot import Depot, LockedError, Tell, tell_nobody
from app.backups.drill import drill
from app.backups.journal import Entry
from app.backups.keys import Keys, identities
from app.backups.layout import DamagedError
from app.backups.manifest import Made, Type
from app.backups.members import MissingIdentityError
from app.backups.models import Backup, State
from app.backups.places import Place
from app.backups.preview import preview
from app.backups.progress import Board
from app.backups.prune import prune
from app.backups.request import PATIENT, prune_request
from app.backups.restore import Terms, restore, undo
from app.backups.retention import Policy
from app.backups.write import Order, create
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs import ledger
from app.jobs.models import ItemOutcome, Job, Trigger
from app.jobs.moves import Claim, Report
from app.jobs.runner import Handler
from app.jobs.submit import submit
from app.jobs.worker import Worker

if TYPE_CHECKING:
    from config import Config

DEADLINE_S = 3600
LOCKED_AGAIN_S = 20.0  # how soon a patient job looks again whether the others have ended

# Why an item failed, for programs.
LOCKED = "BACKUP_LOCKED"
DAMAGED = "BACKUP_DAMAGED"
REFUSED = "BACKUP_REFUSED"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work needs, whoever does it."""

    depot: Depot
    policy: Policy
    zone: ZoneInfo
    tell: Tell = tell_nobody


class _StoppingError(Exception):
    """This worker was told to stop."""


def bench_of(config: "Config", tell: Tell = tell_nobody) -> Bench:
    """The bench of an installation, from its settings."""
    wanted = config.backup
    depot = Depot(
        wanted.folder,
        Keys(config.data_dir / "backup_keys"),
        Place(config.database_url),
        _shown(config),
        config.secret_key,
        wanted.identity_file,
        wanted.undo_days,
        wanted.media.resolve(),
    )
    policy = Policy(wanted.keep, wanted.daily, wanted.weekly, wanted.monthly, wanted.yearly)
    return Bench(depot, policy, ZoneInfo(config.time_zone), tell)


def _shown(config: "Config") -> dict[str, object]:
    """The settings without those that are marked as secret."""
    return {
        field.name: _shown_value(getattr(config, field.name))
        for field in fields(config)
        if field.repr
    }


def _shown_value(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _shown_value(one) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value) if one.repr}
    return str(value) if isinstance(value, Path) else value


Work = Callable[[Bench, Claim], None]


def handlers(bench: Bench) -> dict[str, Handler]:
    """How each kind of item is worked on."""
    kinds: dict[str, Work] = {
        "create_backup": create_backup,
        "verify_backup": verify_backup,
        "drill_backup": drill_backup,
        "preview_backup": preview_backup,
        "restore_backup": restore_backup,
        "undo_restore": undo_restore,
        "prune_backups": prune_backups,
    }
    return {kind: Handler(_guarded(bench, work), DEADLINE_S) for kind, work in kinds.items()}


def _guarded(bench: Bench, work: Work) -> Callable[[Claim, Worker], None]:
    """The work, stopped when it should stop; what cannot be done ends the item."""

    def handle(claim: Claim, worker: Worker) -> None:
        board = Board(bench.depot.folder, claim)

        def tell(step: str, done: int, of: int) -> None:
            if worker.stopping.is_set():
                raise _StoppingError
            worker.check(claim)
            bench.tell(step, done, of)
            board.tell(step, done, of)

        try:
            with board:
                work(replace(bench, tell=tell), claim)
        except _StoppingError:
            persist(lambda session: ledger.give_back(session, [(claim.item_id, claim.fence)]))
        except LockedError as error:
            _wait_or_fail(claim, Report(LOCKED, error.sentence))
        except RequestError as error:
            report = Report(_code(error), error.sentence)
            persist(lambda session: ledger.fail(session, claim, report))
        except (DBAPIError, OSError) as error:
            report = Report(REFUSED, surroundings(error))
            persist(lambda session: ledger.fail(session, claim, report))

    return handle


def _wait_or_fail(claim: Claim, report: Report) -> None:
    """Who presses a button is told at once; what was taken up again, after a restore say, waits."""
    if not _params(claim).get(PATIENT) and claim.fence == 1:
        persist(lambda session: ledger.fail(session, claim, report))
        return
    again = LOCKED_AGAIN_S
    persist(lambda s: ledger.wait_again(s, claim, again, report, burns_attempt=False))


def surroundings(error: DBAPIError | OSError) -> Sentence:
    """What is wrong with the disk or the database, in words."""
    reason = error.orig if isinstance(error, DBAPIError) else error.strerror or error
    return Sentence(
        N_("The disk or the database did not go along (%(reason)s)."),
        {"reason": str(reason).partition("\n")[0][:200]},
    )


def _code(error: RequestError) -> str:
    return DAMAGED if isinstance(error, DamagedError) else REFUSED


# --- the kinds ------------------------------------------------------------------------------------


def create_backup(bench: Bench, claim: Claim) -> None:
    """Make the archive with the item's id, unless it is there already; verify and drill it."""
    wanted = _params(claim)
    order = Order(claim.key, wanted["name"], Type(wanted["type"]), Made(wanted["made"]))
    depot = bench.depot
    with depot.locked():
        if wanted.get("incremental"):
            order = replace(order, base=catalogue.sound_base(depot, order.type, bench.tell))
        path = _made_before(depot, order) or create(depot, order, bench.tell)
        with opened(path, identities(depot.identity_file)) as archive:
            row = catalogue.described(depot, archive) | {"job_id": claim.job_id}
            to_drill = wanted["drill"] and archive.manifest.drillable and archive.readable
            try:
                verify(archive, bench.tell)
                found = {"state": State.VERIFIED, "verified_at": now()}
                if to_drill:
                    found |= _drilled(drill(depot, path, bench.tell).seconds)
                found |= catalogue.lacking(archive)
            except DamagedError as error:
                row |= {"state": State.CORRUPT, "message": error.sentence}
                persist(lambda session: catalogue.record(session, row))
                raise
    row |= found
    message = _made_message(row, drill=wanted["drill"])
    _finish(claim, message, lambda session: _note_made(session, row))


def _note_made(session: Session, row: dict[str, Any]) -> None:
    """What a schedule made and is good makes room: the rules of retention are applied."""
    catalogue.record(session, row)
    if row["made"] == Made.SCHEDULED:
        submit(session, prune_request(patient=True), by="schedule", trigger=Trigger.SCHEDULE)


def verify_backup(bench: Bench, claim: Claim) -> None:
    """Every hash of a backup in the catalogue."""
    depot, backup = bench.depot, _known(claim.key)
    with (
        _noting_faults(bench, backup) as path,
        opened(path, identities(depot.identity_file)) as archive,
    ):
        _refuse_exchanged(backup, archive)
        was_read = verify(archive, bench.tell)
        lacking = catalogue.lacking(archive)
    state = State.DRILLED if backup.drilled_at else State.VERIFIED
    message = Sentence(
        N_("%(file)s is whole.")
        if was_read
        else N_("%(file)s is whole; what is encrypted in it was not read."),
        {"file": backup.file},
    )
    found = {"state": state, "verified_at": now(), "message": None, **lacking}
    _finish(claim, message, lambda session: catalogue.note(session, backup.id, **found))


def drill_backup(bench: Bench, claim: Claim) -> None:
    """Restore a backup of the catalogue into a scratch database."""
    backup = _known(claim.key)
    with bench.depot.locked(), _noting_faults(bench, backup) as path:
        drilled = drill(bench.depot, path, bench.tell)
        with opened(path, identities(bench.depot.identity_file)) as archive:
            lacking = catalogue.lacking(archive)
    message = Sentence(
        N_("%(file)s was restored into a scratch database: %(rows)s rows in %(seconds)s s."),
        {"file": backup.file, "rows": drilled.rows, "seconds": round(drilled.seconds, 1)},
    )
    found = {"verified_at": now(), "message": None, **_drilled(drilled.seconds), **lacking}
    _finish(claim, message, lambda session: catalogue.note(session, backup.id, **found))


def preview_backup(bench: Bench, claim: Claim) -> None:
    """What a restore would change; the page of the backup shows it."""
    backup, folder = _known(claim.key), bench.depot.folder
    part = from_params(_params(claim).get("part") or {})
    with _noting_faults(bench, backup) as path:
        found = preview(bench.depot, path, bench.tell, part)
    previews.put(folder, backup.id, claim.job_id, found, part)
    message = Sentence(
        N_("%(file)s was compared with what is live; nothing was changed."), {"file": backup.file}
    )
    _finish(claim, message, lambda _session: None)


def restore_backup(bench: Bench, claim: Claim) -> None:
    """Restore a backup of the catalogue; afterwards this item is in the database kept for undo.

    The restored ledger has an ended job of its own for it.
    """
    backup, wanted = _known(claim.key), _params(claim)
    with reading() as session:
        by = session.scalar(select(Job.requested_by).where(Job.id == claim.job_id)) or ""
    with bench.depot.locked(), _noting_faults(bench, backup) as path:
        part = from_params(wanted.get("part") or {})
        terms = Terms(by, bool(wanted.get("trust")), part)
        _ended(claim, restore(bench.depot, path, terms, bench.tell))


def undo_restore(bench: Bench, claim: Claim) -> None:
    """Put back what the last restore replaced; this item is in what is kept in its turn."""
    with reading() as session:
        by = session.scalar(select(Job.requested_by).where(Job.id == claim.job_id)) or ""
    with bench.depot.locked():
        _ended(claim, undo(bench.depot, by, bench.tell))


def _ended(claim: Claim, entry: Entry) -> None:
    """Where the ledger itself was not exchanged, the item is still in it."""
    if entry.kept is None:
        told = N_("Restored from %(file)s: %(part)s.")
        values = {"file": entry.file, "part": entry.part or "media"}
        _finish(claim, Sentence(told, values), lambda _session: None)


def prune_backups(bench: Bench, claim: Claim) -> None:
    """Retention."""
    with bench.depot.locked():
        pruned = prune(bench.depot, bench.policy, bench.zone)
    message = Sentence(
        N_("%(removed)s backups moved to the trash, %(kept)s kept."),
        {"removed": len(pruned.removed), "kept": len(pruned.verdicts) - len(pruned.removed)},
    )
    _finish(claim, message, lambda _session: None)


# --- their parts ----------------------------------------------------------------------------------


def _params(claim: Claim) -> dict[str, Any]:
    with reading() as session:
        return dict(session.scalars(select(Job.params).where(Job.id == claim.job_id)).one())


def _known(backup_id: str) -> Backup:
    return catalogue.find(backup_id)


def _made_before(depot: Depot, order: Order) -> Path | None:
    """The archive of an item whose worker died between writing and noting it."""
    for path in depot.archives():
        if path.stem.endswith(order.id[:8]):
            with opened(path) as archive:
                if archive.manifest.id == order.id:
                    return path
    return None


def _drilled(seconds: float) -> dict[str, Any]:
    return {"state": State.DRILLED, "drilled_at": now(), "drill_s": seconds}


def _made_message(row: dict[str, Any], *, drill: bool) -> Sentence:
    values = {"file": row["file"], "rows": row["rows"]}
    if row["state"] == State.DRILLED:
        seconds = round(row["drill_s"], 1)
        return Sentence(
            N_(
                "%(file)s: %(rows)s rows, written, verified and restored on trial in %(seconds)s s."
            ),
            {**values, "seconds": seconds},
        )
    if drill and row["encrypted"] and row["engine"]:
        return Sentence(
            N_(
                "%(file)s: %(rows)s rows, written and verified; not restored on trial, because "
                "only its recipients can open it."
            ),
            values,
        )
    return Sentence(N_("%(file)s: %(rows)s rows, written and verified."), values)


def _refuse_exchanged(backup: Backup, archive: Archive) -> None:
    if archive.manifest.id != backup.id:
        raise DamagedError(
            N_("%(file)s is another backup than its name says: it holds %(id)s."),
            file=backup.file,
            id=archive.manifest.id[:8],
        )


class _noting_faults:  # noqa: N801  reads as the statement it is
    """The path of a backup; what turns out to be wrong with it stands in the catalogue."""

    def __init__(self, bench: Bench, backup: Backup) -> None:
        self._bench, self._backup = bench, backup

    def __enter__(self) -> Path:
        path = self._bench.depot.folder / self._backup.file
        if not path.is_file():
            catalogue.mark_missing(self._backup.id)
            raise RequestError(
                N_("The file %(file)s is no longer in %(folder)s."),
                file=self._backup.file,
                folder=self._bench.depot.folder,
            )
        return path

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DamagedError) and not isinstance(error, MissingIdentityError):
            sentence, backup_id = error.sentence, self._backup.id
            persist(lambda session: catalogue.note_fault(session, backup_id, sentence))


def _finish(claim: Claim, message: Sentence, effect: Callable[[Session], None]) -> None:
    def both(session: Session) -> None:
        ledger.hold(session, claim)
        effect(session)
        ledger.finish(session, claim, ItemOutcome.STORED, Report(message=message))

    persist(both)
