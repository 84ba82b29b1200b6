"""One invented case from its report to its end, as the messages that travel: the timeline of the catalogue."""

STORY: tuple[tuple[str, str, str], ...] = (
    ("22:00:00", "case.reported.v1", "a teacher reports; the facts travel sealed to routing"),
    ("22:00:01", "right.changed.v1", "the ledger of the child's rights is opened"),
    ("22:00:01", "referral.offered.v1", "the hospital is asked for medical care, to answer within 15 minutes"),
    ("22:00:01", "reply.referral.delivered.v1", "the hospital's machine has it"),
    ("22:00:02", "alert.sent.v1", "the people on duty are alerted by SMS, without any detail"),
    ("22:06:10", "reply.referral.seen.v1", "somebody has opened it"),
    ("22:07:30", "referral.reminded.v1", "half of the time has passed"),
    ("22:09:00", "reply.referral.accepted.v1", "the emergency ward takes it"),
    ("22:09:00", "referral.accepted.v1", "routing has recorded it; the clock stops"),
    ("22:30:00", "case.amended.v1", "the school tells more; routing decides again"),
    ("22:30:01", "case.replanned.v1", "one service is added, nothing is lost"),
    ("22:30:01", "referral.amended.v1", "the hospital gets the new facts, sealed"),
    ("22:40:00", "reply.referral.started.v1", "the doctor begins"),
    ("22:40:00", "referral.started.v1", "recorded"),
    ("23:01:00", "referral.heartbeat.v1", "the hospital learns what it was sent, and that nothing is missing"),
    ("09:15:00", "reply.referral.completed.v1", "treated"),
    ("09:15:00", "referral.completed.v1", "recorded; the right to medical care is fulfilled"),
    ("+ 40 days", "case.closed.v1", "every right of the child is settled"),
)
"""(time, wire name, what happens)."""
