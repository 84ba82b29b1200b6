"""A consumer with Simpul's kit: what it does with a referral is all that is written here."""

from simpul_agency import Agency, Received, Reply
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
async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
    """Here it would go into the agency's own system, under its code; a failure has it called again."""
    print(referral.code, referral.data.service, referral.data.urgency, "answer by", referral.data.answer_by)
    reply.accept()


@agency.on(ReferralAmendedV1)
async def amend(referral: Received[ReferralAmendedV1], reply: Reply) -> None:
    print(referral.code, "has new facts; it is now", referral.data.urgency)


@agency.on(ReferralConsentWithdrawnV1)
async def forget(referral: Received[ReferralConsentWithdrawnV1], reply: Reply) -> None:
    """Here it would be taken out of the agency's own system first."""
    print(referral.code, "must be forgotten by", referral.data.acknowledge_by)
    reply.acknowledge_withdrawal()


@agency.on(ReferralOverdueV1)
async def hurry(referral: Received[ReferralOverdueV1], reply: Reply) -> None:
    print(referral.code, "is overdue:", referral.data.clock)


@agency.on(ReferralCancelledV1)
async def cancel(referral: Received[ReferralCancelledV1], reply: Reply) -> None:
    print(referral.code, "was cancelled:", referral.data.why)


@agency.on(ReferralRevokedV1)
async def revoke(referral: Received[ReferralRevokedV1], reply: Reply) -> None:
    print(referral.code, "is asked no longer:", referral.data.why)


agency.run()
