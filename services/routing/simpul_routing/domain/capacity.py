"""How many open cases agencies can take, and which full agencies a new service passes over."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from simpul_agreement.engine import Origin
from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.exclusions import LIFE_BODY_EVIDENCE, Waiting, is_in_danger, protective_services
from simpul_routing.domain.reroute import find_next_agency
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

NEVER_PASSED_OVER: Final = LIFE_BODY_EVIDENCE | {Service.POLICE_REPORT, Service.CASE_MANAGEMENT, Service.MANUAL_TRIAGE}
"""Services for which a full agency is chosen all the same, whatever the facts: what protects life, body or evidence,
and those that a law or a decision needs at once from exactly this agency (R1, R9)."""


@dataclass(frozen=True, slots=True)
class ServiceCapacity:
    """What an agency stated about one service, and how many open cases it has; full only by what it stated."""

    open_cases: int = 0
    max_open: int | None = None
    """It can take so many open cases."""
    full_until: date | None = None
    """It takes no new case up to this day, and none on it."""

    def is_full_on(self, day: date) -> bool:
        """Whether the agency can take no new case on a day."""
        is_closed = self.full_until is not None and day <= self.full_until
        return is_closed or (self.max_open is not None and self.open_cases >= self.max_open)


class Capacities:
    """What agencies stated at one moment; what is offered since is counted, so that a batch of cases passes no limit.

    Decisions of other processes at the same moment are not seen: an agency may get as many cases more as there are
    processes.
    """

    def __init__(self, stated: Mapping[tuple[str, Service], ServiceCapacity] | None = None) -> None:
        self._stated = dict(stated or {})

    def __bool__(self) -> bool:
        """Whether any agency stated anything."""
        return bool(self._stated)

    def find(self, agency: str, service: Service) -> ServiceCapacity | None:
        """Finds what an agency stated about a service."""
        return self._stated.get((agency, service))

    def find_full_agencies(self, service: Service, day: date) -> frozenset[str]:
        """Finds the agencies that can take no new case for a service."""
        return frozenset(
            agency for (agency, stated), one in self._stated.items() if stated is service and one.is_full_on(day)
        )

    def count_offer(self, agency: str, service: Service) -> None:
        """Counts a service that is offered now."""
        known = self.find(agency, service)
        if known:
            self._stated[agency, service] = replace(known, open_cases=known.open_cases + 1)


@dataclass(frozen=True, slots=True)
class FullAgency:
    """An agency that is full for a service, and the agency that was chosen: another one, or itself if none can."""

    agency: str
    service: Service
    chosen: str
    capacity: ServiceCapacity

    @property
    def is_passed_over(self) -> bool:
        """Whether another agency was chosen."""
        return self.chosen != self.agency


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses the agencies of new services by what one version of the agreement permits in one case.

    The order of the agreement stays: a full agency is passed over for the next one that may take the service and is
    not full. Nobody is passed over while the child is in danger, for what protects life, body or evidence, where the
    service is urgent, or for an agency that waits for the decision about an exclusion.
    """

    capacities: Capacities
    day: date
    agreement: Agreement
    origin: Origin
    waiting: Waiting
    situation: Situation
    urgency: Urgency
    """That of the case."""
    urgency_of: Callable[[Service], Urgency]
    """That of a service."""

    def find_full(
        self,
        planned: Sequence[PlannedReferral],
        had: Collection[tuple[Service, str]],
        tried: Mapping[Service, set[str]],
    ) -> list[FullAgency]:
        """Finds the full agencies among the leads of new services, each with the agency to choose.

        `had` are services with the agencies that have or had them in this case: these keep them. `tried` are the
        agencies that have a service now or declined it.
        """
        found: list[FullAgency] = []
        if is_in_danger(self.situation, self.urgency):
            return found
        protective = protective_services(self.situation, self.urgency) | NEVER_PASSED_OVER
        for one in planned:
            capacity = self.capacities.find(one.agency, one.service)
            if (
                one.role is not ReferralRole.LEAD
                or (one.service, one.agency) in had
                or one.service in protective
                or capacity is None
                or not capacity.is_full_on(self.day)
                or self.urgency_of(one.service) is Urgency.HIGH
            ):
                continue
            full = self.capacities.find_full_agencies(one.service, self.day)
            next_agency = find_next_agency(
                self.agreement,
                one.clauses,
                one.service,
                one.role,
                self.waiting.exclude_waiting_agencies(self.origin, one.service),
                tried=full | tried.get(one.service, set()),
                declined_triage=(),
                reroute_count=0,
            )
            has_other = next_agency is not None and not next_agency.is_escalated_to_hub
            chosen = next_agency.agency if next_agency and has_other else one.agency
            found.append(FullAgency(one.agency, one.service, chosen, capacity))
        return found


def replace_full_agencies(planned: PlannedReferral, full: Sequence[FullAgency]) -> PlannedReferral | None:
    """Returns a new service with the agency that was chosen; None for the support of the agency that now leads it."""
    for one in full:
        if planned.service is one.service and one.is_passed_over:
            if planned.role is ReferralRole.LEAD and planned.agency == one.agency:
                return replace(planned, agency=one.chosen)
            if planned.role is ReferralRole.SUPPORT and planned.agency == one.chosen:
                return None
    return planned
