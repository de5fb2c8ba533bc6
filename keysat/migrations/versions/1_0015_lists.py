"""what the operator's lists look through"""

import sqlalchemy as sa
from alembic import op

revision = "1_0015"
down_revision = "1_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "key", name=op.f("pk_tallies")),
    )
    with op.batch_alter_table("license_own_values", schema=None) as batch_op:
        batch_op.add_column(sa.Column("author", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("instead_of", sa.JSON(), nullable=True))
    if op.get_context().dialect.name == "postgresql":
        op.execute('ALTER TABLE customers ALTER COLUMN email_normal TYPE VARCHAR(254) COLLATE "C"')
        op.execute('ALTER TABLE customers ALTER COLUMN name TYPE VARCHAR(200) COLLATE "C"')
    _index("ix_customers_name", "customers", ["name", "id"], "name IS NOT NULL")
    _licenses()
    _index("ix_orders_customer", "orders", ["customer_id", "created_at", "id"], "customer_id IS NOT NULL")
    paid = ["paid_at", "id", "paid_how", "listed_currency", "listed_value", "amount_sats"]
    _index("ix_orders_paid", "orders", paid, "paid_at IS NOT NULL")
    _index("ix_orders_created", "orders", ["created_at", "id"])
    _index("ix_orders_product", "orders", ["product_id", "created_at", "id"])
    _index("ix_orders_policy", "orders", ["policy_id", "created_at", "id"])
    _index("ix_orders_purpose", "orders", ["purpose", "created_at", "id"])
    _index("ix_orders_license", "orders", ["license_id", "created_at", "id"], "license_id IS NOT NULL")
    _index("ix_payment_attempts_invoice", "payment_attempts", ["provider_invoice_id"])
    _index("ix_payment_attempts_created", "payment_attempts", ["created_at", "id"])
    _index("ix_payment_attempts_connection", "payment_attempts", ["connection_id", "created_at", "id"])
    _index("ix_payment_attempts_seen", "payment_attempts", ["seen_state", "created_at", "id"])
    _index("ix_subscriptions_ends", "subscriptions", ["paid_through", "id"])
    _index("ix_subscriptions_started", "subscriptions", ["started_at", "id"])
    _index("ix_subscriptions_status", "subscriptions", ["status", "started_at", "id"])
    _index("ix_subscriptions_policy", "subscriptions", ["policy_id", "started_at", "id"])


def _licenses() -> None:
    """The two that go are the beginnings of two that come."""
    _index("ix_licenses_product", "licenses", ["product_id", "issued_at", "id"])
    _index("ix_licenses_policy", "licenses", ["policy_id", "issued_at", "id"])
    op.drop_index(op.f("ix_licenses_product_id"), table_name="licenses")
    op.drop_index(op.f("ix_licenses_policy_id"), table_name="licenses")
    ended = ["status", "issued_at", "id", "product_id", "policy_id", "is_trial"]
    _index("ix_licenses_ended", "licenses", ended, "status <> 'active'")
    trials = ["issued_at", "id", "product_id", "policy_id", "status"]
    _index("ix_licenses_trials", "licenses", trials, "is_trial")
    _index("ix_licenses_expires", "licenses", ["expires_at", "id"], "expires_at IS NOT NULL")


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = sa.text(where) if where is not None else None
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
