"""The rights ledger: a case can be closed as completed only when every right is settled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simpul_agreement.rights import BY_THE_AGREEMENT, Entry, Ledger
from simpul_routing.domain.lifecycle import ServiceState
from simpul_schema.vocabulary import ReferralOutcome, Right, RightState, Service

BY_OUTCOME: Final = "outcome"
"""The outcome that the serving agency reported."""
AWAITS_DECISION: Final = "awaits_decision"
"""The lead waits until a person has decided about its suggested exclusion."""
BY_HAND: Final = "by_hand"
"""A person decided; the reason is encrypted in the history of the case."""
NEED_A_REASON: Final = frozenset({RightState.REFUSED_BY_VICTIM, RightState.NOT_APPLICABLE})
_NOT_COUNTED: Final = frozenset(
    {ServiceState.REROUTED, ServiceState.CANCELLED, ServiceState.REVOKED, ServiceState.ENTERED_IN_ERROR}
)
BY_SERVICES: Final = frozenset({RightState.UNANSWERED, RightState.PLANNED, RightState.REFERRED, RightState.IN_PROGRESS})
"""States that follow from services and the service plan alone."""
_SETTLED: Final = frozenset({RightState.FULFILLED, *NEED_A_REASON})


@dataclass(frozen=True, slots=True)
class LeadService:
    """A service with the lead for a right, and its outcome if it has ended.

    A manual triage counts for the service that was escalated with it.
    """

    state: ServiceState
    outcome: ReferralOutcome | None = None
    has_begun: bool = False
    is_proposed: bool = False
    """It awaits the service plan, so nobody was offered it yet."""


_OUTCOME: Final[Mapping[ReferralOutcome, RightState]] = {
    ReferralOutcome.SERVED: RightState.FULFILLED,
    ReferralOutcome.SERVED_IN_PART: RightState.IN_PROGRESS,
    ReferralOutcome.REFUSED_BY_VICTIM: RightState.REFUSED_BY_VICTIM,
    ReferralOutcome.NOT_NEEDED: RightState.NOT_APPLICABLE,
}
_BEST_FIRST: Final = (RightState.FULFILLED, RightState.REFUSED_BY_VICTIM, RightState.NOT_APPLICABLE)


def update_right(entry: Entry, services: Iterable[LeadService]) -> Entry:
    """Returns the entry of a right after its services changed; a rerouted service counts as the one that replaced it.

    A decision by hand stays. A right whose services were all cancelled is unanswered again, as is one whose services
    were all declined without an agency left; with some declined, the right is not settled. It is planned while all of
    them await the service plan, and not settled while one does.
    """
    if entry.reason == BY_HAND:
        return entry
    counting = [served for served in services if served.state not in _NOT_COUNTED]
    if not counting:
        stays_without_services = (BY_THE_AGREEMENT, AWAITS_DECISION)
        was_cancelled = entry.state in BY_SERVICES and entry.reason not in stays_without_services
        return Entry(RightState.UNANSWERED) if was_cancelled else entry
    if all(served.is_proposed or served.state is ServiceState.DECLINED for served in counting):
        is_planned = any(served.is_proposed for served in counting)
        return Entry(RightState.PLANNED if is_planned else RightState.UNANSWERED)
    ended = [_OUTCOME[served.outcome] for served in counting if served.outcome is not None]
    if len(ended) == len(counting) and RightState.IN_PROGRESS not in ended:
        state = next(state for state in _BEST_FIRST if state in ended)
        return Entry(state, BY_OUTCOME if state in NEED_A_REASON else "")
    begun = any(
        served.outcome is not None or (served.has_begun and served.state is not ServiceState.DECLINED)
        for served in counting
    )
    return Entry(RightState.IN_PROGRESS if begun else RightState.REFERRED)


def replan_ledger(ledger: Ledger, decided: Ledger, served: Mapping[Right, Sequence[LeadService]]) -> Ledger:
    """Returns the ledger after a replan: as the new facts decide it, except for decisions by hand and outcomes."""
    return {
        right: update_right(entry if entry.reason == BY_HAND else _as_decided(decided[right]), served.get(right, ()))
        for right, entry in ledger.items()
    }


def mark_awaiting_decision(ledger: Ledger, held: frozenset[Right]) -> Ledger:
    """Returns the ledger with the `held` rights marked: their leads wait for a decision about an exclusion."""
    open_states = (RightState.UNANSWERED, RightState.PLANNED, RightState.REFERRED)
    return {
        right: Entry(RightState.REFERRED, AWAITS_DECISION) if right in held and entry.state in open_states else entry
        for right, entry in ledger.items()
    }


def inherit_ledger(ledger: Ledger, duplicate: Ledger) -> Ledger:
    """Returns the ledger with the decisions by hand of a merged duplicate, where this case has none."""
    return {
        right: duplicate[right] if duplicate[right].reason == BY_HAND and entry.reason != BY_HAND else entry
        for right, entry in ledger.items()
    }


def _as_decided(entry: Entry) -> Entry:
    # Only services that were offered make a right referred, and only an open proposal makes it planned.
    return Entry(RightState.UNANSWERED) if entry.state in (RightState.REFERRED, RightState.PLANNED) else entry


def group_left_out(left_out: Iterable[Service], right_of: Mapping[Service, Right]) -> Mapping[Right, list[Service]]:
    """Returns the services that a person left out of a plan by the right that they serve."""
    found: dict[Right, list[Service]] = {}
    for service in sorted(left_out):
        if service in right_of:
            found.setdefault(right_of[service], []).append(service)
    return found


def list_unsettled_rights(ledger: Ledger) -> list[Right]:
    """Returns the rights that keep a case from being closed as completed."""
    return [right for right in Right if right not in ledger or ledger[right].state not in _SETTLED]
