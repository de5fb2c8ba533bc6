"""an endpoint knows how its last attempts went; open calls for attention are counted by an index"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0018"
down_revision = "1_0017"
branch_labels = None
depends_on = None

MOMENTS = ("last_success_at", "last_failure_at", "failing_since")
OPEN = sa.text("settled_at IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("webhook_endpoints", schema=None) as batch_op:
        for name in MOMENTS:
            batch_op.add_column(sa.Column(name, keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("last_failure", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("consecutive_failures", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_attention_open", "attention", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
