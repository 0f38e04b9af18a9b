"""What errors of one cause have in common."""

import sqlalchemy as sa
from alembic import op

from app.core.text import Sentence
from app.errors.fingerprint import fingerprint

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

ROWS = 1000  # at once

error = sa.table(
    'fixture_error',
    sa.column('id', sa.Integer),
    sa.column('source', sa.String),
    sa.column('code', sa.String),
    sa.column('http_status', sa.Integer),
    sa.column('message', sa.Text),
    sa.column('fingerprint', sa.String),
)


def upgrade() -> None:
    """The column, and its value for the problems that are there."""
    op.add_column('fixture_error', sa.Column('fingerprint', sa.String(length=16), server_default='', nullable=False))
    op.create_index('ix_fixture_error_open_group', 'fixture_error', ['fingerprint', 'id', 'first_seen_at', 'last_seen_at'], unique=False,
        postgresql_where=sa.text('resolved_at IS NULL'), sqlite_where=sa.text('resolved_at IS NULL'))
    op.create_index('ix_fixture_error_group', 'fixture_error', ['fingerprint', 'first_seen_at'], unique=False)
    connection = op.get_bind()
    last = 0
    while rows := connection.execute(sa.select(error).where(error.c.id > last).order_by(error.c.id).limit(ROWS)).all():
        last = rows[-1].id
        connection.execute(
            sa.update(error).where(error.c.id == sa.bindparam('row')).values(fingerprint=sa.bindparam('made')),
            [{'row': row.id, 'made': _of(row)} for row in rows],
        )


def _of(row: sa.Row) -> str:
    return fingerprint(row.source, row.code, row.http_status, Sentence.load(row.message))


def downgrade() -> None:
    """Back to 0008."""
    op.drop_index('ix_fixture_error_group', table_name='fixture_error')
    op.drop_index('ix_fixture_error_open_group', table_name='fixture_error',
        postgresql_where=sa.text('resolved_at IS NULL'), sqlite_where=sa.text('resolved_at IS NULL'))
    with op.batch_alter_table('fixture_error') as batch:
        batch.drop_column('fingerprint')
