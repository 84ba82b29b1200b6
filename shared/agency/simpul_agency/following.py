"""Where each referral stands, as far as this agency knows: what the city said last, and what was replied since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from simpul_agency.records import Stream
from simpul_schema.messages import ReferralAmendedV1, ReferralOfferedV1, ReferralReplyRefusedV1
from simpul_schema.vocabulary import Urgency

ENDED = frozenset({
    "referral.declined.v1", "referral.rerouted.v1", "referral.completed.v1", "referral.cancelled.v1",
    "referral.revoked.v1",
})  # fmt: skip
ANSWERS = frozenset({"reply.referral.accepted.v1", "reply.referral.declined.v1"})


@dataclass(frozen=True)
class Followed:
    """One referral."""

    offer: ReferralOfferedV1
    state: str
    """The wire name of the last thing that was said and changes where it stands."""
    urgency: Urgency
    answer_by: datetime
    newest_facts: bytes
    """The event that carries them, as it came."""
    is_open: bool
    is_unanswered: bool
    must_acknowledge: bool
    """A consent was withdrawn, and the agency has not said that it stopped."""
    refused: tuple[str, ...]
    """Why the city refused replies, as sentences in two languages."""


def follow(stream: Stream, refusals: Iterable[ReferralReplyRefusedV1]) -> Followed:
    """Read together what belongs to one referral."""
    offer = ReferralOfferedV1.model_validate_json(stream.offer)
    amended = [body for wire_name, body in stream.events if wire_name == ReferralAmendedV1.WIRE_NAME]
    newest = ReferralAmendedV1.model_validate_json(amended[-1]) if amended else offer
    told = [name for name, _ in stream.events if name not in (ReferralAmendedV1.WIRE_NAME, offer.type)]
    said = [name for name in stream.replies if not name.endswith((".delivered.v1", ".seen.v1"))]
    has_ended = any(name in ENDED for name in told)
    return Followed(
        offer=offer,
        state=next(iter([name for name in reversed(told) if name in ENDED] + said[::-1] + told[::-1]), offer.type),
        urgency=newest.data.urgency,
        answer_by=newest.data.answer_by,
        newest_facts=amended[-1] if amended else stream.offer,
        is_open=not has_ended and "reply.referral.completed.v1" not in said,
        is_unanswered=not has_ended and not ANSWERS & set(said),
        must_acknowledge="referral.consent_withdrawn.v1" in told and "reply.withdrawal.acknowledged.v1" not in said,
        refused=tuple(one.data.explanation for one in refusals if one.data.referral_id == offer.data.referral_id),
    )
