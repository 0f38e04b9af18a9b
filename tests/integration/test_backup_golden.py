"""Archives as they were written once by each format: every later version must restore them.

How they were made: tests/golden/make.py.
"""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from depots import MEDIA, a_depot, files_in
from stage import ROOT

from app.backups.archive import opened, verify
from app.backups.depot import Depot
from app.backups.drill import drill
from app.backups.keys import identities
from app.backups.places import Place
from app.backups.restore import Terms, restore

GOLDEN = ROOT / "tests" / "golden"
IDENTITY = GOLDEN / "identity.txt"
ARCHIVES = ["backup-v1-plain.zip", "backup-v1-encrypted.zip"]
CHAINS = ["v2-plain", "v2-encrypted"]  # a full archive with media each, and one that builds on it


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Depot:
    media = tmp_path / "media"
    return a_depot(tmp_path, Place(database_url), identity_file=IDENTITY, media=media)


@pytest.mark.parametrize("name", ARCHIVES)
def test_it_is_still_whole(name: str) -> None:
    with opened(GOLDEN / name, identities(IDENTITY)) as archive:
        assert verify(archive)
        assert archive.manifest.format_version == 1
        assert archive.manifest.rows == 7


@pytest.mark.parametrize("name", ARCHIVES)
def test_it_still_restores_on_either_engine(depot: Depot, name: str) -> None:
    with depot.locked():
        assert drill(depot, GOLDEN / name).rows == 7
        restore(depot, GOLDEN / name, Terms("tester", trust=True))
    with depot.live.connect() as connection:

        def only(query: str) -> sa.Row[tuple[object, ...]]:
            return connection.execute(sa.text(query)).one()

        assert only("SELECT factor FROM source_state WHERE source = 'sandbox'") == (0.1,)
        assert only("SELECT factor FROM source_state WHERE source = 'Ünlü'") == (1e300,)
        (params,) = only(f"SELECT params FROM job WHERE id = {2**53 + 1}")
        params = json.loads(params) if isinstance(params, str) else params
        assert params == {"days": ["2025-05-05"], "ğ": 1.5}
        assert bytes(only("SELECT body FROM raw_answer")[0]) == bytes(range(256))
        assert str(only("SELECT date FROM fixture_day")[0]) == "2025-05-05"
        home, away, women = only("SELECT home, away, women FROM match")
        assert (home, away, bool(women)) == ("Beşiktaş", '"a\\b"\n\t\x01', True)
    _remove_kept(depot)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_with_media_still_restores_on_either_engine(depot: Depot, name: str) -> None:
    full, inc = sorted((GOLDEN / name).iterdir(), key=lambda path: "-inc" in path.name)
    for path in (full, inc):
        with opened(path, identities(IDENTITY)) as archive:
            assert verify(archive)
            assert archive.manifest.format_version == 2
            assert archive.manifest.rows == 7
            assert [base.file for base in archive.manifest.bases] == [full.name] * (path == inc)
    with depot.locked():
        assert drill(depot, inc).files == 5
        restore(depot, inc, Terms("tester", trust=True))
    assert files_in(depot.media) == MEDIA | {"later/ğ.txt": "Üçüncü".encode()}
    with depot.live.connect() as connection:
        homes = connection.execute(sa.text("SELECT home FROM match")).scalars().all()
    assert homes == ["Beşiktaş"]
    _remove_kept(depot)


def _remove_kept(depot: Depot) -> None:
    if depot.live.on_sqlite:
        return
    with depot.live.connect() as connection:
        for name in sa.inspect(connection).get_schema_names():
            if name.startswith("fikstur_"):
                connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
        connection.commit()
