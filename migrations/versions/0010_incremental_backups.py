"""Backups that build on earlier ones."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Backups that build on earlier ones."""
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.add_column(sa.Column('needs', sa.Text(), nullable=True))
    with op.batch_alter_table('backup_schedule', schema=None) as batch_op:
        batch_op.add_column(
            sa.Column('incremental', sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    """Back to the revision before."""
    with op.batch_alter_table('backup_schedule', schema=None) as batch_op:
        batch_op.drop_column('incremental')
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.drop_column('needs')
