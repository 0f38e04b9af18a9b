"""Attempts are counted for each code."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

error = sa.table(
    'fixture_error',
    sa.column('code', sa.String),
    sa.column('attempts', sa.Integer),
    sa.column('last_seen_at', sa.DateTime),
    sa.column('counted_code', sa.String),
    sa.column('code_attempts', sa.Integer),
    sa.column('code_since', sa.DateTime),
)


def upgrade() -> None:
    """Of the problems that are there, nothing is known but the last code and all attempts."""
    op.add_column('fixture_error', sa.Column('counted_code', sa.String(length=30), nullable=True))
    op.add_column('fixture_error', sa.Column('code_attempts', sa.Integer(), server_default='0', nullable=False))
    op.add_column('fixture_error', sa.Column('code_since', sa.DateTime(timezone=True), nullable=True))
    op.execute(sa.update(error).values(counted_code=error.c.code, code_attempts=error.c.attempts, code_since=error.c.last_seen_at))


def downgrade() -> None:
    """Back to 0011."""
    op.drop_column('fixture_error', 'code_since')
    op.drop_column('fixture_error', 'code_attempts')
    op.drop_column('fixture_error', 'counted_code')
