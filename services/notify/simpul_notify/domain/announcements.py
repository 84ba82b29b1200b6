"""Who must know of each event of the contract, and what the message says."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_notify.domain.alerts import Occasion


class Audience(StrEnum):
    """Who is alerted about an event."""

    AGENCY = "agency"
    """The people of the agency that has the referral."""
    NAMED = "named"
    """The people of the parties that the event names, by the escalation policy of the agreement."""
    ALERTED = "alerted"
    """Those only who were alerted about the same services before."""
    LEADS = "leads"
    """The leads of the agency that it is about, and the coordinator."""
    RESPONSIBLE = "responsible"
    """Those who answer for the city's data: the coordinator, the head above, and the levels above every agency."""
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What notify does about an event."""

    audience: Audience
    occasion: Occasion | None = None
    """What the message is about, and so its text; None if nobody is alerted."""
    reason: str = ""
    """Why nobody is alerted."""


def _nobody(reason: str) -> Announcement:
    return Announcement(Audience.NOBODY, reason=reason)


_BEFORE_REFERRALS: Final = _nobody("routing decides about it, and its referrals alert the people who must act")
_ENDS_ALERTS: Final = _nobody("it ends alerts; what follows from it has events of its own")
_OF_THE_CASE: Final = _nobody("the case manager acts on it in routing; people who must act get referral events")
_OF_ROUTING: Final = _nobody("an agency says it to routing, which announces what follows")
_BETWEEN_SYSTEMS: Final = _nobody("a system handles it without a person")
_OWN: Final = _nobody("notify itself publishes it")

ANNOUNCEMENTS: Final[Mapping[str, Announcement]] = MappingProxyType(
    {
        "referral.offered.v1": Announcement(Audience.AGENCY, Occasion.OFFERED),
        "referral.amended.v1": Announcement(Audience.AGENCY, Occasion.AMENDED),
        "referral.consent_withdrawn.v1": Announcement(Audience.AGENCY, Occasion.CONSENT_WITHDRAWN),
        "referral.revoked.v1": Announcement(Audience.ALERTED, Occasion.REVOKED),
        "referral.cancelled.v1": Announcement(Audience.ALERTED, Occasion.REVOKED),
        "referral.reminded.v1": Announcement(Audience.NAMED, Occasion.REMINDED),
        "referral.overdue.v1": Announcement(Audience.NAMED, Occasion.OVERDUE),
        "referral.escalated.v1": Announcement(Audience.NAMED, Occasion.ESCALATED),
        "referral.exclusion_suggested.v1": Announcement(Audience.NAMED, Occasion.OFFERED),
        "agency.alarm.v1": Announcement(Audience.LEADS, Occasion.ALARM),
        "breach.found.v1": Announcement(Audience.RESPONSIBLE, Occasion.ALARM),
        "referral.plan_proposed.v1": Announcement(Audience.NAMED, Occasion.OFFERED),
        # The services that go to another agency are offered to it by an event of their own.
        "referral.rerouted.v1": _ENDS_ALERTS,
        "referral.deadline_met.v1": _ENDS_ALERTS,
        "referral.declined.v1": _ENDS_ALERTS,
        "referral.accepted.v1": _ENDS_ALERTS,
        "referral.started.v1": _ENDS_ALERTS,
        "referral.completed.v1": _ENDS_ALERTS,
        "referral.exclusion_decided.v1": _ENDS_ALERTS,
        "referral.plan_decided.v1": _ENDS_ALERTS,
        "case.agency_excluded.v1": _ENDS_ALERTS,
        "referral.reply_refused.v1": _BETWEEN_SYSTEMS,
        "agency.manifest.v1": _BETWEEN_SYSTEMS,
        "audit.head_signed.v1": _BETWEEN_SYSTEMS,
        "case.reported.v1": _BEFORE_REFERRALS,
        "case.amended.v1": _BEFORE_REFERRALS,
        "case.replanned.v1": _OF_THE_CASE,
        "case.closed.v1": _OF_THE_CASE,
        "case.reopened.v1": _OF_THE_CASE,
        "case.merged.v1": _OF_THE_CASE,
        "case.voided.v1": _OF_THE_CASE,
        "right.changed.v1": _OF_THE_CASE,
        "overlap.suspected.v1": _OF_THE_CASE,
        "case.erased.v1": _BETWEEN_SYSTEMS,
        "case.question_sent.v1": _nobody("only whoever holds the receipt of the report reads it"),
        "case.agency_cleared.v1": _nobody("intake alone reads it; whoever decided knows it"),
        "case.note_added.v1": _nobody(
            "it is read where the dossier is; an alert for each note would hide what is urgent"
        ),
        "overlap.dismissed.v1": _OF_THE_CASE,
        "reply.referral.delivered.v1": _OF_ROUTING,
        "reply.referral.seen.v1": _OF_ROUTING,
        "reply.referral.accepted.v1": _OF_ROUTING,
        "reply.referral.declined.v1": _OF_ROUTING,
        "reply.referral.scheduled.v1": _OF_ROUTING,
        "reply.referral.unattended.v1": _OF_ROUTING,
        "reply.referral.started.v1": _OF_ROUTING,
        "reply.referral.completed.v1": _OF_ROUTING,
        "reply.withdrawal.acknowledged.v1": _OF_ROUTING,
        "reply.note.added.v1": _OF_THE_CASE,
        "reply.resend.requested.v1": _BETWEEN_SYSTEMS,
        "disclosure.decided.v1": _BETWEEN_SYSTEMS,
        "dossier.released.v1": _BETWEEN_SYSTEMS,
        "dossier.withdrawn.v1": _nobody("the agency's system deletes it; operators are alarmed when it does not"),
        "reply.dossier.deleted.v1": _BETWEEN_SYSTEMS,
        "reply.message.parked.v1": _nobody("routing announces it by `agency.alarm.v1`"),
        "reply.capacity.stated.v1": _nobody("a lead stated it; the history of each case says whom it concerned"),
        "alert.sent.v1": _OWN,
        "alert.failed.v1": _OWN,
        "alert.exhausted.v1": _nobody("routing takes the next step of the clock, which alerts the next level"),
    }
)
"""Wire name -> what notify does about it."""
