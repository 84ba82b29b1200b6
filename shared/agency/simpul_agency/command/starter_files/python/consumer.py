"""Receives an agency's referrals; run it where simpul-agency.env is, or with SIMPUL_AGENCY_* in the environment."""

from simpul_agency import Agency, Received, Reply
from simpul_schema.messages import ReferralCancelledV1, ReferralConsentWithdrawnV1, ReferralOfferedV1

agency = Agency.from_settings()


@agency.on(ReferralOfferedV1)
async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
    """Put it where your people see it; answer now, or later with `agency.reply(referral_id)`."""
    print(referral.code, referral.data.service, referral.data.urgency, "answer by", referral.data.answer_by)
    reply.accept()


@agency.on(ReferralConsentWithdrawnV1)
async def forget(referral: Received[ReferralConsentWithdrawnV1], reply: Reply) -> None:
    """Take it out of your own system first."""
    reply.acknowledge_withdrawal()


@agency.on(ReferralCancelledV1)
async def withdraw(referral: Received[ReferralCancelledV1], reply: Reply) -> None:
    """Nothing more is asked."""
    print(referral.code, "is asked no longer")


if __name__ == "__main__":
    agency.run()
