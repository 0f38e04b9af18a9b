"""Makes the golden archives of format 2: `python tests/golden/make.py FOLDER`.

They were made once and are kept as they are; a later format gets archives of its own, by a copy
of this. They are of revision 0007, which will not change any more, with the rows of the first ones.
"""

import shutil
import sys
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

GOLDEN = Path(__file__).parent
sys.path[:0] = [str(GOLDEN.parent.parent), str(GOLDEN.parent)]

from app.backups import schema  # noqa: E402

schema.head = lambda: "0007"  # before anybody else asks

from depots import MEDIA, a_depot, put  # noqa: E402

from app.backups.archive import opened  # noqa: E402
from app.backups.depot import Depot, tell_nobody  # noqa: E402
from app.backups.keys import identities  # noqa: E402
from app.backups.manifest import Type  # noqa: E402
from app.backups.places import Place  # noqa: E402
from app.backups.scratch import fill  # noqa: E402
from app.backups.write import Order, create  # noqa: E402


def a_chain(depot: Depot, target: Path) -> None:
    """A full archive, and one with a file more that builds on it."""
    put(depot.media, MEDIA)
    with depot.locked():
        full = create(depot, Order(uuid.uuid4().hex, "golden", Type.FULL))
        put(depot.media, {"later/ğ.txt": "Üçüncü".encode()})
        inc = create(depot, Order(uuid.uuid4().hex, "golden-inc", Type.FULL, base=full))
    target.mkdir(parents=True, exist_ok=True)
    for path in (full, inc):
        shutil.copy(path, target)


def main(target: Path) -> None:
    """Two chains: one that anybody can read, one for the identity beside this file."""
    (identity,) = identities(GOLDEN / "identity.txt")
    for name, recipients in (("v2-plain", ""), ("v2-encrypted", str(identity.to_public()))):
        with TemporaryDirectory() as folder:
            home = Path(folder)
            place = Place.in_file(home / "live.db")
            with opened(GOLDEN / "backup-v1-plain.zip") as archive:
                fill(archive, place, tell_nobody)
            depot = a_depot(home, place, media=home / "media")
            depot.keys.folder.mkdir()
            (depot.keys.folder / "recipients.txt").write_text(recipients)
            a_chain(depot, target / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
