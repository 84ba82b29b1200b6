"""One referral for each case and agency, with its services.

Each referral of before becomes a service with the same id. Those of one case and agency belong to one referral, which
has the id of the one that was offered first; the events that follow are about it. Rewrites `referral` and
`case_event` and locks them meanwhile: half a minute for 100,000 cases. Stop the older routing first. A reply under one
of the other ids is about the service that it named.
"""

from alembic import op

revision = "20261127_referral_services"
down_revision = "20261126_service_plans"


def upgrade() -> None:
    op.execute("DROP INDEX referral_worklist")
    op.execute("DROP INDEX ix_referral_case_id")
    op.execute("ALTER TABLE referral RENAME TO referral_service")
    op.execute("ALTER TABLE referral_service RENAME COLUMN referral_id TO service_id")
    op.execute("ALTER TABLE referral_service RENAME CONSTRAINT referral_pkey TO referral_service_pkey")
    op.execute("ALTER INDEX referral_rerouted_from RENAME TO referral_service_rerouted_from")
    op.execute("ALTER INDEX referral_offered RENAME TO referral_service_offered")
    op.execute("""
        CREATE TABLE referral (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES case_plan (case_id),
            agency text NOT NULL,
            offered_at timestamptz,
            answer_by timestamptz,
            CONSTRAINT referral_of_case_and_agency UNIQUE (case_id, agency)
        )""")
    op.execute("ALTER TABLE referral_service ADD COLUMN referral_id uuid, ADD COLUMN position smallint")
    # A service that no agency was left for at once was never offered.
    op.execute("""
        WITH offer AS (SELECT DISTINCT referral_id FROM case_event WHERE kind = 'referral_offered')
        INSERT INTO referral (referral_id, case_id, agency, offered_at, answer_by)
        SELECT (array_agg(s.service_id ORDER BY o.referral_id IS NULL, s.offered_at, s.service_id))[1],
            s.case_id, s.agency, min(s.offered_at) FILTER (WHERE o.referral_id IS NOT NULL),
            coalesce(
                min(s.answer_by) FILTER (WHERE s.state IN ('offered', 'delivered', 'seen')),
                min(s.answer_by) FILTER (WHERE s.ended_at IS NULL AND s.state <> 'declined'))
        FROM referral_service s LEFT JOIN offer o ON o.referral_id = s.service_id
        GROUP BY s.case_id, s.agency""")
    op.execute("""
        UPDATE referral_service s SET referral_id = n.referral_id, position = n.position FROM (
            SELECT s.service_id, r.referral_id, row_number() OVER (
                PARTITION BY r.referral_id ORDER BY s.offered_at, s.role, s.service_id) AS position
            FROM referral_service s JOIN referral r USING (case_id, agency)) n
        WHERE n.service_id = s.service_id""")
    op.execute("""
        ALTER TABLE referral_service DROP COLUMN case_id, DROP COLUMN agency,
            ALTER COLUMN referral_id SET NOT NULL, ALTER COLUMN position SET NOT NULL,
            ADD CONSTRAINT referral_service_referral_id_fkey FOREIGN KEY (referral_id) REFERENCES referral""")
    op.execute("CREATE INDEX referral_service_of_referral ON referral_service (referral_id)")
    op.execute("CREATE INDEX referral_worklist ON referral (agency, answer_by, referral_id) WHERE answer_by IS NOT NULL")
    op.execute("ALTER TABLE clock RENAME COLUMN referral_id TO service_id")
    op.execute("ALTER TABLE case_event ADD COLUMN service_id uuid")
    op.execute("""
        UPDATE case_event e SET service_id = s.service_id, referral_id = s.referral_id
        FROM referral_service s WHERE s.service_id = e.referral_id""")
    op.execute("ALTER TABLE refused_reply ADD COLUMN service_ids uuid[] NOT NULL DEFAULT '{}'")
    op.execute("""
        UPDATE refused_reply p SET referral_id = s.referral_id, service_ids = ARRAY[s.service_id]
        FROM referral_service s WHERE s.service_id = p.referral_id""")
    op.execute("ALTER TABLE refused_reply DROP CONSTRAINT refused_reply_pkey, ADD PRIMARY KEY (event_id, reason)")
