"""What is kept of a source's limit and breaker, and how many retries a job has spent."""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

# Column by column: a batch would rebuild the table on SQLite, and dropping the old `job` would take
# its items along.


def upgrade() -> None:
    """What is kept of a source's limit and breaker, and how many retries a job has spent."""
    op.add_column('source_state', sa.Column('free_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('source_state', sa.Column('failures', sa.Integer(), server_default='0', nullable=False))
    op.add_column('source_state', sa.Column('opens', sa.Integer(), server_default='0', nullable=False))
    op.add_column('source_state', sa.Column('factor', sa.Float(), server_default='1', nullable=False))
    op.add_column('source_state', sa.Column('factor_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('job', sa.Column('retries', sa.Integer(), server_default='0', nullable=False))


def downgrade() -> None:
    """Back to 0001."""
    op.drop_column('job', 'retries')
    op.drop_column('source_state', 'factor_at')
    op.drop_column('source_state', 'factor')
    op.drop_column('source_state', 'opens')
    op.drop_column('source_state', 'failures')
    op.drop_column('source_state', 'free_at')
