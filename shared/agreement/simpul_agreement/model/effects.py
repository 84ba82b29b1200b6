"""What a clause of the agreement brings about, and the question that it answers."""

from dataclasses import dataclass, replace

from simpul_agreement.deadlines import Within
from simpul_agreement.model.terms import Basis, BilingualText, ClockName, Phase, Section, Step
from simpul_schema.vocabulary import ActorRole, Right, Service, Urgency


@dataclass(frozen=True, slots=True)
class ServiceNeeded:
    """A service is needed; the first of `lead` that is not excluded and can act leads it, the others are alternates.

    A service that several clauses need is immediate if one of them is, and has the highest urgency that they allow.
    """

    service: Service
    right: Right
    lead: tuple[str, ...]
    support: tuple[str, ...] = ()
    phase: Phase = Phase.IMMEDIATE
    max_urgency: Urgency | None = None
    """The highest urgency of the service; that of the case without it."""


@dataclass(frozen=True, slots=True)
class RightNotNeeded:
    """A right needs no service now; the rights ledger shows the reason.

    With `reassess` the right stays unanswered until somebody has asked the child.
    """

    right: Right
    reason: BilingualText
    reassess: bool = False


@dataclass(frozen=True, slots=True)
class UrgencyIs:
    """How urgent the case is."""

    urgency: Urgency


@dataclass(frozen=True, slots=True)
class ClockRuns:
    """A deadline of one service, or of every referral of the case when `service` is empty.

    It starts with the referral, or with the event that `since` names. `phase` limits it to the services of one phase. A
    condition on the urgency means that of the service.
    """

    clock: ClockName
    within: Within
    service: Service | None = None
    since: BilingualText | None = None
    phase: Phase | None = None

    def concerns(self, phase: Phase) -> bool:
        """Whether services of a phase have the deadline."""
        return self.phase in (None, phase)


@dataclass(frozen=True, slots=True)
class PlanDeadline:
    """The time in which the case manager confirms the service plan."""

    within: Within
    is_sent_at_deadline: bool = False
    """Whether an unconfirmed plan is sent at its deadline; the escalation levels are informed in any case."""


@dataclass(frozen=True, slots=True)
class Mediation:
    """Whether anybody may mediate, and who may open a mediation; nobody may where it is locked."""

    is_locked: bool
    opened_by: frozenset[ActorRole] = frozenset()


@dataclass(frozen=True, slots=True)
class BasisIs:
    """The basis on which identity is disclosed."""

    basis: Basis


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The sections that an agency sees after it accepted a service."""

    service: Service
    sections: frozenset[Section]
    without_consent: frozenset[Section] = frozenset()
    """Those of the sections that the agency sees on `own_basis` where identity is disclosed on a consent: what protects
    the child, and how to reach whoever has to be asked."""
    own_basis: Basis | None = None


@dataclass(frozen=True, slots=True)
class EscalationLevel:
    """Who is informed at a step of a clock; excluded parties are skipped."""

    step: Step
    to: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Informed as well, whichever party of `to` is chosen."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a section is kept after the case ended."""

    section: Section
    years: int


@dataclass(frozen=True, slots=True)
class SuspectServedBy:
    """Who accompanies a suspect who is a child; never a party that serves the victim (R5)."""

    lead: tuple[str, ...]


Effect = (
    ServiceNeeded
    | RightNotNeeded
    | UrgencyIs
    | ClockRuns
    | Mediation
    | BasisIs
    | Disclosure
    | EscalationLevel
    | Retention
    | SuspectServedBy
    | PlanDeadline
)
Topic = tuple[str, str]
"""The question that an effect answers, as (kind, subject); two clauses of one topic must not contradict each other."""


def topic_of(effect: Effect) -> Topic:  # noqa: C901, PLR0911 - one branch for each kind of effect
    """The question that an effect answers."""
    match effect:
        case ServiceNeeded(service=service):
            return "service", service.value
        case RightNotNeeded(right=right):
            return "not_needed", right.value
        case UrgencyIs():
            return "urgency", ""
        case ClockRuns(clock=clock, service=service):
            return "clock", f"{clock.value}/{service.value}" if service else clock.value
        case Mediation():
            return "mediation", ""
        case BasisIs():
            return "basis", ""
        case Disclosure(service=service):
            return "disclosure", service.value
        case EscalationLevel(step=step):
            return "escalation", step.value
        case Retention(section=section):
            return "retention", section.value
        case SuspectServedBy():
            return "suspect", ""
        case PlanDeadline():
            return "service_plan", ""


def answer_of(effect: Effect) -> Effect:
    """What an effect answers to the question of its topic; effects with the same answer do not contradict each other.

    Two clauses that need a service may differ in its phase and urgency, because the earlier and the higher one counts.
    """
    if isinstance(effect, ServiceNeeded):
        return replace(effect, phase=Phase.IMMEDIATE, max_urgency=None)
    return effect
