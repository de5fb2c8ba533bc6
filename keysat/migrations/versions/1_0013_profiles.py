"""merchant profiles and what a connection needs to be found by a click"""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables
from keysat.kit.clock import SystemClock

revision = "1_0013"
down_revision = "1_0012"
branch_labels = None
depends_on = None

FIRST = "00000000-0000-7000-8000-000000000001"
"""The default profile that every shop has from here on."""


def upgrade() -> None:
    profiles = op.create_table(
        "merchant_profiles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("legal_name", sa.String(length=200), nullable=True),
        sa.Column("support_url", sa.String(length=2000), nullable=True),
        sa.Column("support_email", sa.String(length=320), nullable=True),
        sa.Column("post_purchase_redirect_url", sa.String(length=2000), nullable=True),
        sa.Column("is_default", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchant_profiles")),
    )
    with op.batch_alter_table("merchant_profiles", schema=None) as batch_op:
        batch_op.create_index(
            "ux_merchant_profiles_default",
            ["is_default"],
            unique=True,
            sqlite_where=sa.text("is_default"),
            postgresql_where=sa.text("is_default"),
        )
    now = SystemClock().now()
    op.bulk_insert(profiles, [{"id": UUID(FIRST), "is_default": True, "created_at": now, "updated_at": now}])
    op.create_table(
        "connect_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("base_url", sa.String(length=2000), nullable=False),
        sa.Column("public_url", sa.String(length=2000), nullable=True),
        sa.Column("merchant_profile_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.String(length=255), nullable=True),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_profile_id"],
            ["merchant_profiles.id"],
            name=op.f("fk_connect_requests_merchant_profile_id_merchant_profiles"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connect_requests")),
    )
    with op.batch_alter_table("connect_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_connect_requests_merchant_profile_id"), ["merchant_profile_id"], unique=False
        )
    with op.batch_alter_table("provider_connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("merchant_profile_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("webhook_url", sa.String(length=2000), nullable=True))
        batch_op.add_column(sa.Column("released_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_provider_connections_merchant_profile_id_merchant_profiles"),
            "merchant_profiles",
            ["merchant_profile_id"],
            ["id"],
        )
        batch_op.create_index("ix_provider_connections_profile", ["merchant_profile_id"], unique=False)
    op.execute("UPDATE provider_connections SET merchant_profile_id = (SELECT id FROM merchant_profiles)")
    op.create_table(
        "rail_preferences",
        sa.Column("merchant_profile_id", sa.Uuid(), nullable=False),
        sa.Column(
            "rail", sa.Enum("onchain", "lightning", "card", name="rail", native_enum=False, length=32), nullable=False
        ),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_profile_id"],
            ["merchant_profiles.id"],
            name=op.f("fk_rail_preferences_merchant_profile_id_merchant_profiles"),
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["provider_connections.id"],
            name=op.f("fk_rail_preferences_connection_id_provider_connections"),
        ),
        sa.PrimaryKeyConstraint("merchant_profile_id", "rail", name=op.f("pk_rail_preferences")),
    )
    with op.batch_alter_table("rail_preferences", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rail_preferences_connection_id"), ["connection_id"], unique=False)
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.add_column(sa.Column("merchant_profile_id", sa.Uuid(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_products_merchant_profile_id_merchant_profiles"),
            "merchant_profiles",
            ["merchant_profile_id"],
            ["id"],
        )
        batch_op.create_index(batch_op.f("ix_products_merchant_profile_id"), ["merchant_profile_id"], unique=False)
