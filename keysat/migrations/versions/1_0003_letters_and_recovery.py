"""letters and recovery"""

import sqlalchemy as sa
from alembic import op

import keysat.infra.tables

revision = "1_0003"
down_revision = "1_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "letter_cursor",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("moved_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_letter_cursor")),
    )
    op.create_table(
        "letters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind", sa.Enum("receipt", "recovery", name="letterkind", native_enum=False, length=32), nullable=False
        ),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("waiting", "sent", "parked", "dropped", name="letterstatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("status_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("leased_until", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("leased_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letters")),
        sa.UniqueConstraint("kind", "subject", name=op.f("uq_letters_kind_subject")),
    )
    with op.batch_alter_table("letters", schema=None) as batch_op:
        batch_op.create_index(
            "ix_letters_due",
            ["next_try_at"],
            unique=False,
            sqlite_where=sa.text("next_try_at IS NOT NULL"),
            postgresql_where=sa.text("next_try_at IS NOT NULL"),
        )

    op.create_table(
        "limit_buckets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("full_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limit_buckets")),
    )
    with op.batch_alter_table("limit_buckets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limit_buckets_full_at"), ["full_at"], unique=False)

    op.create_table(
        "one_time_links",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", keysat.infra.tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_links")),
        sa.UniqueConstraint("hash", name=op.f("uq_one_time_links_hash")),
    )
    with op.batch_alter_table("one_time_links", schema=None) as batch_op:
        batch_op.create_index("ix_one_time_links_expires", ["expires_at"], unique=False)
