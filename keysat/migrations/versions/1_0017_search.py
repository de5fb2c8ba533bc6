"""what a search among many looks into"""

import sqlalchemy as sa
from alembic import op

revision = "1_0017"
down_revision = "1_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The three that go are parts of those that come."""
    sold = ["customer_id", "id", "status", "product_id", "policy_id", "is_trial"]
    op.create_index("ix_licenses_customer", "licenses", sold)
    op.drop_index("ix_licenses_customer_id", table_name="licenses")
    op.create_index("ix_customers_email", "customers", ["email_normal", "id"])
    op.drop_index("ix_customers_name", table_name="customers")
    named = sa.text("name IS NOT NULL")
    op.create_index(
        "ix_customers_name",
        "customers",
        ["name", "id", "email_normal"],
        sqlite_where=named,
        postgresql_where=named,
    )
    op.drop_index("ix_licenses_ended", table_name="licenses")
    ended = sa.text("status <> 'active'")
    op.create_index(
        "ix_licenses_ended",
        "licenses",
        ["status", "issued_at", "id", "product_id", "policy_id", "is_trial", "customer_id"],
        sqlite_where=ended,
        postgresql_where=ended,
    )
