"""Replanning: which referrals a new plan adds, withdraws and keeps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.model import Agreement
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.exclusions import NONE_WAITING, Waiting, find_next_available_agency
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import OutstandingService, StoredReferral
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

_NOT_SERVING = frozenset({ReferralState.DECLINED, ReferralState.REROUTED})
_WITHDRAWN = frozenset({ReferralState.CANCELLED, ReferralState.REVOKED, ReferralState.ENTERED_IN_ERROR})


@dataclass(frozen=True, slots=True)
class Addition:
    """A referral to add."""

    planned: PlannedReferral
    continues: StoredReferral | None = None
    """The referral whose service it continues, under the same clocks."""
    escalated_service: OutstandingService | None = None
    by_hand: bool = False

    @property
    def outstanding_service(self) -> OutstandingService:
        """Its own service, or the service that is escalated to the hub with it."""
        return self.escalated_service or OutstandingService(self.planned.service, self.planned.role)


@dataclass(frozen=True, slots=True)
class Replan:
    """The difference between the referrals of a case and its new plan."""

    added: tuple[Addition, ...]
    withdrawn: tuple[StoredReferral, ...]
    kept: tuple[StoredReferral, ...]


def combine_urgency(current: Urgency, from_facts_before: Urgency, from_facts_now: Urgency) -> Urgency:
    """Returns the urgency after new facts, which only raise it; a person may lower it, with a reason.

    An urgency that a person lowered stays until the facts demand more than they did then.
    """
    order = list(Urgency)
    if order.index(from_facts_now) >= order.index(from_facts_before):
        return current
    return min(current, from_facts_now, key=order.index)


def replan_referrals(
    planned: Sequence[PlannedReferral],
    referrals: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
    joining: Sequence[StoredReferral] = (),
    waiting: Waiting = NONE_WAITING,
) -> Replan:
    """Compares a plan with the referrals of its case and of merged duplicates.

    An excluded agency loses all its referrals, started or not. Otherwise a referral stays once its service has started
    or if a person offered it; a service escalated to the hub stays while it is needed. A rerouted service stays with
    its present agency, and a completed one is not offered again. `joining` are the open referrals of a duplicate that
    is being merged: an added referral for the same service continues theirs. `waiting` agencies keep their referrals
    and receive no new ones.
    """
    still_open = [referral for referral in referrals if referral.standing.is_open]
    completed = [referral for referral in referrals if referral.standing.state is ReferralState.COMPLETED]
    needed = {plan.service for plan in planned}
    supported = {(plan.service, plan.agency) for plan in planned if plan.role is ReferralRole.SUPPORT}

    def stays(referral: StoredReferral) -> bool:
        standing, is_needed = referral.standing, referral.outstanding_service.service in needed
        if standing.state is ReferralState.DECLINED:
            # No agency was left to reroute it to; it stays until there is one or the service is no longer needed.
            return is_needed or referral.by_hand
        if standing.agency in origin.excluded:
            return False
        if standing.has_begun or referral.by_hand:
            return True
        if referral.role is ReferralRole.LEAD or referral.rerouted_from is not None:
            return is_needed
        return (referral.service, standing.agency) in supported

    kept = tuple(referral for referral in still_open if stays(referral))
    withdrawn = tuple(referral for referral in still_open if not stays(referral))
    covered = {r.outstanding_service.service for r in (*kept, *completed) if _covers_lead(r)}
    added = [
        Addition(
            replace(plan, agency=agency, service=service),
            continued,
            _escalated_service(plan, service),
            by_hand=_is_by_hand(continued),
        )
        for plan in planned
        if plan.role is ReferralRole.LEAD and not (plan.service in covered and _is_lead_covered(plan, kept))
        for continued in (_find_continued_referral(plan.service, (*referrals, *joining), kept),)
        for agency, service in _find_available_agencies(plan, referrals, kept, agreement, origin, waiting)
    ]
    settled = {plan.service for plan in planned if plan.role is ReferralRole.LEAD} | covered
    for referral in withdrawn:
        # A service that a person offered is still outstanding after an exclusion withdraws it.
        if (
            referral.by_hand
            and referral.outstanding_service.role is ReferralRole.LEAD
            and referral.outstanding_service.service not in settled
        ):
            settled.add(referral.outstanding_service.service)
            plan = PlannedReferral(referral.outstanding_service.service, referral.standing.agency, ReferralRole.LEAD)
            added += [
                Addition(
                    replace(plan, agency=agency, service=service),
                    referral,
                    _escalated_service(plan, service),
                    by_hand=True,
                )
                for agency, service in _find_available_agencies(plan, referrals, kept, agreement, origin, waiting)
            ]
    serving = {(r.service, r.standing.agency) for r in kept} | {(a.planned.service, a.planned.agency) for a in added}
    had = {(r.service, r.standing.agency) for r in referrals if r.standing.state not in _WITHDRAWN}
    done = {
        referral.outstanding_service.service
        for referral in completed
        if referral.outstanding_service.role is ReferralRole.LEAD
    }
    added += [
        Addition(plan)
        for plan in planned
        if plan.role is ReferralRole.SUPPORT and plan.service not in done
        and (plan.service, plan.agency) not in serving | had and not waiting.holds_back(plan.service, plan.agency)
    ]  # fmt: skip
    continued_ids = {addition.continues.referral_id for addition in added if addition.continues}
    return Replan(tuple(added), withdrawn, tuple(r for r in kept if r.referral_id not in continued_ids))


def carry_over_referrals(
    change: Replan,
    others: Mapping[UUID, tuple[str, ...]],
    joining: Sequence[StoredReferral],
    referrals: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting = NONE_WAITING,
) -> list[Addition]:
    """Returns additions for the referrals in `joining` whose services nothing in the case covers yet.

    `joining` are open referrals of a merged duplicate, or referrals by hand that ended with the case; `others` holds
    the clauses of each.
    """
    completed = [referral for referral in referrals if referral.standing.state is ReferralState.COMPLETED]
    here = [(r.outstanding_service, r.standing.agency) for r in (*change.kept, *completed)]
    here += [(addition.outstanding_service, addition.planned.agency) for addition in change.added]
    leads = {outstanding.service for outstanding, _ in here if outstanding.role is ReferralRole.LEAD}
    serving = {(outstanding.service, agency) for outstanding, agency in here}
    done = {
        referral.outstanding_service.service
        for referral in completed
        if referral.outstanding_service.role is ReferralRole.LEAD
    }
    added: list[Addition] = []
    for referral in joining:
        agency, clauses = referral.standing.agency, others[referral.referral_id]
        outstanding = referral.outstanding_service
        carried = Addition(
            PlannedReferral(referral.service, agency, referral.role, clauses),
            referral,
            referral.escalated_service,
            by_hand=True,
        )
        is_excluded = agency in origin.excluded
        if outstanding.role is ReferralRole.SUPPORT:
            is_served = outstanding.service in done or (outstanding.service, agency) in serving
            added += [] if is_excluded or is_served else [carried]
        elif outstanding.service not in leads:
            leads.add(outstanding.service)
            plan = PlannedReferral(outstanding.service, agency, ReferralRole.LEAD, clauses)
            added += (
                [carried]
                if not is_excluded
                else [
                    Addition(
                        replace(plan, agency=code, service=service),
                        referral,
                        _escalated_service(plan, service),
                        by_hand=True,
                    )
                    for code, service in _find_available_agencies(
                        plan, referrals, change.kept, agreement, origin, waiting
                    )
                ]
            )
    return added


def _covers_lead(referral: StoredReferral) -> bool:
    """Whether this referral means that the service has a lead, had one, or was escalated to the hub."""
    return (
        referral.outstanding_service.role is ReferralRole.LEAD and referral.standing.state is not ReferralState.DECLINED
    )


def _is_lead_covered(plan: PlannedReferral, kept: Sequence[StoredReferral]) -> bool:
    """A triage for a service that no clause covers counts only while it is open: the gap may have come back."""
    if plan.service is not Service.MANUAL_TRIAGE or plan.clauses:
        return True
    return any(referral.service is Service.MANUAL_TRIAGE for referral in kept)


def _is_by_hand(referral: StoredReferral | None) -> bool:
    return referral is not None and referral.by_hand


def _escalated_service(plan: PlannedReferral, service: Service) -> OutstandingService | None:
    """The planned service where a manual triage is offered in its place."""
    return OutstandingService(plan.service, plan.role) if service is not plan.service else None


def _find_available_agencies(
    plan: PlannedReferral,
    referrals: Sequence[StoredReferral],
    kept: Sequence[StoredReferral],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting,
) -> Iterable[tuple[str, Service]]:
    """Returns the planned agency, or the next one if it declined or is excluded; nothing while it waits."""
    declined = {r.standing.agency for r in referrals if r.service is plan.service and r.standing.state in _NOT_SERVING}
    if plan.agency not in declined | origin.excluded:
        return [] if waiting.holds_back(plan.service, plan.agency) else [(plan.agency, plan.service)]
    busy = {r.standing.agency for r in kept if r.service is plan.service and r.role is ReferralRole.LEAD}
    declined_triage = {r.standing.agency for r in referrals
                if r.service is Service.MANUAL_TRIAGE and r.standing.state in _NOT_SERVING}  # fmt: skip
    reroute_count = max(
        (r.reroute_count for r in referrals if r.outstanding_service.service is plan.service), default=0
    )
    found = find_next_available_agency(
        waiting,
        agreement,
        plan.clauses,
        plan.service,
        plan.role,
        origin,
        tried=declined | busy,
        declined_triage=declined_triage,
        reroute_count=reroute_count,
    )
    return [(found.agency, found.service)] if found else []


def _find_continued_referral(
    service: Service, referrals: Sequence[StoredReferral], kept: Sequence[StoredReferral]
) -> StoredReferral | None:
    """Returns an open lead of the service that is withdrawn, declined without a next agency, or a duplicate's."""
    return next(
        (
            referral
            for referral in referrals
            if referral.outstanding_service == OutstandingService(service, ReferralRole.LEAD)
            and referral.standing.is_open
            and (referral not in kept or referral.standing.state is ReferralState.DECLINED)
        ),
        None,
    )
