"""the audit log is found by time, name, actor and credential"""

from alembic import op

revision = "1_0016"
down_revision = "1_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_at", "events", ["at", "id"])
    op.create_index("ix_events_name", "events", ["name", "at", "id"])
    op.create_index("ix_events_actor", "events", ["actor", "at", "id"])
    op.create_index("ix_event_origins_credential", "event_origins", ["credential", "event_id"])
