"""Every message class, found by its wire name, and every sealed section, found by its name."""

from simpul_schema.envelope import Event, SectionContent
from simpul_schema.messages.alarm import AgencyAlarmV1, BreachFoundV1
from simpul_schema.messages.alert import AlertExhaustedV1, AlertFailedV1, AlertSentV1
from simpul_schema.messages.audit import AuditHeadSignedV1
from simpul_schema.messages.capacity import ReplyCapacityStatedV1
from simpul_schema.messages.case import (
    CaseAgencyClearedV1,
    CaseAgencyExcludedV1,
    CaseAmendedV1,
    CaseClosedV1,
    CaseErasedV1,
    CaseMergedV1,
    CaseNoteAddedV1,
    CaseQuestionSentV1,
    CaseReopenedV1,
    CaseReplannedV1,
    CaseReportedV1,
    CaseVoidedV1,
    RightChangedV1,
)
from simpul_schema.messages.delivery import AgencyManifestV1, ReplyMessageParkedV1, ReplyResendRequestedV1
from simpul_schema.messages.dossier import (
    DisclosureDecidedV1,
    DossierReleasedV1,
    DossierWithdrawnV1,
    ReplyDossierDeletedV1,
)
from simpul_schema.messages.overlap import OverlapDismissedV1, OverlapSuspectedV1
from simpul_schema.messages.referral import (
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralConsentWithdrawnV1,
    ReferralDeadlineMetV1,
    ReferralDeclinedV1,
    ReferralEscalatedV1,
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
    ReferralReplyRefusedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.messages.reply import (
    ReplyNoteAddedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.service_plan import ReferralPlanDecidedV1, ReferralPlanProposedV1

MESSAGES: tuple[type[Event], ...] = (
    CaseReportedV1,
    CaseAmendedV1,
    CaseReplannedV1,
    RightChangedV1,
    CaseClosedV1,
    CaseErasedV1,
    CaseQuestionSentV1,
    CaseNoteAddedV1,
    CaseReopenedV1,
    CaseMergedV1,
    CaseVoidedV1,
    CaseAgencyExcludedV1,
    CaseAgencyClearedV1,
    OverlapSuspectedV1,
    OverlapDismissedV1,
    ReferralOfferedV1,
    ReferralAcceptedV1,
    ReferralDeclinedV1,
    ReferralReroutedV1,
    ReferralStartedV1,
    ReferralCompletedV1,
    ReferralCancelledV1,
    ReferralRevokedV1,
    ReferralAmendedV1,
    ReferralConsentWithdrawnV1,
    ReferralReplyRefusedV1,
    ReferralRemindedV1,
    ReferralOverdueV1,
    ReferralEscalatedV1,
    ReferralExclusionSuggestedV1,
    ReferralExclusionDecidedV1,
    ReferralPlanProposedV1,
    ReferralPlanDecidedV1,
    DisclosureDecidedV1,
    DossierReleasedV1,
    DossierWithdrawnV1,
    AgencyManifestV1,
    AuditHeadSignedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralSeenV1,
    ReplyNoteAddedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralScheduledV1,
    ReplyReferralUnattendedV1,
    ReplyReferralStartedV1,
    ReplyReferralCompletedV1,
    ReplyWithdrawalAcknowledgedV1,
    ReplyDossierDeletedV1,
    ReplyResendRequestedV1,
    ReplyMessageParkedV1,
    ReplyCapacityStatedV1,
    AlertSentV1,
    AlertFailedV1,
    AlertExhaustedV1,
    AgencyAlarmV1,
    BreachFoundV1,
    ReferralDeadlineMetV1,
)

SECTIONS: tuple[type[SectionContent], ...] = tuple(dict.fromkeys(s for message in MESSAGES for s in message.SECTIONS))
"""The content of every sealed section that some message may carry."""

_BY_WIRE_NAME = {message.WIRE_NAME: message for message in MESSAGES}
_BY_SECTION = {section.SECTION: section for section in SECTIONS}


def message_class(wire_name: str) -> type[Event] | None:
    """Returns the class of a wire name, or None if this version of the contract does not know it."""
    return _BY_WIRE_NAME.get(wire_name)


def section_class(name: str) -> type[SectionContent]:
    """Returns the content class of a sealed section; raises KeyError if no message may carry a section of that name."""
    return _BY_SECTION[name]


__all__ = [
    "MESSAGES",
    "SECTIONS",
    "AgencyAlarmV1",
    "AgencyManifestV1",
    "AlertExhaustedV1",
    "AlertFailedV1",
    "AlertSentV1",
    "AuditHeadSignedV1",
    "BreachFoundV1",
    "CaseAgencyClearedV1",
    "CaseAgencyExcludedV1",
    "CaseAmendedV1",
    "CaseClosedV1",
    "CaseErasedV1",
    "CaseMergedV1",
    "CaseNoteAddedV1",
    "CaseQuestionSentV1",
    "CaseReopenedV1",
    "CaseReplannedV1",
    "CaseReportedV1",
    "CaseVoidedV1",
    "DisclosureDecidedV1",
    "DossierReleasedV1",
    "DossierWithdrawnV1",
    "OverlapDismissedV1",
    "OverlapSuspectedV1",
    "ReferralAcceptedV1",
    "ReferralAmendedV1",
    "ReferralCancelledV1",
    "ReferralCompletedV1",
    "ReferralConsentWithdrawnV1",
    "ReferralDeadlineMetV1",
    "ReferralDeclinedV1",
    "ReferralEscalatedV1",
    "ReferralExclusionDecidedV1",
    "ReferralExclusionSuggestedV1",
    "ReferralOfferedV1",
    "ReferralOverdueV1",
    "ReferralPlanDecidedV1",
    "ReferralPlanProposedV1",
    "ReferralRemindedV1",
    "ReferralReplyRefusedV1",
    "ReferralReroutedV1",
    "ReferralRevokedV1",
    "ReferralStartedV1",
    "ReplyCapacityStatedV1",
    "ReplyDossierDeletedV1",
    "ReplyMessageParkedV1",
    "ReplyNoteAddedV1",
    "ReplyReferralAcceptedV1",
    "ReplyReferralCompletedV1",
    "ReplyReferralDeclinedV1",
    "ReplyReferralDeliveredV1",
    "ReplyReferralScheduledV1",
    "ReplyReferralSeenV1",
    "ReplyReferralStartedV1",
    "ReplyReferralUnattendedV1",
    "ReplyResendRequestedV1",
    "ReplyWithdrawalAcknowledgedV1",
    "RightChangedV1",
    "message_class",
    "section_class",
]
