"""`flask audit`: who changed what."""

from datetime import timedelta

import click

from app.audit import present
from app.audit.present import ACTIONS, KINDS, VIAS, Filter, entry_as_dict, in_one_line
from app.cli.base import LIMIT, Group, answer, local_time, option, settings, table, typed, word
from app.core.clock import midnight
from app.core.db import reading
from app.core.text import N_
from app.fixtures.request import parse_day

audit = Group("audit", help=N_("See who changed what, from where."))


@audit.command("list", help=N_("The changes, the newest first."))
@option("--who", help=N_("By this user only."))
@option("--via", type=click.Choice([str(via) for via in VIAS]), help=N_("On this way only."))
@option("--action", type=click.Choice([*ACTIONS]), help=N_("This action only."))
@option("--kind", type=click.Choice([*KINDS]), help=N_("Of this kind of thing only."))
@option("--object", "name", help=N_("Of the thing with this name only."))
@option("--from", "first", help=N_("From this day on, YYYY-MM-DD."))
@option("--until", "last", help=N_("Until this day, YYYY-MM-DD."))
@option("--limit", type=LIMIT, default=50, help=N_("At most so many."))
def list_(first: str | None, last: str | None, limit: int, **wanted: str | None) -> None:
    """Reads only."""
    zone = settings().time_zone
    with typed():
        since = midnight(parse_day(first), zone) if first else None
        until = midnight(parse_day(last) + timedelta(days=1), zone) if last else None
    known = Filter(object=wanted.pop("name"), since=since, until=until, **wanted)
    with reading() as session:
        rows = present.entries(session, known, most=limit)
    answer(
        [entry_as_dict(row) for row in rows],
        lambda: table(
            (N_("Time"), N_("Who"), N_("Way"), N_("Action"), N_("Name"), N_("Before"), N_("After")),
            [
                (
                    local_time(row.at),
                    row.who or "-",
                    word(VIAS.get(row.via, row.via)),
                    word(ACTIONS.get(row.action, row.action)),
                    row.object,
                    in_one_line(row.before) or "-",
                    in_one_line(row.after) or "-",
                )
                for row in rows
            ],
        ),
    )
