"""A referral as a FHIR R4 bundle, with the status codes of HL7's BSeR, for hospitals whose software speaks FHIR.

The child is not identified: the patient carries a masked name and what the sealed facts tell, if they are given.
BSeR's profiles ask for more than a city may send (a practitioner's role, an identified patient), so the bundle claims
base FHIR and none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final
from uuid import uuid5

from simpul_schema.messages.referral import ReferralFacts, ReferralOfferedV1
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import Sex, Urgency

BSER: Final = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
"""HL7 BSeR 2.0.0-ballot, TaskBusinessStatusCS and its table of harmonised state transitions."""
OWN: Final = "urn:simpul:referral-state"
"""For what BSeR has no code; its value set may be extended."""


@dataclass(frozen=True)
class Status:
    """Where a referral stands, in FHIR's words."""

    task: str
    """Task.status."""
    code: str
    """Task.businessStatus."""
    display: str
    request: str = "active"
    """ServiceRequest.status."""
    system: str = BSER


_CREATED: Final = "Service Request Created"
STATUS: Final[Mapping[str, Status]] = {
    "referral.offered.v1": Status("requested", "2.0", _CREATED),
    "reply.referral.delivered.v1": Status("received", "2.0", _CREATED),
    "reply.referral.seen.v1": Status("received", "2.0", _CREATED),
    "reply.referral.accepted.v1": Status("accepted", "3.0", "Service Request Accepted"),
    "referral.accepted.v1": Status("accepted", "3.0", "Service Request Accepted"),
    "reply.referral.scheduled.v1": Status("in-progress", "5.1.1", "Service Request Event Scheduled"),
    "reply.referral.unattended.v1": Status("in-progress", "5.1.2", "Scheduled Service Request Event Unattended"),
    "reply.referral.started.v1": Status("in-progress", "started", "Service begun", system=OWN),
    "referral.started.v1": Status("in-progress", "started", "Service begun", system=OWN),
    "reply.referral.completed.v1": Status("completed", "7.0", "Service Request Fulfillment Completed", "completed"),
    "referral.completed.v1": Status("completed", "7.0", "Service Request Fulfillment Completed", "completed"),
    "reply.referral.declined.v1": Status("rejected", "4.0", "Service Request Declined", "revoked"),
    "referral.declined.v1": Status("rejected", "4.0", "Service Request Declined", "revoked"),
    "referral.rerouted.v1": Status("rejected", "4.0", "Service Request Declined", "revoked"),
    "referral.cancelled.v1": Status("cancelled", "6.0", "Service Request Fulfillment Cancelled", "revoked"),
    "referral.revoked.v1": Status("cancelled", "6.0", "Service Request Fulfillment Cancelled", "revoked"),
}
"""By the wire name of what was said last and changes where the referral stands."""
_PRIORITY: Final[Mapping[Urgency, str]] = {Urgency.HIGH: "stat", Urgency.MEDIUM: "urgent", Urgency.LOW: "routine"}
_MASKED: Final = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
}


def as_bundle(
    offer: ReferralOfferedV1,
    state: str,
    facts: ReferralFacts | None,
    modified: datetime,
    *,
    urgency: Urgency,
    answer_by: datetime,
) -> dict[str, Any]:
    """The bundle: task, service request, patient, the city and the agency.

    `state` is the wire name of what was said last; urgency, deadline and facts are those of now.
    """
    data, status = offer.data, STATUS.get(state, STATUS[offer.type])
    task, request, patient, city, agency = (f"urn:uuid:{_id(offer, place)}" for place in range(5))
    identifier = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]},
        "system": "urn:ietf:rfc:3986",
        "value": f"urn:uuid:{data.referral_id}",
    }
    resources = {
        task: {
            "resourceType": "Task",
            "identifier": [identifier],
            "status": status.task,
            "businessStatus": {"coding": [{"system": status.system, "code": status.code, "display": status.display}]},
            "intent": "order",
            "priority": _PRIORITY[urgency],
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "description": referral_code(data.referral_id),
            "focus": {"reference": request},
            "for": {"reference": patient},
            "authoredOn": _moment(offer.time),
            "lastModified": _moment(modified),
            "requester": {"reference": city},
            "owner": {"reference": agency},
            "restriction": {"period": {"end": _moment(answer_by)}},
        },
        request: {
            "resourceType": "ServiceRequest",
            "identifier": [identifier],
            "status": status.request,
            "intent": "order",
            "priority": _PRIORITY[urgency],
            "code": {
                "coding": [
                    {"system": "urn:simpul:service", "code": data.service.value, "display": data.service.label("en")}
                ],
                "text": data.service.label("id"),
            },
            "subject": {"reference": patient},
            "authoredOn": _moment(offer.time),
            "requester": {"reference": city},
            "performer": [{"reference": agency}],
        },
        patient: {"resourceType": "Patient", "name": [_MASKED], "gender": _gender(facts)},
        city: {"resourceType": "Organization", "name": offer.source.split("/")[1]},
        agency: {"resourceType": "Organization", "name": data.agency},
    }
    entries = [{"fullUrl": url, "resource": resource} for url, resource in resources.items()]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": _moment(modified), "entry": entries}


def _id(offer: ReferralOfferedV1, place: int) -> str:
    """The same for the same referral, so that an import twice changes nothing."""
    return str(uuid5(offer.data.referral_id, str(place)))


def _gender(facts: ReferralFacts | None) -> str:
    return facts.sex.value if facts and facts.sex is not Sex.UNKNOWN else "unknown"


def _moment(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
