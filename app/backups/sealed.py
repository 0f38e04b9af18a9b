"""Which secrets among the stored settings of an archive only its own SECRET_KEY can read."""

import msgspec

from app.backups.archive import Archive
from app.backups.rows import split
from app.settings.models import Setting


def sealed_names(archive: Archive) -> list[str]:
    """The names of the secrets in it; none where it cannot be read here, or holds no settings."""
    if archive.manifest.database is None or not archive.readable:
        return []
    for table in archive.content().tables:
        if table.name == Setting.__tablename__:
            names = [name for name, _kind in table.columns]
            rows = (msgspec.json.decode(line) for line in split(archive.lines(table)))
            found = [dict(zip(names, row, strict=True)) for row in rows]
            return sorted(str(row["key"]) for row in found if row.get("encrypted"))
    return []
