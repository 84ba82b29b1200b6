"""The life of a case as data: which deed leads from which state to which."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import Term


class CaseState(Term):
    """Where a case stands (case management, Permen PPPA 2/2022)."""

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


class CaseDeed(StrEnum):
    """What moves a case."""

    DECIDED = "decided"
    """Routing offered its referrals."""
    ACCEPTED = "accepted"
    """An agency accepted one."""
    PLANNED = "planned"
    """The case manager made the service plan."""
    BEGUN = "begun"
    """A service has begun."""
    SERVED = "served"
    """No service is open any more, or the case manager says so."""
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    VOIDED = "voided"


_S = CaseState
OPEN: Final = (_S.TRIAGE, _S.ASSESSMENT, _S.SERVICE_PLAN, _S.INTERVENTION, _S.MONITORING, _S.REOPENED)
_BEFORE_INTERVENTION: Final = (_S.TRIAGE, _S.ASSESSMENT, _S.SERVICE_PLAN, _S.REOPENED)
CASE_TRANSITIONS: Final[Mapping[tuple[CaseState, CaseDeed], CaseState]] = MappingProxyType({
    (_S.RECEIVED, CaseDeed.DECIDED): _S.TRIAGE,
    **{(state, CaseDeed.ACCEPTED): _S.ASSESSMENT for state in (_S.TRIAGE, _S.REOPENED)},
    **{(state, CaseDeed.PLANNED): _S.SERVICE_PLAN for state in (_S.TRIAGE, _S.ASSESSMENT, _S.REOPENED)},
    **{(state, CaseDeed.BEGUN): _S.INTERVENTION for state in (*_BEFORE_INTERVENTION, _S.MONITORING)},
    **{(state, CaseDeed.SERVED): _S.MONITORING for state in (*_BEFORE_INTERVENTION, _S.INTERVENTION)},
    **{(state, CaseDeed.CLOSED): _S.TERMINATED for state in OPEN},
    **{(state, CaseDeed.MERGED): _S.MERGED for state in OPEN},
    **{(state, CaseDeed.VOIDED): _S.ENTERED_IN_ERROR for state in OPEN},
    # What was merged goes on in the other case, so it is not opened again beside it.
    **{(state, CaseDeed.REOPENED): _S.REOPENED for state in (_S.TERMINATED, _S.ENTERED_IN_ERROR)},
})  # fmt: skip
"""What is not here changes nothing; a deed of a person is then refused."""


def states_before(deed: CaseDeed) -> tuple[CaseState, ...]:
    """From where a deed leads on."""
    return tuple(state for state, done in CASE_TRANSITIONS if done is deed)


def state_after(deed: CaseDeed) -> CaseState:
    """Where a deed leads; each leads to one state only."""
    return next(after for (_, done), after in CASE_TRANSITIONS.items() if done is deed)


def as_mermaid() -> str:
    """The table as a diagram, for the README."""
    lines = ["stateDiagram-v2", "    [*] --> received"]
    lines += [f"    {before.value} --> {after.value}: {deed.value}"
              for (before, deed), after in CASE_TRANSITIONS.items()]  # fmt: skip
    ended = [state for state in CaseState if state not in OPEN and state is not CaseState.RECEIVED]
    lines += [f"    {state.value} --> [*]" for state in ended]
    return "\n".join(lines) + "\n"
