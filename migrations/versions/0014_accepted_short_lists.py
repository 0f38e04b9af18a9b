"""How many rows of a shrunken list somebody accepted."""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column; nothing is accepted yet."""
    op.add_column('fixture_day', sa.Column('accepted_rows', sa.Integer(), nullable=True))


def downgrade() -> None:
    """Back to 0013, without making the table anew: the lists of the days hang on it."""
    op.drop_column('fixture_day', 'accepted_rows')
