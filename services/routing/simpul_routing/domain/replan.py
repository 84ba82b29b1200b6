"""Replanning: which services a new plan adds, withdraws and keeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from simpul_agreement.engine import Origin
from simpul_agreement.model import Agreement
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.exclusions import NONE_WAITING, Waiting, find_next_available_agency
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.referral import OutstandingService, ReferralService
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

_NOT_SERVING = frozenset({ServiceState.DECLINED, ServiceState.REROUTED})
_WITHDRAWN = frozenset({ServiceState.CANCELLED, ServiceState.REVOKED, ServiceState.ENTERED_IN_ERROR})
_NO_LEADS: Final[Mapping[Service, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Addition:
    """A service to add."""

    planned: PlannedReferral
    continues: ReferralService | None = None
    """The service that it continues, under the same clocks."""
    escalated_service: OutstandingService | None = None
    by_hand: bool = False

    @property
    def outstanding_service(self) -> OutstandingService:
        """Its own service, or the service that is escalated to the hub with it."""
        return self.escalated_service or OutstandingService(self.planned.service, self.planned.role)


@dataclass(frozen=True, slots=True)
class Replan:
    """The difference between the services of a case and its new plan."""

    added: tuple[Addition, ...]
    withdrawn: tuple[ReferralService, ...]
    kept: tuple[ReferralService, ...]


def combine_urgency(current: Urgency, from_facts_before: Urgency, from_facts_now: Urgency) -> Urgency:
    """Returns the urgency after new facts, which only raise it; a person may lower it, with a reason.

    An urgency that a person lowered stays until the facts demand more than they did then.
    """
    order = list(Urgency)
    if order.index(from_facts_now) >= order.index(from_facts_before):
        return current
    return min(current, from_facts_now, key=order.index)


def replan_services(
    planned: Sequence[PlannedReferral],
    services: Sequence[ReferralService],
    agreement: Agreement,
    origin: Origin,
    joining: Sequence[ReferralService] = (),
    waiting: Waiting = NONE_WAITING,
    unassigned: Collection[Service] = (),
    former_leads: Mapping[Service, str] = _NO_LEADS,
) -> Replan:
    """Compares a plan with the services of its case and of merged duplicates.

    An excluded agency loses all its services, started or not. Otherwise a service stays once it has started or if a
    person offered it; one escalated to the hub stays while it is needed. A rerouted service stays with its present
    agency, and a completed one is not offered again. `joining` are the open services of a duplicate that is being
    merged: what is added for the same need continues them. `waiting` agencies keep their services and receive no new
    ones. `unassigned` services are needed and have no agency. `former_leads` led a service in the duplicate, or until
    the case ended; they get it back if they may, because the child stays with the people who know it.
    """
    still_open = [requested for requested in services if requested.standing.is_open]
    completed = [requested for requested in services if requested.standing.state is ServiceState.COMPLETED]
    needed = {plan.service for plan in planned}
    supported = {(plan.service, plan.agency) for plan in planned if plan.role is ReferralRole.SUPPORT}

    def stays(requested: ReferralService) -> bool:
        standing, is_needed = requested.standing, requested.outstanding_service.service in needed
        if standing.state is ServiceState.DECLINED:
            # No agency was left to reroute it to; it stays until there is one or the service is no longer needed.
            return is_needed or requested.by_hand or requested.outstanding_service.service in unassigned
        if requested.agency in origin.excluded:
            return False
        if standing.has_begun or requested.by_hand:
            return True
        if requested.role is ReferralRole.LEAD or requested.rerouted_from is not None:
            return is_needed
        return (requested.service, requested.agency) in supported

    kept = tuple(requested for requested in still_open if stays(requested))
    withdrawn = tuple(requested for requested in still_open if not stays(requested))
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
        for continued in (_find_continued_service(plan.service, (*services, *joining), kept),)
        for agency, service in _find_available_agencies(
            plan, services, kept, agreement, origin, waiting, former_leads.get(plan.service, "")
        )
    ]
    settled = {plan.service for plan in planned if plan.role is ReferralRole.LEAD} | covered
    for requested in withdrawn:
        # A service that a person offered is still outstanding after an exclusion withdraws it.
        if (
            requested.by_hand
            and requested.outstanding_service.role is ReferralRole.LEAD
            and requested.outstanding_service.service not in settled
        ):
            settled.add(requested.outstanding_service.service)
            plan = PlannedReferral(requested.outstanding_service.service, requested.agency, ReferralRole.LEAD)
            added += [
                Addition(
                    replace(plan, agency=agency, service=service),
                    requested,
                    _escalated_service(plan, service),
                    by_hand=True,
                )
                for agency, service in _find_available_agencies(plan, services, kept, agreement, origin, waiting)
            ]
    serving = {(r.service, r.agency) for r in kept} | {(a.planned.service, a.planned.agency) for a in added}
    had = {(r.service, r.agency) for r in services if r.standing.state not in _WITHDRAWN}
    done = {
        requested.outstanding_service.service
        for requested in completed
        if requested.outstanding_service.role is ReferralRole.LEAD
    }
    added += [
        Addition(plan)
        for plan in planned
        if plan.role is ReferralRole.SUPPORT
        and plan.service not in done
        and (plan.service, plan.agency) not in serving | had
        and not waiting.holds_back(plan.service, plan.agency)
    ]
    continued_ids = {addition.continues.service_id for addition in added if addition.continues}
    return Replan(tuple(added), withdrawn, tuple(r for r in kept if r.service_id not in continued_ids))


def find_frozen_agencies(waiting: Waiting, kept: Iterable[ReferralService]) -> frozenset[str]:
    """Finds the agencies that learn no new facts before a person has decided whether they are too close to the suspect.

    The facts may be the accusation. An agency that protects life, body or evidence learns them nevertheless.
    """
    protecting = {one.agency for one in kept if one.service in waiting.protective}
    return waiting.agencies - protecting


def carry_over_services(
    change: Replan,
    joining: Sequence[ReferralService],
    services: Sequence[ReferralService],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting = NONE_WAITING,
) -> list[Addition]:
    """Returns additions for the services in `joining` that nothing in the case covers yet.

    `joining` are open services of a merged duplicate, or services by hand that ended with the case.
    """
    completed = [requested for requested in services if requested.standing.state is ServiceState.COMPLETED]
    here = [(r.outstanding_service, r.agency) for r in (*change.kept, *completed)]
    here += [(addition.outstanding_service, addition.planned.agency) for addition in change.added]
    leads = {outstanding.service for outstanding, _ in here if outstanding.role is ReferralRole.LEAD}
    serving = {(outstanding.service, agency) for outstanding, agency in here}
    done = {
        requested.outstanding_service.service
        for requested in completed
        if requested.outstanding_service.role is ReferralRole.LEAD
    }
    added: list[Addition] = []
    for requested in joining:
        agency, clauses = requested.agency, tuple(requested.clauses)
        outstanding = requested.outstanding_service
        carried = Addition(
            PlannedReferral(requested.service, agency, requested.role, clauses),
            requested,
            requested.escalated_service,
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
                        requested,
                        _escalated_service(plan, service),
                        by_hand=True,
                    )
                    for code, service in _find_available_agencies(
                        plan, services, change.kept, agreement, origin, waiting
                    )
                ]
            )
    return added


def _covers_lead(requested: ReferralService) -> bool:
    """Whether the service has a lead with this one, had one, or was escalated to the hub."""
    return requested.outstanding_service.role is ReferralRole.LEAD and not requested.is_declined


def _is_lead_covered(plan: PlannedReferral, kept: Sequence[ReferralService]) -> bool:
    """A triage for a service that no clause covers counts only while it is open: the gap may have come back."""
    if plan.service is not Service.MANUAL_TRIAGE or plan.clauses:
        return True
    return any(requested.service is Service.MANUAL_TRIAGE for requested in kept)


def _is_by_hand(requested: ReferralService | None) -> bool:
    return requested is not None and requested.by_hand


def _escalated_service(plan: PlannedReferral, service: Service) -> OutstandingService | None:
    """The planned service where a manual triage is offered in its place."""
    return OutstandingService(plan.service, plan.role) if service is not plan.service else None


def _find_available_agencies(
    plan: PlannedReferral,
    services: Sequence[ReferralService],
    kept: Sequence[ReferralService],
    agreement: Agreement,
    origin: Origin,
    waiting: Waiting,
    former_lead: str = "",
) -> Iterable[tuple[str, Service]]:
    """Returns the former lead, else the planned agency, or the next one if it declined or is excluded.

    Returns nothing while the planned agency waits. A former lead that declined, is excluded or waits does not count.
    """
    declined = {r.agency for r in services if r.service is plan.service and r.standing.state in _NOT_SERVING}
    may_return = former_lead not in declined | origin.excluded and not waiting.holds_back(plan.service, former_lead)
    if former_lead and may_return:
        return [(former_lead, plan.service)]
    if plan.agency not in declined | origin.excluded:
        return [] if waiting.holds_back(plan.service, plan.agency) else [(plan.agency, plan.service)]
    busy = {r.agency for r in kept if r.service is plan.service and r.role is ReferralRole.LEAD}
    declined_triage = {
        r.agency for r in services if r.service is Service.MANUAL_TRIAGE and r.standing.state in _NOT_SERVING
    }
    reroute_count = max((r.reroute_count for r in services if r.outstanding_service.service is plan.service), default=0)
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


def _find_continued_service(
    service: Service, services: Sequence[ReferralService], kept: Sequence[ReferralService]
) -> ReferralService | None:
    """Returns an open lead of the service that is withdrawn, declined without a next agency, or a duplicate's."""
    return next(
        (
            requested
            for requested in services
            if requested.outstanding_service == OutstandingService(service, ReferralRole.LEAD)
            and requested.standing.is_open
            and (requested not in kept or requested.standing.state is ServiceState.DECLINED)
        ),
        None,
    )
