"""What routing does. Each use case takes the events that arrived together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from simpul_routing import publisher, repository
from simpul_routing.agreement import Versions
from simpul_routing.domain.agreement import Agreement
from simpul_routing.domain.engine import Origin
from simpul_routing.domain.facts import Situation, situation_of
from simpul_routing.domain.referral import ReferralState, judge_reply, plan_case
from simpul_routing.errors import ReplyRefusal
from simpul_routing.repository import StoredReferral
from simpul_routing.stored_facts import place_of, written
from simpul_runtime.city import City
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages.case import CaseReportedV1, TriageFacts
from simpul_schema.messages.reply import ReplyData

AGREEMENT_GAPS: Final = Counter(
    "simpul_agreement_gaps", "Cases that no clause covered; any at all is an alarm", ["version"], registry=REGISTRY
)

log = structlog.get_logger()


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
    """Decides cases by the agreement that is active when they are decided."""

    def __init__(self, versions: Versions, city: City, keys: Keys) -> None:
        self._versions = versions
        self._city = city
        self._keys = keys

    async def refer(self, transaction: Transaction, reports: Sequence[tuple[CaseReportedV1, TriageFacts]]) -> None:
        """Plan each reported case and offer its referrals."""
        engines = self._versions.active(transaction.now)
        for event, triage in reports:
            case_id, ward = event.data.case_id, self._city.find_kelurahan(triage.kelurahan)
            situation, origin = seen(triage, self._city, engines.agreement, event.data.received_at)
            decision = engines.on(transaction.now.astimezone(self._city.zone).date()).decide(situation, origin)
            plan = plan_case(decision, engines.agreement, transaction.now, self._city.zone)
            if not plan.is_covered:
                AGREEMENT_GAPS.labels(plan.agreement).inc()
                log.error("agreement_has_a_gap", case_id=case_id, version=plan.agreement)
            shared = publisher.referral_facts(
                triage, ward.kecamatan if ward else "", mediation_locked=plan.mediation_locked
            )
            locked = self._keys.lock(written(situation, origin), place=place_of(case_id))
            for referral_id, referral in repository.add_plan(transaction, case_id, plan, locked):
                transaction.announce(publisher.referral_offered(referral_id, case_id, referral, plan, shared, event.id))


def seen(triage: TriageFacts, city: City, agreement: Agreement, received_at: datetime) -> tuple[Situation, Origin]:
    """A report as the agreement sees it: its finite facts, and the agencies that only the report tells."""
    ward = city.find_kelurahan(triage.kelurahan)
    excluded = frozenset(triage.excluded_agencies)
    centre = city.kinds.get(triage.complaint_centre, "")
    situation = situation_of(
        triage,
        lives_in_city=ward is not None,
        centre=centre,
        # One of several stands for them in the facts; none of them is addressed, whatever the facts say.
        excluded=city.kinds.get(min(excluded, default=""), ""),
        band=agreement.band_at(received_at, city.zone),
    )
    origin = Origin(
        satgas=ward.satgas if ward else "",
        kecamatan=ward.satgas_kecamatan if ward else "",
        centre=triage.complaint_centre if centre else "",
        excluded=excluded,
    )
    return situation, origin


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
