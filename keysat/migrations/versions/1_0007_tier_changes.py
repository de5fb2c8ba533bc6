"""tier changes"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0007"
down_revision = "1_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tier_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("license_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("from_policy_id", sa.Uuid(), nullable=False),
        sa.Column("from_offer_id", sa.Uuid(), nullable=True),
        sa.Column("to_policy_id", sa.Uuid(), nullable=False),
        sa.Column("to_offer_id", sa.Uuid(), nullable=True),
        sa.Column(
            "direction",
            sa.Enum("upgrade", "downgrade", name="changedirection", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "awaiting_payment",
                "scheduled",
                "applied",
                "cancelled",
                "superseded",
                name="changestatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("actor", sa.Enum("buyer", "admin", name="changedby", native_enum=False, length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("listed_currency", sa.String(length=3), nullable=False),
        sa.Column("charge_value", sa.BigInteger(), nullable=False),
        sa.Column("target_value", sa.BigInteger(), nullable=False),
        sa.Column("period_count", sa.BigInteger(), nullable=True),
        sa.Column(
            "period_unit", sa.Enum("day", "month", "year", name="unit", native_enum=False, length=32), nullable=True
        ),
        sa.Column("is_anew", sa.Boolean(), nullable=False),
        sa.Column("worth", sa.BigInteger(), nullable=True),
        sa.Column("quoted_license_end", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column(
            "quoted_subscription",
            sa.Enum(
                "active",
                "past_due",
                "lapsed",
                "paused",
                "cancelled",
                name="subscriptionstatus",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("quoted_cycle", sa.BigInteger(), nullable=True),
        sa.Column("quoted_paid_through", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("status_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("effective_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("expires_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(period_count IS NULL) = (period_unit IS NULL)", name=op.f("ck_tier_changes_period")),
        sa.CheckConstraint("charge_value >= 0", name=op.f("ck_tier_changes_charge")),
        sa.ForeignKeyConstraint(["from_offer_id"], ["offers.id"], name=op.f("fk_tier_changes_from_offer_id_offers")),
        sa.ForeignKeyConstraint(
            ["from_policy_id"], ["policies.id"], name=op.f("fk_tier_changes_from_policy_id_policies")
        ),
        sa.ForeignKeyConstraint(["license_id"], ["licenses.id"], name=op.f("fk_tier_changes_license_id_licenses")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_tier_changes_order_id_orders")),
        sa.ForeignKeyConstraint(["to_offer_id"], ["offers.id"], name=op.f("fk_tier_changes_to_offer_id_offers")),
        sa.ForeignKeyConstraint(["to_policy_id"], ["policies.id"], name=op.f("fk_tier_changes_to_policy_id_policies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_changes")),
        sa.UniqueConstraint("order_id", name=op.f("uq_tier_changes_order_id")),
    )
    with op.batch_alter_table("tier_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tier_changes_license_id"), ["license_id"], unique=False)
        batch_op.create_index(
            "ux_tier_changes_open",
            ["license_id", "status"],
            unique=True,
            sqlite_where=sa.text("status IN ('awaiting_payment', 'scheduled')"),
            postgresql_where=sa.text("status IN ('awaiting_payment', 'scheduled')"),
        )

    op.add_column(
        "products", sa.Column("downgrade_at_renewal", sa.Boolean(), nullable=False, server_default=sa.false())
    )
