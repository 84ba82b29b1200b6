"""What routing does. Each use case takes the events that arrived together."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from simpul_routing import publisher, repository
from simpul_routing.domain import Origin, ReferralState, Rules, facts_of, judge_reply, plan_case
from simpul_routing.errors import ReplyRefusal
from simpul_routing.repository import StoredReferral
from simpul_runtime.city import City
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages.case import CaseReportedV1, TriageFacts
from simpul_schema.messages.reply import ReplyData


@dataclass(frozen=True, slots=True)
class Reply:
    """What an agency said about a referral."""

    event: Event
    data: ReplyData

    @property
    def agency(self) -> str:
        """Who said it, as the signature proves."""
        return Producer.of(self.event.source).party


class ReferCases:
    """Decides cases by the city's rules."""

    def __init__(self, rules: Rules, city: City) -> None:
        self._rules = rules
        self._city = city

    async def refer(self, transaction: Transaction, reports: Sequence[tuple[CaseReportedV1, TriageFacts]]) -> None:
        """Plan each reported case and offer its referrals."""
        for event, triage in reports:
            ward = self._city.find_kelurahan(triage.kelurahan)
            centre = triage.complaint_centre if triage.complaint_centre in self._city.agency_codes else ""
            facts = facts_of(
                triage.model_dump(mode="json", exclude={"complaint_centre"}), kelurahan_is_known=ward is not None
            )
            origin = Origin(satgas=f"satgas-kel-{ward.slug}" if ward else "", centre=centre)
            plan = plan_case(facts, origin, self._rules, transaction.now, self._city.zone)
            shared = publisher.referral_facts(
                triage, ward.kecamatan if ward else "", mediation_locked=plan.mediation_locked
            )
            case_id = event.data.case_id
            for referral_id, referral in repository.add_plan(transaction, case_id, plan):
                transaction.announce(publisher.referral_offered(referral_id, case_id, referral, plan, shared, event.id))


async def record_delivered(transaction: Transaction, replies: Sequence[Reply]) -> None:
    """The agency's machine has the referral."""
    await _record(transaction, replies, ReferralState.DELIVERED)


async def record_accepted(transaction: Transaction, replies: Sequence[Reply]) -> None:
    """The agency takes the referral; routing announces it once."""
    for reply, referral in await _record(transaction, replies, ReferralState.ACCEPTED):
        transaction.announce(
            publisher.referral_accepted(
                referral.referral_id, referral.case_id, reply.agency, transaction.now, reply.event.id
            )
        )


async def _record(
    transaction: Transaction, replies: Sequence[Reply], said: ReferralState
) -> list[tuple[Reply, StoredReferral]]:
    """Judge and write; returns the replies that moved their referral."""
    known = await repository.referrals_for_update(transaction, [reply.data.referral_id for reply in replies])
    states: dict[UUID, ReferralState] = {}
    moved = []
    for reply in replies:
        referral = known.get(reply.data.referral_id)
        outcome = judge_reply(referral.standing if referral else None, reply.agency, said)
        if isinstance(outcome, ReplyRefusal) or referral is None:
            refusal = outcome if isinstance(outcome, ReplyRefusal) else ReplyRefusal.UNKNOWN_REFERRAL
            repository.add_refusal(transaction, reply.event.id, reply.data, reply.agency, refusal)
            continue
        if outcome is not referral.standing.state and referral.referral_id not in states:
            moved.append((reply, referral))
        states[referral.referral_id] = outcome
    await repository.move(transaction, states, said)
    return moved
