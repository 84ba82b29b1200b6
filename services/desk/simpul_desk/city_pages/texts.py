"""Texts of the city pages: states of cases and services, and what a person reads when a form was done."""

from collections.abc import Mapping
from typing import Final

from simpul_schema.translations import gettext_noop

CASE_STATES: Final[Mapping[str, str]] = {
    "received": gettext_noop("received"),
    "triage": gettext_noop("in triage"),
    "assessment": gettext_noop("in assessment"),
    "service_plan": gettext_noop("service plan"),
    "intervention": gettext_noop("being served"),
    "monitoring": gettext_noop("in monitoring"),
    "terminated": gettext_noop("ended"),
    "reopened": gettext_noop("open again"),
    "merged": gettext_noop("continued in another case"),
    "entered_in_error": gettext_noop("entered in error"),
}
SERVICE_STATES: Final[Mapping[str, str]] = {
    "offered": gettext_noop("sent"),
    "delivered": gettext_noop("delivered"),
    "seen": gettext_noop("seen"),
    "accepted": gettext_noop("accepted"),
    "declined": gettext_noop("declined"),
    "rerouted": gettext_noop("passed on to another agency"),
    "scheduled": gettext_noop("appointment made"),
    "unattended": gettext_noop("the child did not come"),
    "in_progress": gettext_noop("being served"),
    "completed": gettext_noop("completed"),
    "cancelled": gettext_noop("cancelled"),
    "revoked": gettext_noop("no longer needed"),
    "entered_in_error": gettext_noop("entered in error"),
}
TRANSFER_STATES: Final[Mapping[str, str]] = {
    "sent": gettext_noop("waits for the receipt"),
    "acknowledged": gettext_noop("acknowledged"),
    "withdrawn": gettext_noop("withdrawn"),
}
TRANSFER_SUBJECTS: Final[Mapping[str, str]] = {
    "child": gettext_noop("the child"),
    "suspect": gettext_noop("the suspect"),
}
TRANSFER_WAYS: Final[Mapping[str, str]] = {
    "mail": gettext_noop("by e-mail"),
    "paper": gettext_noop("on paper"),
}
DONE: Final[Mapping[str, str]] = {
    "plan": gettext_noop("The plan is confirmed. The agencies receive their services now."),
    "offer": gettext_noop("The service was offered to the agency."),
    "questions": gettext_noop("The question was sent. The answer is added to the dossier."),
    "exclusions": gettext_noop("Your decision about the agency was recorded."),
    "overlaps": gettext_noop("Your decision about the duplicate was recorded."),
    "transfers": gettext_noop("The transfer is recorded. Print or mail its letter now."),
    "receipts": gettext_noop("The receipt is recorded."),
    "withdrawals": gettext_noop("The transfer is withdrawn."),
    "close": gettext_noop("The case is closed. Its agencies learn now that their open services are cancelled."),
    "reopen": gettext_noop("The case is open again. The services that ended with it are offered again."),
}
"""First part of the path of a form about a case -> what the person reads when it was done."""
RIGHT_REASONS: Final[Mapping[str, str]] = {
    "agreement": gettext_noop("as a clause of the agreement says"),
    "outcome": gettext_noop("as the agency reported"),
    "awaits_decision": gettext_noop("waits for the decision about an agency that may be too close"),
    "by_hand": gettext_noop("a person decided it; the reason stands under What happened"),
}
"""Why a right stands where it does, by routing's code."""
