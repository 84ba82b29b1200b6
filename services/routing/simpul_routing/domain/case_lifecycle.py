"""The lifecycle of a case as data: the state after each action."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import Term


class CaseState(Term):
    """The state of a case (case management, Permen PPPA 2/2022)."""

    RECEIVED = "received", "diterima", "received"
    TRIAGE = "triage", "triase", "triage"
    ASSESSMENT = "assessment", "asesmen", "assessment"
    SERVICE_PLAN = "service_plan", "rencana layanan", "service plan"
    INTERVENTION = "intervention", "intervensi", "intervention"
    MONITORING = "monitoring", "pemantauan", "monitoring"
    TERMINATED = "terminated", "terminasi", "terminated"
    REOPENED = "reopened", "dibuka kembali", "reopened"
    MERGED = "merged", "digabung ke kasus lain", "merged into another case"
    ENTERED_IN_ERROR = "entered_in_error", "salah input", "entered in error"


class CaseAction(StrEnum):
    """Actions and events that change the state of a case."""

    DECIDED = "decided"
    """Routing offered its referrals."""
    ACCEPTED = "accepted"
    """An agency accepted one."""
    PLANNED = "planned"
    """The case manager made the service plan."""
    BEGUN = "begun"
    """An agency started a service."""
    SERVED = "served"
    """No lead referral is open any more, or the case manager decided so."""
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    VOIDED = "voided"


_S = CaseState
OPEN: Final = (_S.TRIAGE, _S.ASSESSMENT, _S.SERVICE_PLAN, _S.INTERVENTION, _S.MONITORING, _S.REOPENED)
_BEFORE_INTERVENTION: Final = (_S.TRIAGE, _S.ASSESSMENT, _S.SERVICE_PLAN, _S.REOPENED)
CASE_TRANSITIONS: Final[Mapping[tuple[CaseState, CaseAction], CaseState]] = MappingProxyType(
    {
        (_S.RECEIVED, CaseAction.DECIDED): _S.TRIAGE,
        **{(state, CaseAction.ACCEPTED): _S.ASSESSMENT for state in (_S.TRIAGE, _S.REOPENED)},
        **{(state, CaseAction.PLANNED): _S.SERVICE_PLAN for state in (_S.TRIAGE, _S.ASSESSMENT, _S.REOPENED)},
        **{(state, CaseAction.BEGUN): _S.INTERVENTION for state in (*_BEFORE_INTERVENTION, _S.MONITORING)},
        **{(state, CaseAction.SERVED): _S.MONITORING for state in (*_BEFORE_INTERVENTION, _S.INTERVENTION)},
        **{(state, CaseAction.CLOSED): _S.TERMINATED for state in OPEN},
        **{(state, CaseAction.MERGED): _S.MERGED for state in OPEN},
        **{(state, CaseAction.VOIDED): _S.ENTERED_IN_ERROR for state in OPEN},
        # A merged case continues as the other case, so it cannot be reopened.
        **{(state, CaseAction.REOPENED): _S.REOPENED for state in (_S.TERMINATED, _S.ENTERED_IN_ERROR)},
    }
)
"""Any other action changes nothing; if a person requested it, it is refused."""


def states_before(action: CaseAction) -> tuple[CaseState, ...]:
    """Returns the states in which an action is allowed."""
    return tuple(state for state, allowed in CASE_TRANSITIONS if allowed is action)


def state_after(action: CaseAction) -> CaseState:
    """Returns the state after an action; each action leads to one state."""
    return next(after for (_, taken), after in CASE_TRANSITIONS.items() if taken is action)
