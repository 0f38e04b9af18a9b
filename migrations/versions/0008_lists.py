"""The names that matches carry, the indexes of their list, and saved views of lists."""

import sqlalchemy as sa
from alembic import op

from app.core.letters import fold

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

INDEXES = {
    'ix_match_status_kickoff': ['status', 'kickoff', 'id'],
    'ix_match_source_kickoff': ['source', 'kickoff', 'id'],
    'ix_match_competition_kickoff': ['competition', 'kickoff', 'id'],
    'ix_match_country_kickoff': ['country', 'kickoff', 'id'],
    'ix_match_home': ['home', 'id'],
    'ix_match_away': ['away', 'id'],
}


def upgrade() -> None:
    """The names that matches carry, the indexes of their list, and saved views of lists."""
    names = op.create_table('name',
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('folded', sa.String(length=400), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_name'))
    )
    write_down_names(names)
    for name, columns in INDEXES.items():
        op.create_index(name, 'match', columns)
    op.create_table('saved_view',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('list', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('query', sa.Text(), nullable=False),
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.Column('user_id', sa.String(length=36), nullable=False),
    sa.Column('saved_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_saved_view_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_view')),
    sa.UniqueConstraint('user_id', 'list', 'name', name=op.f('uq_saved_view_user_id_list_name'))
    )
    op.create_index('ix_saved_view_list', 'saved_view', ['list'])
    op.create_table('default_view',
    sa.Column('user_id', sa.String(length=36), nullable=False),
    sa.Column('list', sa.String(length=40), nullable=False),
    sa.Column('view_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_default_view_user_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['view_id'], ['saved_view.id'], name=op.f('fk_default_view_view_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'list', name=op.f('pk_default_view'))
    )


def write_down_names(names: sa.Table) -> None:
    """Of the matches that are there already."""
    bind = op.get_bind()
    match = sa.table('match', *map(sa.column, ('home', 'away', 'competition', 'country')))
    found = sa.union(*(sa.select(column) for column in match.c))
    carried = sorted(name for name in bind.scalars(found) if name)
    for start in range(0, len(carried), 1000):
        some = carried[start:start + 1000]
        bind.execute(names.insert(), [{'name': name, 'folded': fold(name)} for name in some])


def downgrade() -> None:
    """Back to 0007."""
    op.drop_table('default_view')
    op.drop_table('saved_view')
    for name in INDEXES:
        op.drop_index(name, 'match')
    op.drop_table('name')
