"""what was imported, exported and erased"""

revision = "1_0016"
down_revision = "1_0015"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
