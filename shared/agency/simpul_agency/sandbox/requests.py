"""What the simulated city asks of an agency about an invented child: services that such an agency provides."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from simpul_agency.sandbox.scenarios import SCENARIOS

PROVIDED: Final[Mapping[str, tuple[str, ...]]] = {
    "polres-ppa": ("police_report", "emergency_protection", "restitution_information", "restitution_claim"),
    "uptd-ppa": (
        "case_management", "psychologist", "counselling", "outreach", "accompany_report", "accompany_hearing",
    ),
    "ylpa": ("legal_aid", "accompany_report", "accompany_hearing"),
    "dinsos-peksos": ("social_aid", "shelter", "social_assessment", "reintegration"),
    "klinik-pendidikan": ("stay_in_school", "counselling", "school_transfer"),
    "rs-rujukan": ("medical_care", "forensic_exam", "pep_72h", "psychologist"),
    "satgas-": ("outreach",),
}  # fmt: skip
"""Code of an agency of Kota Kediri, or its beginning -> services; a test compares them with the agreement."""
MAX_URGENCY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("psychologist", "social_assessment", "accompany_report"), "medium"),
    **dict.fromkeys(
        (
            "counselling",
            "reintegration",
            "social_aid",
            "stay_in_school",
            "school_transfer",
            "accompany_hearing",
            "legal_aid",
            "restitution_information",
            "restitution_claim",
        ),
        "low",
    ),
}
"""Service of a service plan -> its highest urgency; the others are as urgent as the case."""
_ORDER: Final = ("high", "medium", "low")


def requests_to(agency: str, scenario: int) -> Sequence[Mapping[str, Any]]:
    """Returns the services of a scenario, with those that the agency does not provide replaced by those it does.

    An agency of another city is asked for the services as they are.
    """
    wanted = SCENARIOS[(scenario - 1) % len(SCENARIOS)]["services"]
    provided = next((services for code, services in PROVIDED.items() if agency.startswith(code)), ())
    if not provided:
        return tuple(wanted)
    fitting = {one["service"] for one in wanted} & set(provided)
    requests: dict[str, Mapping[str, Any]] = {}
    for one in wanted:
        service = one["service"]
        if service not in fitting:
            service = _choose_service(provided, fitting | requests.keys(), one["urgency"], scenario)
            if requests and _distance(service, one["urgency"]) > 1:
                # Treatment within 72 hours is not for a child who has time, for example.
                continue
        urgency = max(one["urgency"], _max_urgency(service), key=_ORDER.index)
        requests.setdefault(service, {**one, "service": service, "urgency": urgency})
    return tuple(requests.values())


def _choose_service(provided: Sequence[str], requested: AbstractSet[str], urgency: str, scenario: int) -> str:
    """Chooses a service that is not requested yet and may be about as urgent; another one in each scenario."""
    free = [service for service in provided if service not in requested] or list(provided)
    first = scenario % len(free)
    return min(free[first:] + free[:first], key=lambda service: _distance(service, urgency))


def _distance(service: str, urgency: str) -> int:
    return abs(_ORDER.index(_max_urgency(service)) - _ORDER.index(urgency))


def _max_urgency(service: str) -> str:
    return MAX_URGENCY.get(service, _ORDER[0])
