"""A referral as a FHIR R4 bundle, with the status codes of HL7's BSeR, for hospitals whose software speaks FHIR.

Each of its services is a service request with its task. The child is identified only to an agency that holds that
section of the dossier; else the patient carries a masked name and what the sealed facts contain, if they are given.
BSeR's profiles ask for more than a city may send, such as a practitioner's role, so the bundle claims base FHIR and
none of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final
from uuid import UUID, uuid5

from simpul_schema.envelope import SectionContent
from simpul_schema.messages.dossier import DossierIdentity, DossierLogistics
from simpul_schema.messages.referral import ReferralAmendedV1, ReferralFacts, ReferralOfferedV1, RequestedService
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import DossierSection, Sex, Urgency

BSER: Final = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
"""HL7 BSeR 2.0.0-ballot, TaskBusinessStatusCS and its table of harmonised state transitions."""
OWN: Final = "urn:simpul:service-state"
"""For what BSeR has no code; its value set may be extended."""


@dataclass(frozen=True)
class Status:
    """Where a service stands, in FHIR's words."""

    task: str
    """Task.status."""
    code: str
    """Task.businessStatus."""
    display: str
    request: str = "active"
    """ServiceRequest.status."""
    system: str = BSER


@dataclass(frozen=True)
class ExportedService:
    """One service of the referral, and where it stands."""

    requested: RequestedService
    requested_at: datetime
    """When the city asked for it."""
    state: str
    """The wire name of the last event or reply that changed where it stands."""


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
"""Keyed by the wire name of the last event or reply that changes the state of the service."""
_PRIORITY: Final[Mapping[Urgency, str]] = {Urgency.HIGH: "stat", Urgency.MEDIUM: "urgent", Urgency.LOW: "routine"}
NIK: Final = "https://fhir.kemkes.go.id/id/nik"
"""The system of population numbers in SATUSEHAT, the health ministry's FHIR platform."""
_FULL_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NO_DOSSIER: Final[Mapping[DossierSection, SectionContent]] = {}
_MASKED: Final = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
}


def as_bundle(
    letter: ReferralOfferedV1 | ReferralAmendedV1,
    services: Sequence[ExportedService],
    facts: ReferralFacts | None,
    modified: datetime,
    dossier: Mapping[DossierSection, SectionContent] = _NO_DOSSIER,
) -> dict[str, Any]:
    """The bundle: a task and a service request for each service, the patient, the city and the agency.

    The service requests share a requisition, the id of the referral, which is also the group of the tasks. `letter` is
    any event with the ids of the referral; services, facts and dossier are the current ones.
    """
    data = letter.data
    parties = _Parties(*(f"urn:uuid:{uuid5(data.referral_id, name)}" for name in ("patient", "city", "agency")))
    requisition = _identifier(data.referral_id)
    resources: dict[str, dict[str, Any]] = {}
    for one in services:
        task, request = (f"urn:uuid:{uuid5(one.requested.service_id, name)}" for name in ("task", "request"))
        resources[task] = {
            "resourceType": "Task",
            "identifier": [_identifier(one.requested.service_id)],
            "groupIdentifier": requisition,
            **_task_status(one),
            "description": referral_code(data.referral_id),
            "focus": {"reference": request},
            "for": {"reference": parties.patient},
            "authoredOn": _moment(one.requested_at),
            "lastModified": _moment(modified),
            "requester": {"reference": parties.city},
            "owner": {"reference": parties.agency},
            "restriction": {"period": {"end": _moment(one.requested.answer_by)}},
        }
        resources[request] = _service_request(one, requisition, parties)
    resources |= {
        parties.patient: _patient(facts, dossier),
        parties.city: {"resourceType": "Organization", "name": letter.source.split("/")[1]},
        parties.agency: {"resourceType": "Organization", "name": data.agency},
    }
    entries = [{"fullUrl": url, "resource": resource} for url, resource in resources.items()]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": _moment(modified), "entry": entries}


@dataclass(frozen=True)
class _Parties:
    """References that are the same for the same referral, so that an import twice changes nothing."""

    patient: str
    city: str
    agency: str


def _task_status(one: ExportedService) -> dict[str, Any]:
    status = STATUS.get(one.state, STATUS[ReferralOfferedV1.WIRE_NAME])
    return {
        "status": status.task,
        "businessStatus": {"coding": [{"system": status.system, "code": status.code, "display": status.display}]},
        "intent": "order",
        "priority": _PRIORITY[one.requested.urgency],
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
    }


def _service_request(one: ExportedService, requisition: dict[str, Any], parties: _Parties) -> dict[str, Any]:
    status, service = STATUS.get(one.state, STATUS[ReferralOfferedV1.WIRE_NAME]), one.requested.service
    return {
        "resourceType": "ServiceRequest",
        "identifier": [_identifier(one.requested.service_id)],
        "requisition": requisition,
        "status": status.request,
        "intent": "order",
        "priority": _PRIORITY[one.requested.urgency],
        "code": {
            "coding": [{"system": "urn:simpul:service", "code": service.value, "display": service.label("en")}],
            "text": service.label("id"),
        },
        "subject": {"reference": parties.patient},
        "authoredOn": _moment(one.requested_at),
        "requester": {"reference": parties.city},
        "performer": [{"reference": parties.agency}],
    }


def _patient(facts: ReferralFacts | None, dossier: Mapping[DossierSection, SectionContent]) -> dict[str, Any]:
    """Identifies the patient by the sections that the agency holds; what it does not hold is masked or left out."""
    patient: dict[str, Any] = {"resourceType": "Patient", "name": [_MASKED], "gender": _gender(facts)}
    identity, logistics = dossier.get(DossierSection.IDENTITY), dossier.get(DossierSection.LOGISTICS)
    if isinstance(identity, DossierIdentity):
        patient |= {"name": [{"text": identity.child_name} if identity.child_name else _MASKED]}
        if identity.nik:
            patient["identifier"] = [{"system": NIK, "value": identity.nik}]
        if _FULL_DATE.fullmatch(identity.birth_date):
            patient["birthDate"] = identity.birth_date
        if identity.guardian_name:
            patient["contact"] = [{"name": {"text": identity.guardian_name}}]
    if isinstance(logistics, DossierLogistics) and logistics.address:
        patient["address"] = [{"text": logistics.address}]
    return patient


def _identifier(reference: UUID) -> dict[str, Any]:
    return {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]},
        "system": "urn:ietf:rfc:3986",
        "value": f"urn:uuid:{reference}",
    }


def _gender(facts: ReferralFacts | None) -> str:
    return facts.sex.value if facts and facts.sex is not Sex.UNKNOWN else "unknown"


def _moment(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
