"""Every message class, found by its wire name."""

from simpul_schema.envelope import Event
from simpul_schema.messages.account import ReferralHeartbeatV1, ReplyMessageParkedV1, ReplyWindowRequestedV1
from simpul_schema.messages.alert import AlertFailedV1, AlertSentV1
from simpul_schema.messages.case import (
    CaseAmendedV1,
    CaseClosedV1,
    CaseMergedV1,
    CaseReopenedV1,
    CaseReplannedV1,
    CaseReportedV1,
    CaseVoidedV1,
    RightChangedV1,
)
from simpul_schema.messages.referral import (
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralDeclinedV1,
    ReferralEscalatedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
    ReferralReplyRefusedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.messages.reply import (
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
)

MESSAGES: tuple[type[Event], ...] = (
    CaseReportedV1,
    CaseAmendedV1,
    CaseReplannedV1,
    RightChangedV1,
    CaseClosedV1,
    CaseReopenedV1,
    CaseMergedV1,
    CaseVoidedV1,
    ReferralOfferedV1,
    ReferralAcceptedV1,
    ReferralDeclinedV1,
    ReferralReroutedV1,
    ReferralStartedV1,
    ReferralCompletedV1,
    ReferralCancelledV1,
    ReferralRevokedV1,
    ReferralAmendedV1,
    ReferralReplyRefusedV1,
    ReferralRemindedV1,
    ReferralOverdueV1,
    ReferralEscalatedV1,
    ReferralHeartbeatV1,
    ReplyReferralDeliveredV1,
    ReplyReferralSeenV1,
    ReplyReferralAcceptedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralScheduledV1,
    ReplyReferralUnattendedV1,
    ReplyReferralStartedV1,
    ReplyReferralCompletedV1,
    ReplyWindowRequestedV1,
    ReplyMessageParkedV1,
    AlertSentV1,
    AlertFailedV1,
)

_BY_WIRE_NAME = {message.WIRE_NAME: message for message in MESSAGES}


def message_class(wire_name: str) -> type[Event] | None:
    """The class of a wire name, or None when this version of the contract does not know it."""
    return _BY_WIRE_NAME.get(wire_name)


__all__ = [
    "MESSAGES",
    "AlertFailedV1",
    "AlertSentV1",
    "CaseAmendedV1",
    "CaseClosedV1",
    "CaseMergedV1",
    "CaseReopenedV1",
    "CaseReplannedV1",
    "CaseReportedV1",
    "CaseVoidedV1",
    "ReferralAcceptedV1",
    "ReferralAmendedV1",
    "ReferralCancelledV1",
    "ReferralCompletedV1",
    "ReferralDeclinedV1",
    "ReferralEscalatedV1",
    "ReferralHeartbeatV1",
    "ReferralOfferedV1",
    "ReferralOverdueV1",
    "ReferralRemindedV1",
    "ReferralReplyRefusedV1",
    "ReferralReroutedV1",
    "ReferralRevokedV1",
    "ReferralStartedV1",
    "ReplyMessageParkedV1",
    "ReplyReferralAcceptedV1",
    "ReplyReferralCompletedV1",
    "ReplyReferralDeclinedV1",
    "ReplyReferralDeliveredV1",
    "ReplyReferralScheduledV1",
    "ReplyReferralSeenV1",
    "ReplyReferralStartedV1",
    "ReplyReferralUnattendedV1",
    "ReplyWindowRequestedV1",
    "RightChangedV1",
    "message_class",
]
