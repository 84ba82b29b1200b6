"""Erasures that intake has still to announce. A new table, so no lock on anything in use.

It is filled with the erasures of earlier versions, which announced none.
"""

from alembic import op

revision = "20261203_unannounced_erasures"
down_revision = "20261201_suspected_agencies"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE unannounced_erasure (
            case_id uuid NOT NULL,
            is_whole_case boolean NOT NULL,
            sections text[] NOT NULL,
            erased_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, is_whole_case, erased_at)
        )""")
    op.execute("""
        INSERT INTO unannounced_erasure (case_id, is_whole_case, sections, erased_at)
        SELECT case_id, true, '{}', erased_at FROM erased_case
        UNION ALL
        SELECT case_id, false, string_to_array(detail, ' '), at FROM vault_action WHERE action = 'sections_erased'
        ON CONFLICT DO NOTHING""")
