"""Assigns each consumed event to the query that updates the board."""

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


def board_handlers() -> Mapping[type[Event], Handler]:
    """Message type -> handler."""
    return {
        ReferralOfferedV1: repository.record_offers,
        ReferralAcceptedV1: repository.record_acceptances,
        ReferralStartedV1: repository.record_starts,
        ReferralOverdueV1: repository.record_passed_deadlines,
        ReferralEscalatedV1: repository.record_passed_deadlines,
        ReferralReroutedV1: repository.record_endings,
        ReferralCompletedV1: repository.record_endings,
        ReferralCancelledV1: repository.record_endings,
        ReferralRevokedV1: repository.record_endings,
        ReferralAmendedV1: repository.record_amendments,
        AlertSentV1: repository.record_alerts,
        AlertFailedV1: repository.record_alerts,
    }
