"""Parts of an archive: single tables and sections of the settings, in place, checked, undone."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from depots import a_depot, an_archive, hashes, insert

from app.backups import replace
from app.backups.choice import SECTIONS, Part, choosable, part_of
from app.backups.depot import Depot
from app.backups.journal import Journal, Step
from app.backups.manifest import Type
from app.backups.places import Place
from app.backups.preview import preview
from app.backups.restore import Terms, restore, settle, undo
from app.core.text import RequestError
from app.settings.catalogue import GROUPS

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Iterator[Depot]:
    """A depot beside a database of each engine that holds two matches and a change of one."""
    made = a_depot(tmp_path, Place(database_url))
    for number in (1, 2):
        a_match(made.live, number)
    a_change(made.live, 1, 1)
    insert(made.live, "source_state", {"source": "old"})
    yield made
    if not made.live.on_sqlite:
        with made.live.connect() as connection:
            for name in sa.inspect(connection).get_schema_names():
                if name.startswith("fikstur_"):
                    connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
            connection.commit()


def a_match(place: Place, number: int, home: str = "Beşiktaş") -> None:
    words = dict.fromkeys(("status", "raw_status", "away"), "x")
    seen = dict.fromkeys(("first_seen_at", "last_seen_at", "changed_at"), AT)
    row = {"id": number, "source": "s", "source_id": str(number), "home": home}
    insert(place, "match", {**row, **words, **seen})


def a_change(place: Place, number: int, match: int) -> None:
    insert(place, "match_change", {"id": number, "match_id": match, "field": "f", "seen_at": AT})


def run(place: Place, statement: str) -> None:
    with place.connect() as connection:
        connection.execute(sa.text(statement))
        connection.commit()


def all_of(place: Place, statement: str) -> list[Any]:
    with place.connect() as connection:
        return list(connection.execute(sa.text(statement)).scalars())


def bring(depot: Depot, path: Path, *tables: str, section: str | None = None) -> None:
    with depot.locked():
        restore(depot, path, Terms("tester", part=part_of(tables, section)))


def unchanged(depot: Depot, *but: str) -> dict[str, str]:
    """Of all tables but those, and the audit log, in which it is written."""
    found = hashes(depot.live)
    return {name: value for name, value in found.items() if name not in {*but, "audit_log"}}


# --- tables ---------------------------------------------------------------------------------------


def test_one_table_comes_back_and_all_others_stay(depot: Depot) -> None:
    path = an_archive(depot)
    told = hashes(depot.live)["source_state"]
    run(depot.live, "UPDATE source_state SET factor = 9")
    insert(depot.live, "source_state", {"source": "new"})
    a_match(depot.live, 3)
    before = unchanged(depot)
    bring(depot, path, "source_state")
    assert hashes(depot.live)["source_state"] == told
    assert unchanged(depot, "source_state") == {
        name: value for name, value in before.items() if name != "source_state"
    }
    for wanted in (before["source_state"], told):  # and an undo can be undone
        with depot.locked():
            entry = undo(depot, "tester")
        assert (entry.step, entry.part) == (Step.DONE, "source_state")
        assert hashes(depot.live)["source_state"] == wanted
    assert list((depot.folder / "undo").iterdir()) == [depot.folder / "undo" / entry.kept_rows]
    assert list(depot.staging.iterdir()) == []


def test_tables_that_belong_together_must_come_together(depot: Depot) -> None:
    path = an_archive(depot)
    run(depot.live, "DELETE FROM match_change")
    run(depot.live, "DELETE FROM match WHERE id = 1")
    before = hashes(depot.live)
    with pytest.raises(RequestError, match=r"match_change → match.*with them: match\."):
        bring(depot, path, "match_change")
    assert hashes(depot.live) == before
    bring(depot, path, "match_change", "match")
    assert all_of(depot.live, "SELECT match_id FROM match_change") == [1]


def test_rows_that_others_lean_on_are_not_taken_away(depot: Depot) -> None:
    """No cascade removes the children either: they are of tables that nobody chose."""
    path = an_archive(depot)
    a_match(depot.live, 3)
    a_change(depot.live, 2, 3)
    before = hashes(depot.live)
    with pytest.raises(RequestError, match="with them: match_change"):
        bring(depot, path, "match")
    assert hashes(depot.live) == before
    assert Journal(depot.folder).undoable() is None
    bring(depot, path, "match", "match_change")
    assert all_of(depot.live, "SELECT id FROM match ORDER BY id") == [1, 2]


def test_parents_are_replaced_under_the_feet_of_their_children(depot: Depot) -> None:
    """The constraints are there as before, and in force."""
    path = an_archive(depot)
    run(depot.live, "UPDATE match SET home = 'other'")
    bring(depot, path, "match")
    assert all_of(depot.live, "SELECT DISTINCT home FROM match") == ["Beşiktaş"]
    assert all_of(depot.live, "SELECT match_id FROM match_change") == [1]
    with depot.live.connect() as connection:
        keys = sa.inspect(connection).get_foreign_keys("match_change")
    assert [(key["referred_table"], key["options"].get("ondelete")) for key in keys] == [
        ("match", "CASCADE")
    ]
    if not depot.live.on_sqlite:
        with pytest.raises(sa.exc.IntegrityError):
            a_change(depot.live, 9, 99)


def test_users_come_back_signed_out(depot: Depot) -> None:
    names = {"username": "ayşe", "username_key": "ayşe", "password_hash": "x"}
    insert(depot.live, "app_user", {"id": "u", "session_key": "k", **names})
    path = an_archive(depot)
    run(depot.live, "UPDATE app_user SET role = 'administrator'")
    bring(depot, path, "app_user")
    assert all_of(depot.live, "SELECT role FROM app_user") == ["viewer"]
    assert all_of(depot.live, "SELECT session_key FROM app_user") != ["k"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"tables": ["job"]}, "is of the ledger"),
        ({"tables": ["match", "audit_log"]}, "never taken back"),
        ({"tables": ["backup"]}, "never taken back"),
        ({"tables": ["matches"]}, "There is no table “matches”. Known are: .*match"),
        ({"tables": ['x"; DROP TABLE match']}, "There is no table"),
        ({"section": "email"}, "Known are: general"),
        ({"media": "../keys"}, "no path in the media folder"),
        ({"tables": ["match"], "media": "x"}, "choose one of them"),
    ],
)
def test_what_cannot_be_had_by_itself_is_said(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        part_of(**wanted)


def test_every_section_of_the_panel_has_a_name_here() -> None:
    assert list(SECTIONS.values()) == list(GROUPS)
    assert "match" in choosable()


def test_settings_alone_hold_no_tables(depot: Depot) -> None:
    path = an_archive(depot, Type.SETTINGS)
    with pytest.raises(RequestError, match="settings only"):
        bring(depot, path, "match")


# --- settings -------------------------------------------------------------------------------------


def a_setting(place: Place, key: str, value: Any) -> None:
    run(place, f"DELETE FROM setting WHERE key = '{key}'")
    row = {"key": key, "value": value, "encrypted": False, "updated_at": AT, "updated_by": "x"}
    insert(place, "setting", row)


def stored(place: Place) -> dict[str, Any]:
    setting = sa.table("setting", sa.column("key"), sa.column("value", sa.JSON))
    with place.connect() as connection:
        rows = connection.execute(sa.select(setting.c.key, setting.c.value)).all()
        return {key: value for key, value in rows}  # noqa: C416


def test_one_section_of_the_settings_comes_back(depot: Depot) -> None:
    a_setting(depot.live, "SMTP_HOST", "old.example")
    a_setting(depot.live, "LANGUAGE", "tr")
    a_setting(depot.live, "version", 2)
    path = an_archive(depot)
    a_setting(depot.live, "SMTP_HOST", "new.example")
    a_setting(depot.live, "SMTP_PORT", "25")
    a_setting(depot.live, "LANGUAGE", "en")
    a_setting(depot.live, "version", 5)
    before = stored(depot.live)
    found = preview(depot, path, part=part_of(section="mail")).tables
    assert [(one.name, one.lost, one.back, one.changed) for one in found] == [("setting", 1, 0, 1)]
    bring(depot, path, section="mail")
    assert stored(depot.live) == {"SMTP_HOST": "old.example", "LANGUAGE": "en", "version": 6}
    with depot.locked():
        undo(depot, "tester")
    assert stored(depot.live) == {**before, "version": 7}  # a change like any other


# --- what is lost, before it is -------------------------------------------------------------------


def test_a_preview_of_a_part_speaks_of_that_part_alone(depot: Depot) -> None:
    path = an_archive(depot)
    a_match(depot.live, 3)
    run(depot.live, "UPDATE match SET home = 'x' WHERE id = 1")
    (found,) = preview(depot, path, part=Part(tables=("match",))).tables
    told = (found.name, found.now, found.in_backup, found.lost, found.back, found.changed)
    assert told == ("match", 3, 2, 1, 0, 1)


# --- cut off, and busy ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["before", "after"])
def test_cut_off_it_has_happened_or_not(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = an_archive(depot)
    insert(depot.live, "source_state", {"source": "new"})

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "before":
            patch.setattr(replace, "_fit", die)
        patch.setattr(replace, "has_replaced", die)  # and nobody cleans up
        put = Journal.put

        def late(self: Journal, entry: Any) -> None:
            if entry.step is not Step.SWAPPING:
                raise Killed
            put(self, entry)

        patch.setattr(Journal, "put", late)
        with depot.locked(), pytest.raises(Killed):
            restore(depot, path, Terms("tester", part=Part(tables=("source_state",))))
    with depot.locked():
        settle(depot)
    found = all_of(depot.live, "SELECT source FROM source_state ORDER BY 1")
    assert found == (["new", "old"] if step == "before" else ["old"])
    can_be_undone = Journal(depot.folder).undoable() is not None
    assert can_be_undone is (step == "after")


def test_others_write_into_other_tables_meanwhile_and_lose_nothing(depot: Depot) -> None:
    """Which is why the whole database is not exchanged for the sake of one table."""
    path = an_archive(depot)
    stopped, written = threading.Event(), []

    def write() -> None:
        while not stopped.is_set():
            number = len(written)
            insert(depot.live, "source_state", {"source": str(number)})
            written.append(number)

    a_match(depot.live, 3)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        until = time.monotonic() + 20
        while len(written) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        bring(depot, path, "match")
        seen = len(written)
        while len(written) < seen + 5 and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        stopped.set()
        thread.join()
    names = set(all_of(depot.live, "SELECT source FROM source_state"))
    assert names == {"old", *map(str, written)}
    assert all_of(depot.live, "SELECT id FROM match ORDER BY id") == [1, 2]
