"""A request for many matches is known by each of their items."""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

TOGETHER = sa.text('items IS NOT NULL')


def upgrade() -> None:
    """The items of a request that was made for many."""
    op.add_column('request_log', sa.Column('items', sa.Text(), nullable=True))
    op.create_index('ix_request_log_together', 'request_log', ['job_id'], unique=False, postgresql_where=TOGETHER, sqlite_where=TOGETHER)


def downgrade() -> None:
    """Back to 0012."""
    op.drop_index('ix_request_log_together', table_name='request_log', postgresql_where=TOGETHER, sqlite_where=TOGETHER)
    op.drop_column('request_log', 'items')
