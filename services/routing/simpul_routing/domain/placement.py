"""A case file chooses the agencies of new services: the order of the agreement, without full agencies."""

from collections.abc import Sequence
from uuid import UUID

from simpul_agreement.engine import Decision
from simpul_agreement.model import Agreement
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.capacity import Chooser, FullAgency
from simpul_routing.domain.case_events import ROUTING, CaseEventKind, FoundFull
from simpul_routing.domain.escalation import Escalation
from simpul_routing.domain.exclusions import find_waiting
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import ServiceState
from simpul_schema.vocabulary import Service

_NOT_SERVING = (ServiceState.DECLINED, ServiceState.REROUTED)


class Placement(Escalation):
    """The choice of agencies for services that are offered now."""

    def find_full_agencies(
        self,
        planned: Sequence[PlannedReferral],
        decision: Decision,
        agreement: Agreement,
        cause: UUID | None,
        facts: CaseFacts | None = None,
    ) -> list[FullAgency]:
        """Finds the full agencies that new services are not offered to, and records them with what they had stated.

        `facts` are those of the case by default. An agency that has or had a service in this case keeps it: a decision
        about the case moves nothing away because an agency became full.
        """
        if not self.rules.capacities:
            return []
        facts, own = facts or self.facts, self.services
        chooser = Chooser(
            self.rules.capacities,
            self.rules.today,
            agreement,
            facts.origin,
            find_waiting(facts.pending, facts.situation, self.case.urgency, agreement),
            facts.situation,
            self.case.urgency,
            lambda service: decision.terms_of(service).urgency,
        )
        tried: dict[Service, set[str]] = {}
        for known in own:
            if known.standing.is_open or known.standing.state in _NOT_SERVING:
                tried.setdefault(known.service, set()).add(known.agency)
        found = chooser.find_full(
            planned, {(one.service, one.agency) for one in own if one.standing.state not in _NOT_SERVING}, tried
        )
        for one in found:
            stated = one.capacity
            kind = CaseEventKind.AGENCY_PASSED_OVER if one.is_passed_over else CaseEventKind.FULL_AGENCY_CHOSEN
            payload = FoundFull(
                one.agency, one.service, one.chosen, stated.open_cases, stated.max_open, stated.full_until
            )
            self.record_event(kind, ROUTING, payload, cause=cause)
        return found
