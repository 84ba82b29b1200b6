"""The signed heads of the city's audits are kept.

A new table; nothing else changes and nothing is locked.
"""

from alembic import op

revision = "20261205_witnessed_heads"
down_revision = "20261126_services"


def upgrade() -> None:
    blob = "BLOB" if op.get_context().dialect.name == "sqlite" else "bytea"
    op.execute(f"""CREATE TABLE witnessed_head (
        service text NOT NULL, before text NOT NULL, hash text NOT NULL, body {blob} NOT NULL,
        signature text NOT NULL, received_at double precision NOT NULL, PRIMARY KEY (service, before, hash))""")
