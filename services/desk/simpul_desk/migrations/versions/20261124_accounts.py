"""Changes nothing: numbering what agencies were sent is routing's alone.

Databases that ran the former content of this revision have a column `number`, which `20261126_inbox_states` drops.
"""

revision = "20261124_accounts"
down_revision = "20261124_order"


def upgrade() -> None:
    pass
