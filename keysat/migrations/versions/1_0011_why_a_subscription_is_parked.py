"""why a subscription is parked"""

import sqlalchemy as sa
from alembic import op

revision = "1_0011"
down_revision = "1_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parked_reason", sa.String(length=64), nullable=True))
