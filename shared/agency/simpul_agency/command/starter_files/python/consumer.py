"""Receives an agency's referrals; run it in the folder of simpul-agency.env, or set SIMPUL_AGENCY_*."""

from simpul_agency import Agency, ReceivedEvent, Reply
from simpul_schema import Event, messages

agency = Agency.from_settings()


def _show(referral: ReceivedEvent[Event], what: str) -> None:
    print(referral.code, what, *(one.service for one in referral.data.services))


@agency.on(messages.ReferralOfferedV1, messages.ReferralAmendedV1)
async def receive(referral: ReceivedEvent[Event], reply: Reply) -> None:
    """Store the services, which replace those of before, and show your staff what is new."""
    for one in referral.data.services:
        print(referral.code, "new" if one in referral.new_services else "old", one.service, one.urgency, one.answer_by)
    reply.accept()  # what is new; or some: reply.accept([one.service_id, ...]), reply.decline(reason, [...])


@agency.on(messages.ReferralCancelledV1, messages.ReferralRevokedV1, messages.ReferralReroutedV1)
async def stop(referral: ReceivedEvent[Event], reply: Reply) -> None:
    """Stop these services, which another agency may have now; the others continue."""
    _show(referral, "stop:")


@agency.on(messages.ReferralRemindedV1, messages.ReferralOverdueV1, messages.ReferralEscalatedV1)
async def hurry(referral: ReceivedEvent[Event], reply: Reply) -> None:
    """Alert your staff: the city waits for these services."""
    _show(referral, f"due {referral.data.due_at}:")


@agency.on(messages.ReferralConsentWithdrawnV1)
async def delete(referral: ReceivedEvent[Event], reply: Reply) -> None:
    """Delete what you hold for these services first; the others continue."""
    _show(referral, "consent withdrawn:")
    reply.acknowledge_withdrawal()


agency.run()
