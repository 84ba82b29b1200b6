"""The safety properties that every agreement must have, as data that both provers interpret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, TypeAlias

from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Basis, BilingualText, ClockName, Condition, Section, Step, Topic
from simpul_schema.vocabulary import Right, Service, Urgency


@dataclass(frozen=True, slots=True)
class ServiceRequired:
    """The service is needed and has a lead."""

    service: Service


@dataclass(frozen=True, slots=True)
class Addressed:
    """A party of the kind leads or supports some service, unless it is excluded."""

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
class ClockAtMost:
    """The clock runs and is at most this long."""

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
    ServiceRequired | Addressed | CentreSupports | Leads | MediationIsLocked | BasisIsNot | UrgencyMustBe | ClockAtMost
    | SuspectElsewhere | ExcludedGetNothing | OneLeadForEachRight | EscalationReachesSomebody | Reachable | Hidden
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Property:
    """In every situation in which the conditions hold, all the demands are met."""

    name: str
    text: BilingualText
    when: tuple[Condition, ...]
    must: tuple[Demand, ...]


def _if(fact: str, *values: str) -> Condition:
    return Condition(fact, frozenset(values))


_SEXUAL: Final = _if("violence", "sexual", "trafficking")
_UNDER_72H: Final = _if("sexual_under_72h", "yes")
_PREGNANT_BELOW_15: Final = (_if("pregnant", "yes"), _if("age_band", "under_6", "from_6_to_11", "from_12_to_14"))
_AS_SEXUAL: Final = (
    Addressed(AgencyKind.POLICE), Addressed(AgencyKind.HUB), ServiceRequired(Service.FORENSIC_EXAM),
    ClockAtMost(ClockName.POLICE_REPORT, timedelta(days=3)),
)  # fmt: skip
PROPERTIES: Final = (
    Property(
        "R1_police_and_hub",
        BilingualText(
            "Kekerasan seksual dan perdagangan orang selalu sampai ke polisi dan UPT PPA",
            "Sexual violence and trafficking always reach the police and the protection service",
        ),
        (_SEXUAL,),
        (Addressed(AgencyKind.POLICE), Addressed(AgencyKind.HUB)),
    ),
    Property(
        "R1_mediation_locked",
        BilingualText(
            "Mediasi dilarang pada kekerasan seksual dan perdagangan orang, kecuali terduga pelaku masih anak",
            "Mediation is locked for sexual violence and trafficking unless the suspect is a child",
        ),
        (_SEXUAL, _if("perpetrator_is_child", "no", "unknown")),
        (MediationIsLocked(),),
    ),
    Property(
        "R1_under_72_hours_is_sexual",
        BilingualText(
            "Kekerasan seksual kurang dari 72 jam lalu: polisi, UPT PPA dan visum, apa pun bentuk yang dilaporkan",
            "Sexual violence under 72 hours ago: police, protection service and examination, whatever is reported",
        ),
        (_UNDER_72H,),
        _AS_SEXUAL,
    ),
    Property(
        "R1_under_72_hours_locks_mediation",
        BilingualText(
            "Mediasi dilarang bila kekerasan seksual terjadi kurang dari 72 jam lalu, apa pun yang dilaporkan",
            "Mediation is locked where sexual violence happened under 72 hours ago, whatever is reported",
        ),
        (_UNDER_72H, _if("perpetrator_is_child", "no", "unknown")),
        (MediationIsLocked(),),
    ),
    Property(
        "R1_pregnant_below_15_is_sexual",
        BilingualText(
            "Kehamilan anak di bawah 15 tahun adalah kekerasan seksual: polisi, UPT PPA dan visum",
            "A pregnancy below 15 is sexual violence: police, protection service and examination",
        ),
        _PREGNANT_BELOW_15,
        _AS_SEXUAL,
    ),
    Property(
        "R1_pregnant_below_15_locks_mediation",
        BilingualText(
            "Mediasi dilarang bila anak di bawah 15 tahun hamil",
            "Mediation is locked where a child below 15 is pregnant",
        ),
        (*_PREGNANT_BELOW_15, _if("perpetrator_is_child", "no", "unknown")),
        (MediationIsLocked(),),
    ),
    Property(
        "R3_emergency_where_reported",
        BilingualText(
            "Bahaya langsung: perlindungan darurat di tempat anak melapor, sebelum soal kewenangan",
            "Immediate danger: emergency protection where the child reported, before jurisdiction",
        ),
        (_if("safe_now", "no"),),
        (ServiceRequired(Service.EMERGENCY_PROTECTION), CentreSupports(Service.EMERGENCY_PROTECTION)),
    ),
    Property(
        "R5_suspect_elsewhere",
        BilingualText(
            "Anak terduga pelaku dilayani pihak yang tidak melayani korban",
            "A suspect who is a child is served by somebody who does not serve the victim",
        ),
        (_if("perpetrator_is_child", "yes"),),
        (SuspectElsewhere(),),
    ),
    Property(
        "R6_excluded_get_nothing",
        BilingualText(
            "Pihak yang dekat dengan terduga pelaku tidak menerima apa pun, juga lewat eskalasi",
            "A party close to the suspect receives nothing, escalation included",
        ),
        (),
        (ExcludedGetNothing(),),
    ),
    Property(
        "R7_no_consent_of_a_suspect",
        BilingualText(
            "Bila orang tua menjadi terduga pelaku, persetujuannya tidak menjadi dasar pembukaan identitas",
            "Where a parent is the suspect, identity is never disclosed on the consent of the guardian",
        ),
        (_if("perpetrator_relation", "parent", "step_parent", "unknown"),),
        (BasisIsNot(Basis.GUARDIAN_CONSENT),),
    ),
    Property(
        "R9_unknown_goes_to_the_hub",
        BilingualText(
            "Bentuk kekerasan yang belum diketahui ditriase manual oleh UPT PPA",
            "An unknown kind of violence goes to the protection service for manual triage",
        ),
        (_if("violence", "unknown"),),
        (Leads(Service.MANUAL_TRIAGE, AgencyKind.HUB),),
    ),
    Property(
        "R9_unknown_home_goes_to_the_hub",
        BilingualText(
            "Tempat tinggal yang belum diketahui ditriase manual oleh UPT PPA",
            "An unknown home goes to the protection service for manual triage",
        ),
        (_if("residence", "unknown"),),
        (Leads(Service.MANUAL_TRIAGE, AgencyKind.HUB),),
    ),
    Property(
        "R10_one_lead_for_each_right",
        BilingualText(
            "Setiap hak dijawab: tiap layanan punya tepat satu penanggung jawab, atau hak itu belum memerlukannya",
            "Every right is answered: each service has exactly one lead, or the right needs none yet",
        ),
        (),
        (OneLeadForEachRight(),),
    ),
    Property(
        "no_escalation_ends_early",
        BilingualText(
            "Tidak ada jenjang eskalasi yang buntu, siapa pun yang dikecualikan",
            "No escalation ends early, whichever party is excluded",
        ),
        (),
        (EscalationReachesSomebody(),),
    ),
    Property(
        "nobody_unreachable_is_addressed",
        BilingualText(
            "Tidak ada rujukan kepada pihak yang tidak punya petugas yang dapat dihubungi saat itu",
            "No addressee without a reachable duty contact",
        ),
        (),
        (Reachable(),),
    ),
    Property(
        "danger_is_answered_in_15_minutes",
        BilingualText("Anak yang tidak aman dijawab dalam 15 menit", "A child in danger is answered within 15 minutes"),
        (_if("safe_now", "no"),),
        (UrgencyMustBe(Urgency.HIGH), ClockAtMost(ClockName.ANSWER, timedelta(minutes=15))),
    ),
    Property(
        "a_suicidal_sign_is_answered_in_15_minutes",
        BilingualText(
            "Tanda ingin bunuh diri dijawab dalam 15 menit dan ditangani psikolog",
            "A suicidal sign is answered within 15 minutes, and by a psychologist",
        ),
        (_if("suicidal_sign", "yes"),),
        (
            UrgencyMustBe(Urgency.HIGH),
            ClockAtMost(ClockName.ANSWER, timedelta(minutes=15)),
            ServiceRequired(Service.PSYCHOLOGIST),
        ),
    ),
    Property(
        "the_72_hours_are_kept",
        BilingualText(
            "Dalam 72 jam setelah kekerasan seksual, pencegahan ditawarkan dan paling lambat 24 jam lagi dimulai",
            "Within 72 hours after sexual violence the treatment is offered, to begin within 24 more",
        ),
        (_if("sexual_under_72h", "yes"),),
        (
            UrgencyMustBe(Urgency.HIGH),
            ServiceRequired(Service.PEP_72H),
            ClockAtMost(ClockName.HEALTH_WINDOW, timedelta(hours=24), Service.PEP_72H),
        ),
    ),
    Property(
        "the_police_are_informed_in_time",
        BilingualText(
            "Kekerasan seksual disampaikan ke polisi paling lambat 3 x 24 jam (UU 12/2022 pasal 41)",
            "Sexual violence is passed on to the police within 3 x 24 hours (UU 12/2022 art. 41)",
        ),
        (_if("violence", "sexual"),),
        (ClockAtMost(ClockName.POLICE_REPORT, timedelta(days=3)),),
    ),
    Property(
        "one_case_manager",
        BilingualText(
            "Setiap kasus punya satu pengelola kasus: UPT PPA", "Every case has one manager: the protection service"
        ),
        (),
        (Leads(Service.CASE_MANAGEMENT, AgencyKind.HUB),),
    ),
    Property(
        "the_neighbourhood_gets_no_narrative",
        BilingualText(
            "Satgas kelurahan tidak menerima kronologi, data medis atau berkas hukum",
            "The task force of a kelurahan never gets the chronology, medical or legal data",
        ),
        (),
        (Hidden(AgencyKind.SATGAS_KELURAHAN, frozenset({Section.NARRATIVE, Section.MEDICAL, Section.LEGAL})),),
    ),
)

_ALWAYS_RUN: Final = (ClockName.ANSWER, ClockName.RECEIPT, ClockName.CONTACT, ClockName.SERVICE)


def _codes(kind: str, terms: type[Enum]) -> tuple[Topic, ...]:
    return tuple((kind, str(term.value)) for term in terms)


EXACTLY_ONE: Final[tuple[Topic, ...]] = (
    ("urgency", ""), ("mediation", ""), ("basis", ""),
    *(("clock", clock.value) for clock in _ALWAYS_RUN),
    *_codes("disclosure", Service), *_codes("escalation", Step), *_codes("retention", Section),
)  # fmt: skip
"""Questions that every situation must answer."""
RIGHTS: Final = tuple(Right)
QUESTION_LABELS: Final[Mapping[str, BilingualText]] = {
    "service": BilingualText("siapa yang memimpin layanan", "who leads the service"),
    "not_needed": BilingualText("apakah hak memerlukan layanan", "whether the right needs a service"),
    "urgency": BilingualText("tingkat kegentingan", "the urgency"),
    "clock": BilingualText("tenggat", "the deadline"),
    "mediation": BilingualText("mediasi", "mediation"),
    "basis": BilingualText("dasar pembukaan identitas", "the basis of disclosure"),
    "disclosure": BilingualText("apa yang dibuka", "what is disclosed"),
    "escalation": BilingualText("siapa yang diberi tahu", "who is informed"),
    "retention": BilingualText("masa simpan", "how long it is kept"),
    "suspect": BilingualText("siapa yang mendampingi anak terduga pelaku", "who serves the child who is the suspect"),
}
