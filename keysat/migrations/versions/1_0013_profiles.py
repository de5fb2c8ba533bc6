"""merchant profiles and what a connection needs to be found by a click"""

revision = "1_0013"
down_revision = "1_0012"
branch_labels = None
depends_on = None


def upgrade() -> None: ...
