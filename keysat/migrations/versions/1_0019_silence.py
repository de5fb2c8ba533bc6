"""since when a provider has not answered"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0019"
down_revision = "1_0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = keysat.infra.tables.UtcDateTime(timezone=True)
    with op.batch_alter_table("provider_connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unreachable_since", moment, nullable=True))
