"""How Alembic finds the database and the models; the same migrations run on both engines."""

from alembic import context
from sqlalchemy import text

import app.accounts.models
import app.audit.models
import app.backups.models
import app.drill.models
import app.errors.models
import app.fixtures.models
import app.jobs.models
import app.mail.models
import app.schedules.models
import app.settings.models
import app.sources.models  # noqa: F401  each of these adds its tables to Base.metadata
from app.core.db import Base, SentenceText, UtcDateTime, db


def render_item(kind, item, _autogen):
    """Write the house's own column types as what the database has, so migrations stand alone."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, SentenceText):
        return "sa.Text()"
    return False


def run() -> None:
    """Bring the database up to date, one migrator at a time."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # Two servers starting at once: the second waits, then finds nothing to do.
            connection.execute(text("SELECT pg_advisory_lock(hashtext('fikstur migrations'))"))
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            render_item=render_item,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
