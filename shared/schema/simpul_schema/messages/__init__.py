"""Every message class, found by its wire name."""

from simpul_schema.envelope import Event
from simpul_schema.messages.alert import AlertFailedV1, AlertSentV1
from simpul_schema.messages.case import CaseReportedV1
from simpul_schema.messages.referral import ReferralAcceptedV1, ReferralOfferedV1
from simpul_schema.messages.reply import ReplyReferralAcceptedV1, ReplyReferralDeliveredV1

MESSAGES: tuple[type[Event], ...] = (
    CaseReportedV1,
    ReferralOfferedV1,
    ReferralAcceptedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralAcceptedV1,
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
    "CaseReportedV1",
    "ReferralAcceptedV1",
    "ReferralOfferedV1",
    "ReplyReferralAcceptedV1",
    "ReplyReferralDeliveredV1",
    "message_class",
]
