"""A case is decided again: what is asked besides, what no longer, and what stays as it is."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from simpul_routing.domain.agreement import Agreement
from simpul_routing.domain.engine import Origin
from simpul_routing.domain.hand_over import successor
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.plan import PlannedReferral
from simpul_routing.domain.referral import StoredReferral
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

_GAVE_UP = frozenset({ReferralState.DECLINED, ReferralState.REROUTED})
_TAKEN_BACK = frozenset({ReferralState.CANCELLED, ReferralState.REVOKED, ReferralState.ENTERED_IN_ERROR})


@dataclass(frozen=True, slots=True)
class Addition:
    """What is asked from now on."""

    planned: PlannedReferral
    follows: StoredReferral | None = None
    """The referral whose service it goes on with, under the same clocks."""


@dataclass(frozen=True, slots=True)
class Replan:
    """The difference between what is asked and what the agreement says now."""

    added: tuple[Addition, ...]
    withdrawn: tuple[StoredReferral, ...]
    kept: tuple[StoredReferral, ...]


def urgency_after(current: Urgency, from_facts_before: Urgency, from_facts_now: Urgency) -> Urgency:
    """New facts raise the urgency and never lower it; only a person lowers it, with a reason.

    What a person lowered stays so until the facts say more than they did then.
    """
    order = list(Urgency)
    if order.index(from_facts_now) >= order.index(from_facts_before):
        return current
    return min(current, from_facts_now, key=order.index)


def replan(
    planned: Sequence[PlannedReferral],
    referrals: Sequence[StoredReferral],
    by_hand: Collection[UUID],
    agreement: Agreement,
    origin: Origin,
) -> Replan:
    """Compare a plan with the referrals of its case.

    An excluded agency loses what it has, begun or not. Otherwise what has begun goes on, and so does what a person
    asked for (`by_hand`) and what was raised to the case manager while the service itself is needed. A service that
    another agency took over stays with it; one that was completed is not asked again.
    """
    asked = [referral for referral in referrals if referral.standing.is_open]
    service_of = {referral.referral_id: _service_behind(referral, referrals) for referral in referrals}
    needed = {plan.service for plan in planned}
    supported = {(plan.service, plan.agency) for plan in planned if plan.role is ReferralRole.SUPPORT}

    def stays(referral: StoredReferral) -> bool:
        standing = referral.standing
        if standing.state is ReferralState.DECLINED:
            # Nobody could be asked after it; as long as it is needed it stays until somebody can.
            return service_of[referral.referral_id] in needed
        if standing.agency in origin.excluded:
            return False
        if standing.has_begun or referral.referral_id in by_hand:
            return True
        is_wanted = service_of[referral.referral_id] in needed
        if referral.role is ReferralRole.LEAD or referral.handed_over_from is not None:
            return is_wanted
        return (referral.service, standing.agency) in supported

    kept = tuple(referral for referral in asked if stays(referral))
    withdrawn = tuple(referral for referral in asked if not stays(referral))
    answered = {
        service_of[referral.referral_id]
        for referral in (*kept, *_completed(referrals))
        if referral.role is ReferralRole.LEAD and referral.standing.state is not ReferralState.DECLINED
    }
    done = {referral.service for referral in _completed(referrals) if referral.role is ReferralRole.LEAD}
    added = [
        Addition(replace(plan, agency=agency, service=service), _left_behind(plan, referrals, kept))
        for plan in planned
        if plan.role is ReferralRole.LEAD and plan.service not in answered
        for agency, service in _who_can(plan, referrals, kept, agreement, origin)
    ]
    leads = {(addition.planned.service, addition.planned.agency) for addition in added}
    leads |= {(referral.service, referral.standing.agency) for referral in kept}
    had = {(r.service, r.standing.agency) for r in referrals if r.standing.state not in _TAKEN_BACK}
    added += [
        Addition(plan)
        for plan in planned
        if plan.role is ReferralRole.SUPPORT and plan.service not in done
        and (plan.service, plan.agency) not in leads | had
    ]  # fmt: skip
    followed = {addition.follows.referral_id for addition in added if addition.follows}
    still = tuple(referral for referral in kept if referral.referral_id not in followed)
    return Replan(tuple(added), withdrawn, still)


def joined(
    change: Replan,
    joining: Sequence[StoredReferral],
    planned: Sequence[PlannedReferral],
    referrals: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
) -> list[Addition]:
    """What of a twin's open referrals (`joining`, `planned` in the same order) nobody answers for in the other case."""
    asked = [(r.service, r.role, r.standing.agency) for r in (*change.kept, *_completed(referrals))]
    asked += [(a.planned.service, a.planned.role, a.planned.agency) for a in change.added]
    leads = {service for service, role, _ in asked if role is ReferralRole.LEAD}
    serving = {(service, agency) for service, _, agency in asked}
    added = []
    for referral, plan in zip(joining, planned, strict=True):
        if plan.role is ReferralRole.SUPPORT:
            if plan.agency not in origin.excluded and (plan.service, plan.agency) not in serving:
                added.append(Addition(plan, referral))
        elif plan.service not in leads:
            added += [
                Addition(replace(plan, agency=agency, service=service), referral)
                for agency, service in _who_can(plan, referrals, change.kept, agreement, origin)
            ]
    return added


def _completed(referrals: Iterable[StoredReferral]) -> Iterable[StoredReferral]:
    return (referral for referral in referrals if referral.standing.state is ReferralState.COMPLETED)


def _service_behind(referral: StoredReferral, referrals: Sequence[StoredReferral]) -> Service:
    """The service that a raised referral is about; of every other its own."""
    by_id = {other.referral_id: other for other in referrals}
    while referral.service is Service.MANUAL_TRIAGE and referral.handed_over_from in by_id:
        referral = by_id[referral.handed_over_from]
    return referral.service


def _who_can(
    plan: PlannedReferral,
    referrals: Sequence[StoredReferral],
    kept: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
) -> Iterable[tuple[str, Service]]:
    """The planned agency, or the next one where it has declined this service in this case before."""
    gave_up = {r.standing.agency for r in referrals if r.service is plan.service and r.standing.state in _GAVE_UP}
    if plan.agency not in gave_up | origin.excluded:
        return [(plan.agency, plan.service)]
    busy = {r.standing.agency for r in kept if r.service is plan.service and r.role is ReferralRole.LEAD}
    triaging = {r.standing.agency for r in referrals
                if r.service is Service.MANUAL_TRIAGE and r.standing.state in _GAVE_UP}  # fmt: skip
    hand_overs = max((r.hand_overs for r in referrals if r.service is plan.service), default=0)
    follows = successor(
        agreement, plan.clauses, plan.service, plan.role, origin, asked=gave_up | busy, triaging=triaging,
        hand_overs=hand_overs,
    )  # fmt: skip
    return [(follows.agency, follows.service)] if follows else []


def _left_behind(
    plan: PlannedReferral, referrals: Sequence[StoredReferral], kept: Sequence[StoredReferral]
) -> StoredReferral | None:
    """An open lead of the service that is withdrawn, or that nobody took over."""
    return next(
        (
            referral for referral in referrals
            if referral.service is plan.service and referral.role is ReferralRole.LEAD and referral.standing.is_open
            and (referral not in kept or referral.standing.state is ReferralState.DECLINED)
        ),
        None,
    )  # fmt: skip
