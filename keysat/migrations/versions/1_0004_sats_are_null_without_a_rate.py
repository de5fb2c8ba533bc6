"""sats are null without a rate"""

from alembic import op

revision = "1_0004"
down_revision = "1_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """0 was both "free" and "no rate is known". SQLite drops no NOT NULL but with its whole table, so: new columns."""
    for sats, value in (("amount_sats", "listed_value"), ("base_sats", "base_value")):
        op.execute(f"ALTER TABLE orders ADD COLUMN new_{sats} BIGINT")
        op.execute(f"UPDATE orders SET new_{sats} = {sats} WHERE {sats} > 0 OR {value} = 0")  # noqa: S608  our own names
        op.execute(f"ALTER TABLE orders DROP COLUMN {sats}")
        op.execute(f"ALTER TABLE orders RENAME COLUMN new_{sats} TO {sats}")
