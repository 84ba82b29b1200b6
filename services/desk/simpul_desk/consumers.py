"""Messages in: note on the board."""

from collections.abc import Mapping

from simpul_desk import repository
from simpul_runtime.inbox import Handler
from simpul_schema import Event
from simpul_schema.messages import (
    AlertFailedV1,
    AlertSentV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralEscalatedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)


def handlers() -> Mapping[type[Event], Handler]:
    """What the desk does with each message."""
    return {
        ReferralOfferedV1: repository.note_offered,
        ReferralAcceptedV1: repository.note_accepted,
        ReferralStartedV1: repository.note_started,
        ReferralOverdueV1: repository.note_late,
        ReferralEscalatedV1: repository.note_late,
        ReferralReroutedV1: repository.note_ended,
        ReferralCompletedV1: repository.note_ended,
        ReferralCancelledV1: repository.note_ended,
        ReferralRevokedV1: repository.note_ended,
        ReferralAmendedV1: repository.note_amended,
        AlertSentV1: repository.note_alerted,
        AlertFailedV1: repository.note_alerted,
    }
