"""The history of a case becomes a log of typed events.

Copies every row of `transition`, and the offer of every referral, into the new table `case_event`, and then drops
`transition`: half a minute for 100,000 cases. Reading goes on meanwhile. Stop the older routing first, because it
writes to `transition`.
"""

from alembic import op

revision = "20261126_case_events"
down_revision = "20261126_inbox_states"

_DECLINES = (
    "outside_mandate", "outside_area", "no_capacity", "already_served", "conflict_of_interest", "data_missing",
    "client_unreachable", "consent_needed", "other"
)
_ENDS = ("completed", "closed", "transferred")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE case_event (
            event_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            referral_id uuid,
            kind text NOT NULL,
            actor text NOT NULL,
            payload jsonb NOT NULL,
            note bytea NOT NULL DEFAULT '',
            causation_id uuid,
            at timestamptz NOT NULL,
            position bigint GENERATED ALWAYS AS IDENTITY
        )""")
    ends = ", ".join(f"'{end}'" for end in _ENDS)
    declines = ", ".join(f"'{reason}'" for reason in _DECLINES)
    # Of the same time, a change comes before the offers that it caused.
    op.execute(f"""
        INSERT INTO case_event (event_id, case_id, referral_id, kind, actor, payload, note, causation_id, at)
        SELECT event_id, case_id, referral_id, kind, actor, jsonb_strip_nulls(payload), note, causation_id, at FROM (
            SELECT t.transition_id AS event_id, t.case_id, t.referral_id, 'referral_changed' AS kind, t.actor,
                jsonb_build_object('agency', t.agency, 'service', r.service, 'before', t.before, 'after', t.after,
                    'decline_reason', CASE WHEN t.after = 'declined' AND t.reason IN ({declines}) THEN t.reason END,
                    'cancel_reason', CASE WHEN t.reason IN ('taken_back', 'entered_in_error', 'case_ended',
                        'case_merged') THEN t.reason END,
                    'replan_reason', CASE WHEN t.reason IN ('facts_amended', 'agency_excluded', 'urgency_changed',
                        'duplicate_merged', 'case_reopened', 'exclusion_rejected') THEN t.reason END,
                    'next_agency', CASE WHEN t.after = 'rerouted' AND t.actor = 'routing' AND t.reason <> ''
                        AND t.reason NOT IN ('facts_amended', 'agency_excluded', 'urgency_changed',
                        'duplicate_merged', 'case_reopened', 'exclusion_rejected', 'by_hand') THEN t.reason END,
                    'is_by_hand', CASE WHEN t.reason = 'by_hand' THEN true END) AS payload,
                t.note, t.causation_id, t.at, 0 AS rank, t.position
            FROM transition t JOIN referral r ON r.referral_id = t.referral_id
            UNION ALL
            SELECT t.transition_id, t.case_id, NULL, CASE
                    WHEN t.before LIKE '%:%' THEN 'right_answered'
                    WHEN t.before <> t.after THEN 'state_changed'
                    WHEN t.reason IN ('mediation_refused', 'mediation_recorded', 'consent_withdrawn',
                        'withdrawal_acknowledged', 'exclusion_suggested') THEN t.reason
                    WHEN t.reason IN ('facts_amended', 'agency_excluded', 'urgency_changed', 'duplicate_merged',
                        'case_reopened', 'exclusion_rejected') THEN 'replanned'
                    ELSE 'offered_by_hand' END,
                t.actor, CASE
                    WHEN t.before LIKE '%:%' THEN jsonb_build_object('right', split_part(t.before, ':', 1),
                        'before', split_part(t.before, ':', 2), 'after', split_part(t.after, ':', 2))
                    WHEN t.before <> t.after THEN jsonb_build_object('before', t.before, 'after', t.after,
                        'action', CASE t.after WHEN 'triage' THEN 'decided' WHEN 'assessment' THEN 'accepted'
                            WHEN 'service_plan' THEN 'planned' WHEN 'intervention' THEN 'begun'
                            WHEN 'monitoring' THEN 'served' WHEN 'merged' THEN 'merged' WHEN 'reopened' THEN 'reopened'
                            WHEN 'entered_in_error' THEN 'voided' ELSE 'closed' END,
                        'end', CASE WHEN t.after = 'terminated' AND t.reason IN ({ends}) THEN t.reason END,
                        'replan_reason', CASE WHEN t.after = 'reopened' AND t.reason = 'facts_amended'
                            THEN t.reason END)
                    WHEN t.reason IN ('facts_amended', 'agency_excluded', 'urgency_changed', 'duplicate_merged',
                        'case_reopened', 'exclusion_rejected') THEN jsonb_build_object('reason', t.reason)
                    ELSE '{{}}' END,
                t.note, t.causation_id, t.at, 0, t.position
            FROM transition t WHERE t.referral_id IS NULL
            UNION ALL
            SELECT gen_random_uuid(), case_id, referral_id, 'referral_offered', 'routing',
                jsonb_build_object('agency', agency, 'service', service, 'role', role), '', NULL, offered_at, 1, 0
            FROM referral) e
        ORDER BY at, rank, position""")
    op.execute("CREATE INDEX case_event_of_case ON case_event (case_id, position)")
    op.execute("DROP TABLE transition")
