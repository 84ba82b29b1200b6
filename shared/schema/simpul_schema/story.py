"""One invented case from its report to its end as a sequence of messages: the timeline of the catalogue page."""

STORY: tuple[tuple[str, str, str], ...] = (
    ("22:00:00", "case.reported.v1", "a teacher reports; the facts travel sealed to routing"),
    ("22:00:01", "right.changed.v1", "the rights ledger of the case is opened"),
    ("22:00:01", "referral.offered.v1", "the hospital is offered two services, to answer within 15 minutes"),
    ("22:00:01", "reply.referral.delivered.v1", "the hospital's system has received it"),
    ("22:00:02", "alert.sent.v1", "the responders on duty are alerted by SMS, without personal data"),
    ("22:06:10", "reply.referral.seen.v1", "a person opens it"),
    ("22:07:30", "referral.reminded.v1", "half of the time to answer has passed"),
    ("22:09:00", "reply.referral.accepted.v1", "the emergency ward accepts both"),
    ("22:09:00", "referral.accepted.v1", "routing records the acceptance; the clock stops"),
    ("22:30:00", "case.amended.v1", "the school adds facts; routing decides the case again"),
    ("22:30:01", "case.replanned.v1", "one service is added, the others are kept"),
    ("22:30:01", "referral.amended.v1", "the hospital's referral gets one service more, and the new facts, sealed"),
    ("22:40:00", "reply.referral.started.v1", "treatment starts"),
    ("22:40:00", "referral.started.v1", "routing records the start"),
    ("23:01:00", "agency.manifest.v1", "the hospital checks that it received everything that was sent"),
    ("09:15:00", "reply.referral.completed.v1", "treatment is completed"),
    ("09:15:00", "referral.completed.v1", "routing records it; the right to physical rehabilitation is fulfilled"),
    ("+ 40 days", "case.closed.v1", "every right of the child is settled"),
)
"""(time, wire name, description)"""
