"""saved cards"""

import sqlalchemy as sa
from alembic import op

revision = "1_0009"
down_revision = "1_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("payment_attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("customer_ref", sa.String(length=200), nullable=True))
