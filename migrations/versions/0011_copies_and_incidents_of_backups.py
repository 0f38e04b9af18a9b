"""Copies of backups elsewhere, and what administrators were told of."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Copies of backups elsewhere, and what administrators were told of."""
    op.create_table('backup_copy',
    sa.Column('store', sa.String(length=300), nullable=False),
    sa.Column('file', sa.String(length=120), nullable=False),
    sa.Column('backup_id', sa.String(length=32), nullable=True),
    sa.Column('needs', sa.Text(), nullable=True),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('message', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('store', 'file', name=op.f('pk_backup_copy'))
    )
    op.create_table('backup_incident',
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_backup_incident'))
    )
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.add_column(sa.Column('recipients', sa.Text(), nullable=True))
    with op.batch_alter_table('mail', schema=None) as batch_op:
        batch_op.add_column(sa.Column('told', sa.Text(), nullable=True))


def downgrade() -> None:
    """Back to the revision before."""
    with op.batch_alter_table('mail', schema=None) as batch_op:
        batch_op.drop_column('told')
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.drop_column('recipients')
    op.drop_table('backup_incident')
    op.drop_table('backup_copy')
