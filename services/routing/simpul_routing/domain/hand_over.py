"""Who follows an agency that declined. A hand-over never buys time, and never ends a service."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from simpul_agreement.engine import Origin
from simpul_agreement.model import Agreement, ServiceNeeded
from simpul_agreement.plan import caretaker
from simpul_schema.vocabulary import ReferralRole, Service

MAX_REROUTES: Final = 2
"""One more of the same service in the same case, and the hub decides ("jangan di-pingpong")."""


@dataclass(frozen=True, slots=True)
class Successor:
    """Who is asked now, for what, and as what."""

    agency: str
    service: Service
    role: ReferralRole
    reroute_count: int
    is_escalated_to_hub: bool


def successor(
    agreement: Agreement,
    clauses: Collection[str],
    service: Service,
    role: ReferralRole,
    origin: Origin,
    *,
    asked: Collection[str],
    triaging: Collection[str],
    reroute_count: int,
) -> Successor | None:
    """The next agency by the agreement; None when nobody is left, which an operator must be told.

    `asked` are the agencies that have declined this service or already serve it in this case, `triaging` those that
    have declined manual triage. First come the alternates of the clauses that asked for it, then every other party
    with the service in its mandate. Whoever is excluded is passed over. When nobody is left, or it was handed over too
    often, the case manager decides.
    """
    count = reroute_count + 1
    if count <= MAX_REROUTES:
        for selector in (*_alternates(agreement, clauses), *_able(agreement, service)):
            agency = origin.resolve(selector)
            if agency and agency not in asked:
                return Successor(agency, service, role, count, is_escalated_to_hub=False)
    decides = caretaker(agreement, origin, triaging)
    if not decides:
        return None
    return Successor(decides, Service.MANUAL_TRIAGE, ReferralRole.LEAD, count, is_escalated_to_hub=True)


def _alternates(agreement: Agreement, clauses: Collection[str]) -> list[str]:
    chains = (agreement.by_id[name].effect for name in clauses if name in agreement.by_id)
    return [selector for need in chains if isinstance(need, ServiceNeeded) for selector in need.lead]


def _able(agreement: Agreement, service: Service) -> list[str]:
    return [party.code for party in agreement.parties if service in party.services]
