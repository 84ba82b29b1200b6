"""The board shows a referral with its services.

What was one referral before becomes one service of the same id. `board` is locked while its indexes are built again;
it holds one row for each referral.
"""

from alembic import op

revision = "20261126_letters"
down_revision = "20261126_overlaps"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE board_service (
            service_id uuid PRIMARY KEY,
            referral_id uuid NOT NULL,
            service text NOT NULL,
            urgency text NOT NULL,
            answer_by timestamptz NOT NULL,
            accepted_at timestamptz,
            ended_as text,
            unanswered_since timestamptz,
            unserved_since timestamptz,
            unanswered_step smallint NOT NULL DEFAULT 0,
            unserved_step smallint NOT NULL DEFAULT 0
        )""")
    op.execute("""
        INSERT INTO board_service SELECT referral_id, referral_id, service, urgency, answer_by, accepted_at, ended_as,
            unanswered_since, unserved_since, unanswered_step, unserved_step
        FROM board WHERE service IS NOT NULL AND urgency IS NOT NULL AND answer_by IS NOT NULL""")
    op.execute("CREATE INDEX board_service_referral ON board_service (referral_id)")
    for index in ("board_waiting", "board_late", "board_accepted"):
        op.execute(f"DROP INDEX {index}")
    op.execute("""
        ALTER TABLE board
            DROP COLUMN late_since,
            ADD COLUMN late_since timestamptz,
            ADD COLUMN late_step smallint NOT NULL DEFAULT 0,
            ADD COLUMN open_services smallint NOT NULL DEFAULT 0""")
    op.execute("""
        UPDATE board SET late_since = least(unanswered_since, unserved_since),
            late_step = greatest(unanswered_step, unserved_step),
            open_services = CASE WHEN ended_as IS NULL AND answer_by IS NOT NULL THEN 1 ELSE 0 END""")
    op.execute("""
        ALTER TABLE board DROP COLUMN service, DROP COLUMN ended_as, DROP COLUMN unanswered_since,
            DROP COLUMN unserved_since, DROP COLUMN unanswered_step, DROP COLUMN unserved_step""")
    op.execute("CREATE INDEX board_waiting ON board (answer_by) WHERE accepted_at IS NULL AND open_services > 0")
    op.execute("CREATE INDEX board_late ON board (late_since) WHERE late_since IS NOT NULL AND open_services > 0")
    op.execute("CREATE INDEX board_accepted ON board (accepted_at) WHERE accepted_at IS NOT NULL AND open_services > 0")
