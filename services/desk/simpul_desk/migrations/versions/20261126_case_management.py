"""The service of the case manager is called `case_management`.

Rewrites about one row of `board` for each case; no lock on the others.
"""

from alembic import op

revision = "20261126_case_management"
down_revision = "20261126_late"


def upgrade() -> None:
    op.execute("UPDATE board SET service = 'case_management' WHERE service = 'intake'")
