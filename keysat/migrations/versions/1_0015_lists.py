"""what the operator's lists look through"""

revision = "1_0015"
down_revision = "1_0014"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
