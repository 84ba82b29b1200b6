"""The append-only history of a case: what happened, who did it, and a payload for each kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState
from simpul_routing.domain.lifecycle import ServiceState
from simpul_schema.vocabulary import (
    ActorRole,
    CancelReason,
    CaseEnd,
    DeclineReason,
    ReferralRole,
    ReplanReason,
    Right,
    RightState,
    Service,
)

ROUTING: Final = "routing"
"""The actor of changes that no person made."""


class CaseEventKind(StrEnum):
    """What happened to a case or to one of its services."""

    REFERRAL_OFFERED = "referral_offered"
    REFERRAL_CHANGED = "referral_changed"
    DEADLINE_STEP_TAKEN = "deadline_step_taken"
    STATE_CHANGED = "state_changed"
    REPLANNED = "replanned"
    RIGHT_ANSWERED = "right_answered"
    OFFERED_BY_HAND = "offered_by_hand"
    EXCLUSION_SUGGESTED = "exclusion_suggested"
    EXCLUSION_STEP_TAKEN = "exclusion_step_taken"
    PLAN_PROPOSED = "plan_proposed"
    PLAN_STEP_TAKEN = "plan_step_taken"
    PLAN_CONFIRMED = "plan_confirmed"
    PLAN_SENT = "plan_sent"
    SERVICE_LEFT_OUT = "service_left_out"
    MEDIATION_RECORDED = "mediation_recorded"
    MEDIATION_REFUSED = "mediation_refused"
    CONSENT_RECORDED = "consent_recorded"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    WITHDRAWAL_ACKNOWLEDGED = "withdrawal_acknowledged"
    QUESTION_SENT = "question_sent"
    TRANSFER_SENT = "transfer_sent"
    TRANSFER_ACKNOWLEDGED = "transfer_acknowledged"
    TRANSFER_WITHDRAWN = "transfer_withdrawn"
    AGENCY_PASSED_OVER = "agency_passed_over"
    FULL_AGENCY_CHOSEN = "full_agency_chosen"


@dataclass(frozen=True, slots=True)
class NoPayload:
    """Of a kind that says everything itself."""


@dataclass(frozen=True, slots=True)
class OfferedReferral:
    """A service was offered to an agency."""

    agency: str
    service: Service
    role: ReferralRole


@dataclass(frozen=True, slots=True)
class ChangedReferral:
    """A service reached a new state; at most one reason is set."""

    agency: str
    service: Service
    before: ServiceState
    after: ServiceState
    decline_reason: DeclineReason | None = None
    cancel_reason: CancelReason | None = None
    replan_reason: ReplanReason | None = None
    next_agency: str = ""
    """Of a declined service that was rerouted."""
    is_by_hand: bool = False
    """A person settled it with an offer."""

    @property
    def reason(self) -> DeclineReason | CancelReason | ReplanReason | None:
        """The reason, if there is one."""
        return self.decline_reason or self.cancel_reason or self.replan_reason


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A deadline of a service reached a step: somebody was reminded, or it is overdue and was escalated."""

    agency: str
    service: Service
    clock: ClockName
    step: Step


@dataclass(frozen=True, slots=True)
class TakenCaseStep:
    """The time to decide a service plan or a suggested exclusion reached a step."""

    step: Step
    agency: str = ""
    """The agency that has to decide; empty if nobody is left to do so."""


@dataclass(frozen=True, slots=True)
class ChangedState:
    """The case reached a new state."""

    before: CaseState
    after: CaseState
    action: CaseAction
    end: CaseEnd | None = None
    """How it was closed."""
    replan_reason: ReplanReason | None = None
    """Why it was reopened, unless a person did it."""


@dataclass(frozen=True, slots=True)
class Replanned:
    """The case was decided again."""

    reason: ReplanReason


@dataclass(frozen=True, slots=True)
class AnsweredRight:
    """A person set the state of a right."""

    right: Right
    before: RightState
    after: RightState


@dataclass(frozen=True, slots=True)
class RefusedMediation:
    """A person wanted to open a mediation, which clauses of the agreement forbid."""

    agreement: str = ""
    """The version of the agreement; empty for a refusal before 2026-11-26."""
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFull:
    """An agency was full when a new service was to be offered to it, by what it had stated then."""

    agency: str
    service: Service
    chosen: str
    """The agency that was chosen: another one, or the same if no other one could take the service."""
    open_cases: int = 0
    """Its open cases with the service, counted up to the limit."""
    max_open: int | None = None
    full_until: date | None = None


Payload: TypeAlias = (
    NoPayload
    | OfferedReferral
    | ChangedReferral
    | TakenStep
    | TakenCaseStep
    | ChangedState
    | Replanned
    | AnsweredRight
    | RefusedMediation
    | FoundFull
)
PAYLOADS: Final[Mapping[CaseEventKind, type[Payload]]] = MappingProxyType(
    {
        **dict.fromkeys(CaseEventKind, NoPayload),
        CaseEventKind.REFERRAL_OFFERED: OfferedReferral,
        CaseEventKind.REFERRAL_CHANGED: ChangedReferral,
        CaseEventKind.DEADLINE_STEP_TAKEN: TakenStep,
        CaseEventKind.PLAN_STEP_TAKEN: TakenCaseStep,
        CaseEventKind.EXCLUSION_STEP_TAKEN: TakenCaseStep,
        CaseEventKind.STATE_CHANGED: ChangedState,
        CaseEventKind.REPLANNED: Replanned,
        CaseEventKind.RIGHT_ANSWERED: AnsweredRight,
        CaseEventKind.MEDIATION_REFUSED: RefusedMediation,
        CaseEventKind.AGENCY_PASSED_OVER: FoundFull,
        CaseEventKind.FULL_AGENCY_CHOSEN: FoundFull,
    }
)
"""The payload of each kind."""
NO_PAYLOAD: Final = NoPayload()


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One entry of the history."""

    case_id: UUID
    kind: CaseEventKind
    actor: str
    """The reference of a person, the code of an agency, or `routing`."""
    payload: Payload = NO_PAYLOAD
    referral_id: UUID | None = None
    service_id: UUID | None = None
    note: str = ""
    """What a person wrote; stored encrypted, because people write names."""
    cause: UUID | None = None
    """The message that caused it."""
    actor_agency: str = ""
    """The agency for which a person acted."""
    actor_role: ActorRole | None = None
    """The role in which a person acted; None if no person did."""
