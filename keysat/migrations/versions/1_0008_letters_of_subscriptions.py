"""letters of subscriptions, notes of orders, the reason of a new price"""

import sqlalchemy as sa
from alembic import op

revision = "1_0008"
down_revision = "1_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "customer_notes",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_notes_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_customer_notes_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_customer_notes")),
    )
    with op.batch_alter_table("customer_notes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_notes_customer_id"), ["customer_id"], unique=False)

    with op.batch_alter_table("letters", schema=None) as batch_op:
        batch_op.add_column(sa.Column("occasion", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.drop_constraint(batch_op.f("uq_letters_kind_subject"), type_="unique")
        batch_op.create_unique_constraint(
            batch_op.f("uq_letters_kind_subject_occasion"), ["kind", "subject", "occasion"]
        )

    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("next_value_reason", sa.Text(), nullable=True))
