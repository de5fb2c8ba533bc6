"""by what an erased customer is known, should an import name him again"""

import sqlalchemy as sa
from alembic import op

revision = "1_0020"
down_revision = "1_0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased_hash", sa.String(length=64), nullable=True))
