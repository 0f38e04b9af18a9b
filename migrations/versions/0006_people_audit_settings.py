"""People, the audit log, letters and stored settings."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """People, the audit log, letters and stored settings."""
    op.create_table('audit_log',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('who', sa.String(length=150), nullable=False),
    sa.Column('via', sa.String(length=10), nullable=False),
    sa.Column('address', sa.String(length=45), nullable=True),
    sa.Column('action', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('object', sa.String(length=150), nullable=False),
    sa.Column('before', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('after', sa.JSON(none_as_null=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_log'))
    )
    op.create_index('ix_audit_log_at', 'audit_log', ['at'])
    op.create_index('ix_audit_log_who_id', 'audit_log', ['who', 'id'])
    op.create_index('ix_audit_log_kind_object_id', 'audit_log', ['kind', 'object', 'id'])
    op.create_table('mail',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('to', sa.String(length=254), nullable=False),
    sa.Column('language', sa.String(length=5), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail'))
    )
    op.create_index('ix_mail_asked_at', 'mail', ['asked_at'])
    op.create_table('setting',
    sa.Column('key', sa.String(length=60), nullable=False),
    sa.Column('value', sa.JSON(), nullable=False),
    sa.Column('encrypted', sa.Boolean(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_by', sa.String(length=150), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_setting'))
    )
    op.create_table('throttle',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('known_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_throttle'))
    )
    op.add_column('app_user', sa.Column('password_is_given', sa.Boolean(), server_default=sa.false(), nullable=False))
    write_addresses_small()


def write_addresses_small() -> None:
    """An address is found whatever its case; of two that differ in nothing else both stay."""
    users = sa.table('app_user', sa.column('id', sa.String), sa.column('email', sa.String))
    bind = op.get_bind()
    rows = bind.execute(sa.select(users.c.id, users.c.email).where(users.c.email.is_not(None))).all()
    taken = [row.email.lower() for row in rows]
    for row in rows:
        small = row.email.lower()
        if small != row.email and taken.count(small) == 1:
            bind.execute(users.update().where(users.c.id == row.id).values(email=small))


def downgrade() -> None:
    """Back to 0005."""
    op.drop_column('app_user', 'password_is_given')
    op.drop_table('throttle')
    op.drop_table('setting')
    op.drop_table('mail')
    op.drop_table('audit_log')
