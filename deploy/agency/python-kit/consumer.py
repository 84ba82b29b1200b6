"""A consumer with Simpul's kit, which has only the agency's own work."""

from simpul_agency import Agency, ReceivedEvent, Reply
from simpul_schema.messages import (
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralConsentWithdrawnV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRevokedV1,
)

agency = Agency.from_settings()


@agency.on(ReferralOfferedV1)
async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
    """Stores the referral in the agency's own system; called again after an error."""
    for one in referral.new_services:
        print(referral.code, one.service, one.role, one.urgency, "answer by", one.answer_by)
    reply.accept()


@agency.on(ReferralAmendedV1)
async def amend(referral: ReceivedEvent[ReferralAmendedV1], reply: Reply) -> None:
    """Stores the new facts, and the services that were added."""
    print(referral.code, "asks for", *(one.service for one in referral.data.services))
    reply.accept([one.service_id for one in referral.new_services])


@agency.on(ReferralConsentWithdrawnV1)
async def delete(referral: ReceivedEvent[ReferralConsentWithdrawnV1], reply: Reply) -> None:
    """Deletes what the agency's own system holds for these services first; the others of the referral continue."""
    print(referral.code, *(one.service for one in referral.data.services), "stop by", referral.data.acknowledge_by)
    reply.acknowledge_withdrawal()


@agency.on(ReferralOverdueV1)
async def alert(referral: ReceivedEvent[ReferralOverdueV1], reply: Reply) -> None:
    print(referral.code, "is overdue:", referral.data.clock, *(one.service for one in referral.data.services))


@agency.on(ReferralCancelledV1)
async def cancel(referral: ReceivedEvent[ReferralCancelledV1], reply: Reply) -> None:
    """Stops the services that it lists; the others of the referral continue."""
    print(referral.code, "cancelled:", referral.data.why, *(one.service for one in referral.data.services))


@agency.on(ReferralRevokedV1)
async def revoke(referral: ReceivedEvent[ReferralRevokedV1], reply: Reply) -> None:
    print(referral.code, "revoked:", referral.data.why, *(one.service for one in referral.data.services))


agency.run()
