"""Finds the agency that is offered a declined service next."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from simpul_agreement.engine import Origin
from simpul_agreement.model import Agreement, ServiceNeeded
from simpul_agreement.plan import caretaker
from simpul_schema.vocabulary import ReferralRole, Service

MAX_REROUTES: Final = 2
"""After this many reroutes of one service in one case the hub decides ("jangan di-pingpong")."""


@dataclass(frozen=True, slots=True)
class NextAgency:
    """The agency to offer a declined service to, as which service and in which role."""

    agency: str
    service: Service
    role: ReferralRole
    reroute_count: int
    is_escalated_to_hub: bool


def find_next_agency(
    agreement: Agreement,
    clauses: Collection[str],
    service: Service,
    role: ReferralRole,
    origin: Origin,
    *,
    tried: Collection[str],
    declined_triage: Collection[str],
    reroute_count: int,
) -> NextAgency | None:
    """Returns the next agency by the agreement; None when no agency is left, which an operator must learn.

    `tried` are agencies that declined this service or already serve it in this case, `declined_triage` those that
    declined manual triage. The alternates of the clauses that require the service come first, then every other party
    with the service in its mandate; excluded agencies are skipped. When none is left, or the service was rerouted too
    often, it is escalated to the hub as a manual triage.
    """
    count = reroute_count + 1
    if count <= MAX_REROUTES:
        for selector in (*_list_alternates(agreement, clauses), *_list_providers(agreement, service)):
            agency = origin.resolve(selector)
            if agency and agency not in tried:
                return NextAgency(agency, service, role, count, is_escalated_to_hub=False)
    hub = caretaker(agreement, origin, declined_triage)
    if not hub:
        return None
    return NextAgency(hub, Service.MANUAL_TRIAGE, ReferralRole.LEAD, count, is_escalated_to_hub=True)


def _list_alternates(agreement: Agreement, clauses: Collection[str]) -> list[str]:
    chains = (agreement.by_id[name].effect for name in clauses if name in agreement.by_id)
    return [selector for need in chains if isinstance(need, ServiceNeeded) for selector in need.lead]


def _list_providers(agreement: Agreement, service: Service) -> list[str]:
    return [party.code for party in agreement.parties if service in party.services]
