"""A case is decided again: what is asked besides, what no longer, and what stays as it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.model import Agreement
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.exclusions import NOBODY_WAITS, Waiting, successor_beside
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import Raised, StoredReferral
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

_GAVE_UP = frozenset({ReferralState.DECLINED, ReferralState.REROUTED})
_TAKEN_BACK = frozenset({ReferralState.CANCELLED, ReferralState.REVOKED, ReferralState.ENTERED_IN_ERROR})


@dataclass(frozen=True, slots=True)
class Addition:
    """What is asked from now on."""

    planned: PlannedReferral
    follows: StoredReferral | None = None
    """The referral whose service it goes on with, under the same clocks."""
    raised: Raised | None = None
    by_hand: bool = False

    @property
    def owed(self) -> Raised:
        """The service and role that it stands for."""
        return self.raised or Raised(self.planned.service, self.planned.role)


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
    agreement: Agreement,
    origin: Origin,
    joining: Sequence[StoredReferral] = (),
    waiting: Waiting = NOBODY_WAITS,
) -> Replan:
    """Compare a plan with the referrals of its case, those of merged twins among them.

    An excluded agency loses what it has, begun or not. Otherwise what has begun goes on, and so does what a person
    asked for, and what was raised to the case manager while the service itself is needed. A service that another
    agency took over stays with it; one that was completed is not asked again. `joining` are the open referrals of a
    twin that ends here: a service that is asked anew goes on with theirs. Whoever is `waiting` keeps what it has and
    is asked for nothing new.
    """
    asked = [referral for referral in referrals if referral.standing.is_open]
    completed = [referral for referral in referrals if referral.standing.state is ReferralState.COMPLETED]
    needed = {plan.service for plan in planned}
    supported = {(plan.service, plan.agency) for plan in planned if plan.role is ReferralRole.SUPPORT}

    def stays(referral: StoredReferral) -> bool:
        standing, is_needed = referral.standing, referral.owed.service in needed
        if standing.state is ReferralState.DECLINED:
            # Nobody could be asked after it; as long as it is needed it stays until somebody can.
            return is_needed or referral.by_hand
        if standing.agency in origin.excluded:
            return False
        if standing.has_begun or referral.by_hand:
            return True
        if referral.role is ReferralRole.LEAD or referral.rerouted_from is not None:
            return is_needed
        return (referral.service, standing.agency) in supported

    kept = tuple(referral for referral in asked if stays(referral))
    withdrawn = tuple(referral for referral in asked if not stays(referral))
    answered = {r.owed.service for r in (*kept, *completed) if _answers(r)}
    added = [
        Addition(
            replace(plan, agency=agency, service=service),
            left,
            _raised(plan, service),
            by_hand=_is_by_hand(left),
        )
        for plan in planned
        if plan.role is ReferralRole.LEAD and not (plan.service in answered and _is_answered(plan, kept))
        for left in (_left_behind(plan.service, (*referrals, *joining), kept),)
        for agency, service in _who_can(plan, referrals, kept, agreement, origin, waiting)
    ]
    lost = {plan.service for plan in planned if plan.role is ReferralRole.LEAD} | answered
    for referral in withdrawn:
        # What a person asked for and an exclusion takes away is still owed.
        if referral.by_hand and referral.owed.role is ReferralRole.LEAD and referral.owed.service not in lost:
            lost.add(referral.owed.service)
            plan = PlannedReferral(referral.owed.service, referral.standing.agency, ReferralRole.LEAD)
            added += [
                Addition(replace(plan, agency=agency, service=service), referral, _raised(plan, service), by_hand=True)
                for agency, service in _who_can(plan, referrals, kept, agreement, origin, waiting)
            ]
    serving = {(r.service, r.standing.agency) for r in kept} | {(a.planned.service, a.planned.agency) for a in added}
    had = {(r.service, r.standing.agency) for r in referrals if r.standing.state not in _TAKEN_BACK}
    done = {referral.owed.service for referral in completed if referral.owed.role is ReferralRole.LEAD}
    added += [
        Addition(plan)
        for plan in planned
        if plan.role is ReferralRole.SUPPORT and plan.service not in done
        and (plan.service, plan.agency) not in serving | had and not waiting.holds_back(plan.service, plan.agency)
    ]  # fmt: skip
    followed = {addition.follows.referral_id for addition in added if addition.follows}
    still = tuple(referral for referral in kept if referral.referral_id not in followed)
    return Replan(tuple(added), withdrawn, still)


def carried(
    change: Replan,
    others: Mapping[UUID, tuple[str, ...]],
    joining: Sequence[StoredReferral],
    referrals: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting = NOBODY_WAITS,
) -> list[Addition]:
    """What of other referrals (`joining`, with the clauses of each) nobody answers for yet: it goes on here.

    They are those of a merged twin, or those that a closing cut off although a person had asked for them.
    """
    completed = [referral for referral in referrals if referral.standing.state is ReferralState.COMPLETED]
    here = [(r.owed, r.standing.agency) for r in (*change.kept, *completed)]
    here += [(addition.owed, addition.planned.agency) for addition in change.added]
    leads = {owed.service for owed, _ in here if owed.role is ReferralRole.LEAD}
    serving = {(owed.service, agency) for owed, agency in here}
    done = {referral.owed.service for referral in completed if referral.owed.role is ReferralRole.LEAD}
    added: list[Addition] = []
    for referral in joining:
        agency, owed, clauses = referral.standing.agency, referral.owed, others[referral.referral_id]
        goes_on = Addition(
            PlannedReferral(referral.service, agency, referral.role, clauses), referral, referral.raised, by_hand=True
        )
        is_excluded = agency in origin.excluded
        if owed.role is ReferralRole.SUPPORT:
            is_moot = is_excluded or owed.service in done or (owed.service, agency) in serving
            added += [] if is_moot else [goes_on]
        elif owed.service not in leads:
            leads.add(owed.service)
            plan = PlannedReferral(owed.service, agency, ReferralRole.LEAD, clauses)
            added += [goes_on] if not is_excluded else [
                Addition(replace(plan, agency=code, service=service), referral, _raised(plan, service), by_hand=True)
                for code, service in _who_can(plan, referrals, change.kept, agreement, origin, waiting)
            ]  # fmt: skip
    return added


def _answers(referral: StoredReferral) -> bool:
    """Whether somebody leads the service, or has, or decides about it."""
    return referral.owed.role is ReferralRole.LEAD and referral.standing.state is not ReferralState.DECLINED


def _is_answered(plan: PlannedReferral, kept: Sequence[StoredReferral]) -> bool:
    """A triage because a service has no lead is answered only while it goes on: the hole may have come back."""
    if plan.service is not Service.MANUAL_TRIAGE or plan.clauses:
        return True
    return any(referral.service is Service.MANUAL_TRIAGE for referral in kept)


def _is_by_hand(referral: StoredReferral | None) -> bool:
    return referral is not None and referral.by_hand


def _raised(plan: PlannedReferral, service: Service) -> Raised | None:
    """What is owed where the case manager is asked instead."""
    return Raised(plan.service, plan.role) if service is not plan.service else None


def _who_can(
    plan: PlannedReferral,
    referrals: Sequence[StoredReferral],
    kept: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting,
) -> Iterable[tuple[str, Service]]:
    """The planned agency; the next one where it has declined this service in this case before; nobody if it waits."""
    gave_up = {r.standing.agency for r in referrals if r.service is plan.service and r.standing.state in _GAVE_UP}
    if plan.agency not in gave_up | origin.excluded:
        return [] if waiting.holds_back(plan.service, plan.agency) else [(plan.agency, plan.service)]
    busy = {r.standing.agency for r in kept if r.service is plan.service and r.role is ReferralRole.LEAD}
    triaging = {r.standing.agency for r in referrals
                if r.service is Service.MANUAL_TRIAGE and r.standing.state in _GAVE_UP}  # fmt: skip
    reroute_count = max((r.reroute_count for r in referrals if r.owed.service is plan.service), default=0)
    follows = successor_beside(
        waiting, agreement, plan.clauses, plan.service, plan.role, origin, asked=gave_up | busy, triaging=triaging,
        reroute_count=reroute_count,
    )  # fmt: skip
    return [(follows.agency, follows.service)] if follows else []


def _left_behind(
    service: Service, referrals: Sequence[StoredReferral], kept: Sequence[StoredReferral]
) -> StoredReferral | None:
    """An open lead of the service that is withdrawn, that nobody took over, or that a twin had."""
    return next(
        (
            referral for referral in referrals
            if referral.owed == Raised(service, ReferralRole.LEAD) and referral.standing.is_open
            and (referral not in kept or referral.standing.state is ReferralState.DECLINED)
        ),
        None,
    )  # fmt: skip
