"""The drill with real processes: it passes, it can fail, and it leaves nothing behind."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from commands import SQLITE_ONLY, run, run_json
from conftest import settings
from flask import Flask
from panel import Visitor, signed_in
from stage import Stage, kill, stage, wait_until

import tasks
from app import create_app
from app.accounts.models import Role
from app.core.clock import now
from app.core.db import db, persist, reading, transaction
from app.core.text import RequestError
from app.drill import chaos
from app.drill.models import DrillReceipt
from app.drill.plan import Plan
from app.drill.receipt import as_kept, from_kept, judge, passed
from app.drill.scratch import Instance, clear_up
from app.drill.work import drill_item, drill_request, receipts
from app.jobs.models import ItemState, Job, JobItem, Trigger
from app.jobs.report import job_report
from app.jobs.submit import JobRequest
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker

pytestmark = pytest.mark.xdist_group("drills")  # one clears up what others left on the server
SMALL = ("--items", "100", "--kills", "2")
CONTROL = ("tests.chaos.worker_that_takes_nothing_back",)
NEVER_READ = b"whoever opens this as a database fails"
on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)
posix_only = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")


def processes(tmp_path: Path) -> list[str]:
    """The drill's processes that live: each has the temporary folder of the test in its settings.

    Empty where the system does not tell.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            inside = str(tmp_path).encode() in (path / "environ").read_bytes()
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if inside and "app.drill.child" in command:
            found.append(command)
    return found


def drills_on(url: str) -> set[str]:
    """The drills' databases on that server."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        names = connection.scalars(sa.text("SELECT datname FROM pg_database")).all()
    engine.dispose()
    return {name for name in names if name.startswith("fikstur_drill_")}


def rows_of(url: str) -> dict[str, int]:
    """How many rows each table has."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        counts = {
            name: connection.scalar(sa.text(f'SELECT count(*) FROM "{name}"'))
            for name in sa.inspect(engine).get_table_names()
        }
    engine.dispose()
    return counts


class Scene:
    """An instance, and everything of it that a drill must leave as it was."""

    def __init__(self, made: Stage, stack: dict[str, str], tmp_path: Path) -> None:
        self.stage, self.stack, self.tmp_path = made, stack, tmp_path
        self.file = Path(made.environ["DATA_DIR"]) / "fikstur.db"
        if not stack:
            self.file.write_bytes(NEVER_READ)
        self.before = self.outside()

    def outside(self) -> dict[str, Any]:
        if not self.stack:
            return {"file": self.file.read_bytes()}
        client = redis.Redis.from_url(self.stack["REDIS_URL"])
        keys = {key: client.dump(key) for key in client.scan_iter()}
        client.close()
        url = self.stack["DATABASE_URL"]
        return {"rows": rows_of(url), "redis": keys, "databases": drills_on(url)}

    def assert_nothing_is_left(self) -> None:
        assert processes(self.tmp_path) == []
        assert list((self.tmp_path / "tmp").iterdir()) == [], self.stage.log_text()
        left = self.outside()
        # One that a drill of another test had left is cleared up by this one: not our doing.
        assert left.pop("databases", set()) <= self.before.get("databases", set())
        assert left == {what: was for what, was in self.before.items() if what != "databases"}


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Scene]:
    """An instance with things of its own on each stack, and a temporary folder of the test's."""
    (tmp_path / "tmp").mkdir()
    if stack:
        client = redis.Redis.from_url(stack["REDIS_URL"])
        client.lpush("huey.redis.fikstur", b"a bell of the instance")
        client.set("somebody", "else")
        client.close()
    folders = {name: str(tmp_path / "tmp") for name in ("TMPDIR", "TEMP", "TMP")}
    with stage(tmp_path, **folders, **stack) as made:
        yield Scene(made, stack, tmp_path)


def test_it_passes_and_leaves_nothing(scene: Scene) -> None:
    done = scene.stage.flask("drill", "chaos", *SMALL, "--wipe-redis", "--json", timeout=250)
    assert done.returncode == 0, (done.stdout, done.stderr)
    receipt = json.loads(done.stdout)
    assert (receipt["verdict"], receipt["why"]) == ("PASSED", [])
    assert receipt["done"] == receipt["effects"] == receipt["submitted"] == 100
    assert receipt["doubled"] == receipt["unbalanced"] == 0
    assert receipt["executions"] == 100 + receipt["repeated"]
    assert receipt["repeated"] <= receipt["claimed_again"] == receipt["explained"]
    assert (len(receipt["kills"]), receipt["wipes"]) == (2, 2)
    lost = [one for one in receipt["kills"] if one["in_hand"]]
    assert all(0 < one["back_s"] <= one["again_s"] for one in lost)
    engines = ("postgresql", "redis") if scene.stack else ("sqlite", "sqlite")
    assert (receipt["database"], receipt["queue"]) == engines
    assert "finishing" in done.stderr or "killing workers" in done.stderr
    scene.assert_nothing_is_left()


@posix_only
@pytest.mark.redis
@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
def test_who_stops_it_finds_nothing_left(scene: Scene) -> None:
    drill = start(scene)
    drill.send_signal(signal.SIGTERM)
    while drill.poll() is None:  # impatience does not disturb the clearing up, to the very end
        drill.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert drill.returncode == 130
    assert "The drill was stopped" in scene.stage.log_text()
    scene.assert_nothing_is_left()


@posix_only
@pytest.mark.redis
@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
def test_when_it_is_killed_its_processes_end_and_the_next_one_clears_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(start(scene))
    wait_until(lambda: not processes(scene.tmp_path))
    assert list((scene.tmp_path / "tmp").glob("fikstur_drill_*/data"))
    monkeypatch.setattr(tempfile, "tempdir", str(scene.tmp_path / "tmp"))
    clear_up(Instance(scene.stack["DATABASE_URL"], scene.stack["REDIS_URL"]))
    scene.assert_nothing_is_left()


def start(scene: Scene) -> subprocess.Popen[bytes]:
    """A drill whose workers have begun."""
    drill = scene.stage.start("-m", "flask", "--app", "wsgi", "drill", "chaos", *SMALL)
    wait_until(lambda: sum("worker" in each for each in processes(scene.tmp_path)) == 2)
    return drill


# --- it can fail ----------------------------------------------------------------------------------


def test_control_with_workers_that_take_nothing_back_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    control = Plan(items=40, kills=1, patience_s=5.0, worker=CONTROL)
    here = Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", None)
    facts = chaos.drill(here, control, tell=lambda _: None, check=lambda: None)
    why = " ".join(map(str, judge(facts)))
    assert not passed(facts)
    assert "Nothing moved any more" in why
    assert f"{facts.done} of 40 items are done" in why
    assert facts.done < 40
    assert facts.states["running"] >= 1
    assert [one.back_s for one in facts.kills] == [None]
    assert list(tmp_path.iterdir()) == []


def test_workers_that_cannot_start_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", None)
    wanted = Plan(items=20, kills=1, worker=("app.nobody",))
    with pytest.raises(RequestError, match=r"ended by itself with exit code 1: .*app\.nobody"):
        chaos.drill(here, wanted, tell=lambda _: None, check=lambda: None)
    assert list(tmp_path.iterdir()) == []


# --- the command ----------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--items", "0"), "“0” is not a whole number from 20 to 20000"),
        (("--items", "20001"), "“20001” is not a whole number from 20 to 20000"),
        (("--items", "many"), "“many” is not a whole number"),
        (("--kills", "0"), "“0” is not a whole number from 1 to 100"),
        (("--kills", "101"), "“101” is not a whole number from 1 to 100"),
        (("--items", "100", "--kills", "6"), "A drill of 100 items cannot kill 6 times"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(
    app: Flask, options: tuple[str, ...], said: str
) -> None:
    result = run(app, "drill", "chaos", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@on_sqlite
def test_it_is_explained_in_both_languages(app: Flask) -> None:
    for language, word in (("en", "The real data is not touched."), ("tr", "Gerçek verilere")):
        result = run(app, "drill", "chaos", "--help", language=language)
        assert result.exit_code == 0
        assert word in " ".join(result.stdout.split())


@on_sqlite
def test_past_receipts_are_listed(app: Flask) -> None:
    assert run_json(app, "drill", "list") == []
    assert "No drill was asked for" in run(app, "drill", "list").stdout
    keep()
    (row,) = run_json(app, "drill", "list")
    assert (row["verdict"], row["submitted"]) == ("FAILED", 500)
    assert "The drill FAILED: 499 of 500 items are done." in run(app, "drill", "list").stdout


def keep(done: int = 499) -> int:
    names = ("submitted", "done_once", "effects", "executions")
    none = ("doubled", "never_asked", "unexplained", "claimed_again", "explained", "unbalanced")
    facts = {
        "database": "sqlite",
        "queue": "sqlite",
        "lease_s": 3.0,
        "took_s": 12.0,
        "kills_asked": 0,
        "looks": 9,
        "states": {"done": done},
        **dict.fromkeys(names, 500),
        **dict.fromkeys(none, 0),
    }
    kept = from_kept(facts)
    with transaction() as session:
        row = DrillReceipt(job_id=1, at=now(), passed=passed(kept), facts=as_kept(kept))
        session.add(row)
        session.flush()
        return row.id


# --- the panel ------------------------------------------------------------------------------------


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.scalars(sa.select(Job)))


@pytest.fixture
def administrator(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


PAGE = "/admin/drill/"


@contextlib.contextmanager
def production(app: Flask) -> Iterator[None]:
    """The app configured as one that does real work."""
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, environment="production")
    yield
    app.config["FIKSTUR"] = config


def test_the_button_submits_a_drill(administrator: Visitor) -> None:
    page = administrator.text(PAGE)
    assert 'name="items"' in page
    assert 'value="500"' in page
    answer = administrator.press(PAGE, page=PAGE, items="500", kills="3", wipe="1")
    (job,) = jobs()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert (job.kind, job.submitted, job.trigger) == ("drill_chaos", 1, "panel")
    assert job.params == {"items": 500, "kills": 3}
    assert "Chaos drill: 500 matches, workers killed: 3" in answer.text
    again = administrator.press(PAGE, page=PAGE, items="100", kills="1")
    assert "is doing just that already" in again.text
    assert len(jobs()) == 1


@on_sqlite
@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"items": "0", "kills": "1"}, "A drill cannot work on 0 items. Ask for 20 to 5000."),
        ({"items": "5001", "kills": "1"}, "cannot work on 5,001 items"),
        ({"items": "100", "kills": "6"}, "cannot kill 6 times. Ask for 1 to 5."),
        ({"items": "-5", "kills": "1"}, "“-5” is not a whole number."),
        ({"items": "100", "kills": ""}, "“” is not a whole number."),
        ({"items": "9" * 50, "kills": "1"}, "is not a whole number."),
        ({}, "“” is not a whole number."),
    ],
)
def test_what_no_drill_can_do_comes_back_with_a_sentence(
    administrator: Visitor, form: dict[str, str], said: str
) -> None:
    answer = administrator.press(PAGE, page=PAGE, **form)
    assert answer.status_code == 422
    assert said in answer.text
    assert jobs() == []


@on_sqlite
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_and_start_drills(app: Flask, role: Role) -> None:
    receipt = keep()
    other = signed_in(app, role)
    assert PAGE not in other.text("/admin/")
    for address in (PAGE, f"{PAGE}{receipt}"):
        assert other.get(address).status_code == 403
    assert other.press(PAGE, items="500", kills="3").status_code == 403
    assert jobs() == []


@on_sqlite
def test_in_production_there_is_no_button_and_none_can_be_pressed(
    app: Flask, administrator: Visitor
) -> None:
    with production(app):
        page = administrator.text(PAGE)
        assert 'name="items"' not in page
        assert "This is a production instance" in page
        data = {"csrf_token": administrator.token(), "items": "500", "kills": "3"}
        answer = administrator.post(PAGE, data=data)
        assert answer.status_code == 403
        assert "This is a production instance" in answer.text
    assert jobs() == []


@on_sqlite
def test_a_receipt_is_shown_with_its_verdict(administrator: Visitor) -> None:
    assert "No drill was run from here yet" in administrator.text(PAGE)
    bad, good = keep(), keep(done=500)
    page = administrator.text(PAGE)
    assert "mark-bad" in page
    assert "mark-good" in page
    shown = administrator.text(f"{PAGE}{bad}")
    assert "499 of 500 items are done." in shown
    assert "finding-bad" not in administrator.text(f"{PAGE}{good}")
    assert administrator.get(f"{PAGE}4711").status_code == 404


# --- the job --------------------------------------------------------------------------------------


class _Production:
    production, database_url, redis_url = True, "sqlite:///nowhere.db", None


class _Development(_Production):
    production = False


@on_sqlite
@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        (_Production, "drill_chaos", "This is a production instance"),
        (_Development, "retry_errors", "A drill is not retried"),
    ],
)
def test_a_worker_refuses_what_the_page_would_not_have_started(
    app: Flask, config: type[_Production], kind: str, said: str
) -> None:
    items = drill_request(Plan.checked(20, 1)).items
    job_id = submit(JobRequest(kind, items))
    worker = Worker(30)
    (claim,) = worker.claim(job_id, ["drill_chaos"], deadline_s=300)
    drill_item(config(), claim, worker)
    with reading() as session:
        item = session.scalars(sa.select(JobItem)).one()
        assert item.state == ItemState.FAILED
        assert said in str(item.message)
        assert receipts(session) == []


def submit(request: JobRequest) -> int:
    done = persist(lambda s: submit_job(s, request, by="tester", trigger=Trigger.PANEL))
    return done.job_id


@pytest.fixture
def instance(
    scene: Scene, migrated_sqlite: Path, stack: dict[str, str]
) -> Iterator[tuple[Stage, Flask]]:
    """A stage whose ledger can be looked into."""
    if not stack:
        scene.file.write_bytes(migrated_sqlite.read_bytes())
    app = create_app(settings(scene.file.parent, **stack), edges=False)
    with app.app_context():
        yield scene.stage, app
        db.engine.dispose()


def until_item(state: str) -> JobItem:
    def found() -> JobItem | None:
        with reading() as session:
            return session.scalars(sa.select(JobItem).where(JobItem.state == state)).one_or_none()

    return wait_until(found, 120)


@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_a_worker_runs_it_and_keeps_the_receipt(
    instance: tuple[Stage, Flask], tmp_path: Path
) -> None:
    made, _ = instance
    job_id = tasks.submit(
        drill_request(Plan.checked(40, 1)), by="tester", trigger=Trigger.PANEL
    ).job_id
    worker = made.worker("--threads", "2")
    item = until_item("done")
    assert "PASSED: 1 workers killed, 40 of 40 items done" in str(item.message)
    with reading() as session:
        (receipt,) = receipts(session)
        assert job_report(session, job_id).job.state == "DONE"
    assert (receipt.passed, receipt.job_id) == (True, job_id)
    assert from_kept(receipt.facts).done == 40
    assert worker.poll() is None, "a drill kills only workers of its own"
    assert processes(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@posix_only
@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_a_worker_that_is_told_to_stop_gives_the_drill_back(
    instance: tuple[Stage, Flask], tmp_path: Path
) -> None:
    made, _ = instance
    tasks.submit(drill_request(Plan.checked(100, 2)), by="tester", trigger=Trigger.PANEL)
    worker = made.worker("--threads", "2")
    wait_until(lambda: len(processes(tmp_path)) >= 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    item = until_item("waiting")
    assert (item.crashes, item.fence) == (0, 1)
    assert processes(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []
