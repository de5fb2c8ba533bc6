"""subscriptions renew"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0006"
down_revision = "1_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "license_own_values",
        sa.Column("license_id", sa.Uuid(), nullable=False),
        sa.Column(
            "field",
            sa.Enum(
                "expires_at",
                "grace_seconds",
                "max_machines",
                "seats_evict_after_days",
                "entitlements",
                name="ownfield",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["license_id"], ["licenses.id"], name=op.f("fk_license_own_values_license_id_licenses")
        ),
        sa.PrimaryKeyConstraint("license_id", "field", name=op.f("pk_license_own_values")),
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("customer_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("anchor_cycle", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("lead_days", sa.BigInteger(), nullable=False, server_default="3"))
        batch_op.add_column(sa.Column("next_value", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("next_value_from", sa.BigInteger(), nullable=True))
        batch_op.add_column(
            sa.Column(
                "discount_kind",
                sa.Enum(
                    "percent",
                    "fixed_sats",
                    "set_price",
                    "free_license",
                    name="discountkind",
                    native_enum=False,
                    length=32,
                ),
                nullable=True,
            )
        )
        batch_op.add_column(sa.Column("discount_amount", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("discount_currency", sa.String(length=3), nullable=True))
        batch_op.add_column(sa.Column("discount_until", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("next_attempt_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("consecutive_failures", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("parked_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("skipped_cycle", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("lapses_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("cancellation_reason", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("paused_grace_seconds", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("profile_connection_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("profile_id", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("lapsed_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("paused_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("cancelled_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("leased_until", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("leased_by", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_subscriptions_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(
            "ix_subscriptions_due",
            ["next_attempt_at"],
            unique=False,
            sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
            postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_subscriptions_lapsing",
            ["lapses_at"],
            unique=False,
            sqlite_where=sa.text("lapses_at IS NOT NULL"),
            postgresql_where=sa.text("lapses_at IS NOT NULL"),
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_subscriptions_customer_id_customers"), "customers", ["customer_id"], ["id"]
        )
        batch_op.create_check_constraint(batch_op.f("ck_subscriptions_cycle_number"), "cycle_number >= anchor_cycle")
        batch_op.create_check_constraint(
            batch_op.f("ck_subscriptions_next_value"), "(next_value IS NULL) = (next_value_from IS NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_subscriptions_profile"), "(profile_id IS NULL) = (profile_connection_id IS NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_subscriptions_lapses_at"), "(lapses_at IS NOT NULL) = (status = 'past_due')"
        )

    op.create_table(
        "subscription_cycles",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ends_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("listed_currency", sa.String(length=3), nullable=False),
        sa.Column("listed_value", sa.BigInteger(), nullable=False),
        sa.Column("worth", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("opened_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("charged_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("paid_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("number >= 0", name=op.f("ck_subscription_cycles_number")),
        sa.CheckConstraint("starts_at <= ends_at", name=op.f("ck_subscription_cycles_bounds")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_subscription_cycles_order_id_orders")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_subscription_cycles_subscription_id_subscriptions")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "number", name=op.f("pk_subscription_cycles")),
        sa.UniqueConstraint("order_id", name=op.f("uq_subscription_cycles_order_id")),
    )
    with op.batch_alter_table("subscription_cycles", schema=None) as batch_op:
        batch_op.create_index(
            "ux_subscription_cycles_unpaid",
            ["subscription_id"],
            unique=True,
            sqlite_where=sa.text("paid_at IS NULL"),
            postgresql_where=sa.text("paid_at IS NULL"),
        )

    # Until now a subscription was written with its first period, or its trial, and never looked at again.
    op.execute(
        "UPDATE subscriptions SET next_attempt_at = paid_through, customer_id = (SELECT l.customer_id FROM licenses l "
        "WHERE l.id = subscriptions.license_id), lead_days = (SELECT p.renewal_lead_days FROM policies p "
        "WHERE p.id = subscriptions.policy_id)"
    )
    op.execute(
        "INSERT INTO subscription_cycles (subscription_id, number, starts_at, ends_at, order_id, listed_currency, "
        "listed_value, worth, paid, created_at, paid_at) SELECT s.id, s.cycle_number, s.started_at, s.paid_through, "
        "l.order_id, s.listed_currency, CASE WHEN s.cycle_number = 0 THEN 0 ELSE s.listed_value END, "
        "COALESCE(o.listed_value, 0), COALESCE(o.listed_value, 0), s.started_at, s.started_at "
        "FROM subscriptions s JOIN licenses l ON l.id = s.license_id LEFT JOIN orders o ON o.id = l.order_id"
    )
