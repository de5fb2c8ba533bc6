"""what was brought from another shop"""

revision = "1_0017"
down_revision = "1_0016"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
