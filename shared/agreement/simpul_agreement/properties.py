"""The safety properties that every agreement must have, as data that both provers interpret."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, TypeAlias

from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Basis, ClockName, Condition, Section, Step, Topic
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Right, Service, Urgency


@dataclass(frozen=True, slots=True)
class ServiceRequired:
    """The service is needed and has a lead."""

    service: Service


@dataclass(frozen=True, slots=True)
class Addressed:
    """A party of the kind leads or supports some service that is offered at once, unless it is excluded."""

    kind: AgencyKind


@dataclass(frozen=True, slots=True)
class CentreSupports:
    """The complaint centre leads or supports the service, where it is known and not excluded (R3)."""

    service: Service


@dataclass(frozen=True, slots=True)
class Leads:
    """A party of the kind leads the service, unless it is excluded."""

    service: Service
    kind: AgencyKind


@dataclass(frozen=True, slots=True)
class OfferedAtOnce:
    """Where the service is needed, it is immediate and has the urgency of the case."""

    service: Service


@dataclass(frozen=True, slots=True)
class MediationIsLocked:
    """Mediation is forbidden."""


@dataclass(frozen=True, slots=True)
class BasisIsNot:
    """Identity is not disclosed on this basis."""

    basis: Basis


@dataclass(frozen=True, slots=True)
class UrgencyMustBe:
    """The case has this urgency."""

    urgency: Urgency


@dataclass(frozen=True, slots=True)
class ClockLimit:
    """The clock runs for what is offered at once, is never paused, and is at most this long."""

    clock: ClockName
    limit: timedelta
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class SuspectElsewhere:
    """A party serves the suspect, and it neither leads nor supports a service for the victim (R5)."""


@dataclass(frozen=True, slots=True)
class ExcludedGetNothing:
    """A party too close to the suspect neither leads nor supports, and no escalation informs it (R6)."""


@dataclass(frozen=True, slots=True)
class OneLeadForEachRight:
    """Every right is either answered by services, each with one lead, or not needed with one reason (R10)."""


@dataclass(frozen=True, slots=True)
class EscalationReachesSomebody:
    """Whichever party leads a service, each step of its escalation informs somebody."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """Every party that leads or supports a service has an open office or a duty contact at that time."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A service that a party of the kind leads or supports does not disclose these sections."""

    kind: AgencyKind
    sections: frozenset[Section]


Demand: TypeAlias = (
    ServiceRequired
    | Addressed
    | CentreSupports
    | Leads
    | OfferedAtOnce
    | MediationIsLocked
    | BasisIsNot
    | UrgencyMustBe
    | ClockLimit
    | SuspectElsewhere
    | ExcludedGetNothing
    | OneLeadForEachRight
    | EscalationReachesSomebody
    | Reachable
    | Hidden
)


@dataclass(frozen=True, slots=True)
class Property:
    """In every situation in which the conditions hold, all the demands are met."""

    name: str
    text: str
    """An English message."""
    when: tuple[Condition, ...]
    must: tuple[Demand, ...]


def _if(fact: str, *values: str) -> Condition:
    return Condition(fact, frozenset(values))


_SEXUAL: Final = _if("violence", "sexual", "trafficking")
POWER_OVER_THE_CHILD: Final = ("parent", "step_parent", "relative", "spouse", "teacher", "employer")
"""Relations of a suspect on whom the child depends, so that no agreement between the two can be free."""
_PREGNANT_BELOW_15: Final = (_if("pregnant", "yes"), _if("age_band", "under_6", "from_6_to_11", "from_12_to_14"))
_AS_SEXUAL: Final = (
    Addressed(AgencyKind.POLICE),
    Addressed(AgencyKind.HUB),
    ServiceRequired(Service.FORENSIC_EXAM),
    ClockLimit(ClockName.POLICE_REPORT, timedelta(days=3), Service.POLICE_REPORT),
)
_AT_ONCE: Final = (
    Service.EMERGENCY_PROTECTION,
    Service.MEDICAL_CARE,
    Service.FORENSIC_EXAM,
    Service.PEP_72H,
    Service.POLICE_REPORT,
    Service.CASE_MANAGEMENT,
    Service.MANUAL_TRIAGE,
)
"""Services that protect life, body or evidence, and those without which nobody takes care of the case."""
PROPERTIES: Final = (
    Property(
        "R1_police_and_hub",
        gettext_noop("Sexual violence and trafficking always reach the police and the protection service"),
        (_SEXUAL,),
        (Addressed(AgencyKind.POLICE), Addressed(AgencyKind.HUB)),
    ),
    Property(
        "R1_mediation_locked",
        gettext_noop("Mediation is locked for sexual violence and trafficking"),
        (_SEXUAL,),
        (MediationIsLocked(),),
    ),
    Property(
        "R1_danger_locks_mediation",
        gettext_noop("Mediation is locked where the child is in danger"),
        (_if("safe_now", "no"),),
        (MediationIsLocked(),),
    ),
    Property(
        "R1_power_locks_mediation",
        gettext_noop("Mediation is locked where the suspect has power over the child"),
        (_if("perpetrator_relation", *POWER_OVER_THE_CHILD),),
        (MediationIsLocked(),),
    ),
    Property(
        "R1_pregnant_below_15_is_sexual",
        gettext_noop("A pregnancy below 15 is sexual violence: police, protection service and examination"),
        _PREGNANT_BELOW_15,
        _AS_SEXUAL,
    ),
    Property(
        "R1_pregnant_below_15_locks_mediation",
        gettext_noop("Mediation is locked where a child below 15 is pregnant"),
        _PREGNANT_BELOW_15,
        (MediationIsLocked(),),
    ),
    Property(
        "R3_emergency_where_reported",
        gettext_noop("Immediate danger: emergency protection where the child reported, before jurisdiction"),
        (_if("safe_now", "no"),),
        (ServiceRequired(Service.EMERGENCY_PROTECTION), CentreSupports(Service.EMERGENCY_PROTECTION)),
    ),
    Property(
        "R5_suspect_elsewhere",
        gettext_noop("A suspect who is a child is served by somebody who does not serve the victim"),
        (_if("perpetrator_is_child", "yes"),),
        (SuspectElsewhere(),),
    ),
    Property(
        "R6_excluded_get_nothing",
        gettext_noop("A party close to the suspect receives nothing, escalation included"),
        (),
        (ExcludedGetNothing(),),
    ),
    Property(
        "R7_no_consent_of_a_suspect",
        gettext_noop("Where a parent is the suspect, identity is never disclosed on the consent of the guardian"),
        (_if("perpetrator_relation", "parent", "step_parent", "unknown"),),
        (BasisIsNot(Basis.GUARDIAN_CONSENT),),
    ),
    Property(
        "R7_no_consent_of_a_suspected_guardian",
        gettext_noop("Where the guardian is the suspect, identity is never disclosed on the consent of the guardian"),
        (_if("guardian_is_suspect", "yes"),),
        (BasisIsNot(Basis.GUARDIAN_CONSENT),),
    ),
    Property(
        "R9_unknown_goes_to_the_hub",
        gettext_noop("An unknown kind of violence goes to the protection service for manual triage"),
        (_if("violence", "unknown"),),
        (Leads(Service.MANUAL_TRIAGE, AgencyKind.HUB),),
    ),
    Property(
        "R9_unknown_home_goes_to_the_hub",
        gettext_noop("A home that is unknown or outside the city goes to the protection service for manual triage"),
        (_if("residence", "unknown", "outside"),),
        (Leads(Service.MANUAL_TRIAGE, AgencyKind.HUB),),
    ),
    Property(
        "R10_one_lead_for_each_right",
        gettext_noop("Every right is answered: each service has exactly one lead, or the right needs none yet"),
        (),
        (OneLeadForEachRight(),),
    ),
    Property(
        "no_escalation_ends_early",
        gettext_noop("No escalation ends early, whichever party is excluded"),
        (),
        (EscalationReachesSomebody(),),
    ),
    Property(
        "nobody_unreachable_is_addressed",
        gettext_noop("No addressee without a reachable duty contact"),
        (),
        (Reachable(),),
    ),
    Property(
        "danger_is_answered_in_15_minutes",
        gettext_noop("A child in danger is answered within 15 minutes"),
        (_if("safe_now", "no"),),
        (UrgencyMustBe(Urgency.HIGH), ClockLimit(ClockName.ANSWER, timedelta(minutes=15))),
    ),
    Property(
        "a_suicidal_sign_is_answered_in_15_minutes",
        gettext_noop("A suicidal sign is answered within 15 minutes, and by a psychologist"),
        (_if("suicidal_sign", "yes"),),
        (
            UrgencyMustBe(Urgency.HIGH),
            ClockLimit(ClockName.ANSWER, timedelta(minutes=15)),
            ServiceRequired(Service.PSYCHOLOGIST),
        ),
    ),
    Property(
        "what_protects_is_offered_at_once",
        gettext_noop("What protects life, body or evidence, and case management, never wait for the service plan"),
        (),
        tuple(map(OfferedAtOnce, _AT_ONCE)),
    ),
    Property(
        "shelter_in_danger_is_offered_at_once",
        gettext_noop("A shelter and a visit for a child in danger never wait for the service plan"),
        (_if("safe_now", "no"),),
        (OfferedAtOnce(Service.SHELTER), OfferedAtOnce(Service.OUTREACH)),
    ),
    Property(
        "a_suicidal_sign_is_never_planned",
        gettext_noop("A psychologist for a suicidal sign never waits for the service plan"),
        (_if("suicidal_sign", "yes"),),
        (OfferedAtOnce(Service.PSYCHOLOGIST),),
    ),
    Property(
        "the_72_hours_are_kept",
        gettext_noop(
            "Sexual violence of the last 72 hours: the treatment is offered, to begin within 72 hours after the event"
        ),
        (_if("violence", "sexual"), _if("time_since_event", "under_24h", "from_24h_to_72h")),
        (
            UrgencyMustBe(Urgency.HIGH),
            ServiceRequired(Service.PEP_72H),
            ClockLimit(ClockName.HEALTH_WINDOW, timedelta(hours=72), Service.PEP_72H),
        ),
    ),
    Property(
        "the_first_24_hours_are_used",
        gettext_noop("Sexual violence of the last 24 hours: the treatment begins within 24 hours after the event"),
        (_if("violence", "sexual"), _if("time_since_event", "under_24h")),
        (ClockLimit(ClockName.HEALTH_WINDOW, timedelta(hours=24), Service.PEP_72H),),
    ),
    Property(
        "the_evidence_is_kept",
        gettext_noop(
            "Sexual violence that may lie within the last 72 hours: the examination takes place before they have passed"
        ),
        (_if("violence", "sexual"), _if("time_since_event", "under_24h", "from_24h_to_72h", "unknown")),
        (
            ServiceRequired(Service.FORENSIC_EXAM),
            ClockLimit(ClockName.HEALTH_WINDOW, timedelta(hours=72), Service.FORENSIC_EXAM),
        ),
    ),
    Property(
        "the_police_are_informed_in_time",
        gettext_noop(
            "The police are asked to take the report of sexual violence within 3 x 24 hours (UU 12/2022 art. 41)"
        ),
        (_if("violence", "sexual"),),
        (
            Leads(Service.POLICE_REPORT, AgencyKind.POLICE),
            ClockLimit(ClockName.POLICE_REPORT, timedelta(days=3), Service.POLICE_REPORT),
        ),
    ),
    Property(
        "one_case_manager",
        gettext_noop("Every case has one manager: the protection service"),
        (),
        (Leads(Service.CASE_MANAGEMENT, AgencyKind.HUB),),
    ),
    Property(
        "the_neighbourhood_gets_no_narrative",
        gettext_noop("The task force of a kelurahan never gets the chronology, medical or legal data"),
        (),
        (Hidden(AgencyKind.SATGAS_KELURAHAN, frozenset({Section.NARRATIVE, Section.MEDICAL, Section.LEGAL})),),
    ),
)

_ALWAYS_RUN: Final = (ClockName.ANSWER, ClockName.RECEIPT, ClockName.CONTACT, ClockName.SERVICE)


def _codes(kind: str, terms: type[Enum]) -> tuple[Topic, ...]:
    return tuple((kind, str(term.value)) for term in terms)


EXACTLY_ONE: Final[tuple[Topic, ...]] = (
    ("urgency", ""),
    ("mediation", ""),
    ("basis", ""),
    *(("clock", clock.value) for clock in _ALWAYS_RUN),
    *_codes("disclosure", Service),
    *_codes("escalation", Step),
    *_codes("retention", Section),
)
"""Questions that every situation must answer."""
SERVICE_PLAN: Final[Topic] = ("service_plan", "")
"""The question that every situation must answer where services are planned."""
RIGHTS: Final = tuple(Right)
