"""trials"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0005"
down_revision = "1_0004"
branch_labels = None
depends_on = None

NEEDS = sa.Enum("email", "fingerprint", "nothing", name="trialneeds", native_enum=False, length=32)


def upgrade() -> None:
    op.add_column("policies", sa.Column("trial_needs", NEEDS, nullable=False, server_default="email"))
    op.add_column("orders", sa.Column("trial_days", sa.BigInteger(), nullable=True))
    op.create_table(
        "trials",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("kind", NEEDS, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_trials_order_id_orders")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_trials_product_id_products")),
        sa.PrimaryKeyConstraint("product_id", "kind", "hash", name=op.f("pk_trials")),
        sa.UniqueConstraint("order_id", name=op.f("uq_trials_order_id")),
    )
