"""operators, their sessions and their keys"""

revision = "1_0012"
down_revision = "1_0011"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
