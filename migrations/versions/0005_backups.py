"""The catalogue of backups."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The catalogue of backups."""
    op.create_table('backup',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('file', sa.String(length=120), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('made', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('rows', sa.BigInteger(), nullable=False),
    sa.Column('engine', sa.String(length=20), nullable=True),
    sa.Column('revision', sa.String(length=40), nullable=False),
    sa.Column('encrypted', sa.Boolean(), nullable=False),
    sa.Column('trusted', sa.Boolean(), nullable=False),
    sa.Column('pinned', sa.Boolean(), nullable=False),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('drilled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('drill_s', sa.Float(), nullable=True),
    sa.Column('message', sa.Text(), nullable=True),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_backup')),
    sa.UniqueConstraint('file', name=op.f('uq_backup_file'))
    )
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.create_index('ix_backup_at', ['at'], unique=False)


def downgrade() -> None:
    """Back to 0004."""
    with op.batch_alter_table('backup', schema=None) as batch_op:
        batch_op.drop_index('ix_backup_at')

    op.drop_table('backup')
