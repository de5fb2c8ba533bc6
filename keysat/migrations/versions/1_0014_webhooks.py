"""webhooks out"""

revision = "1_0014"
down_revision = "1_0013"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
