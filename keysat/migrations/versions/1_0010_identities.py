"""a trial of several identities, and letters that wait for their turn"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0010"
down_revision = "1_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "letter_buckets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("full_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letter_buckets")),
    )
    with op.batch_alter_table("letter_buckets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_letter_buckets_full_at"), ["full_at"], unique=False)
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_trials_order_id"), type_="unique")
        batch_op.create_unique_constraint(batch_op.f("uq_trials_order_id_kind"), ["order_id", "kind"])
