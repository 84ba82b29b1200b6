"""Builds events about the services of a referral, for the city and for the agency of the referral."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from simpul_agreement.model import Step
from simpul_routing.domain.consents import withdrawal_id
from simpul_routing.domain.published import (
    Accepted,
    Cancelled,
    ClockStepTaken,
    Completed,
    ConsentWithdrawn,
    DeadlineMet,
    Declined,
    ReferralAmended,
    ReferralOffered,
    Rerouted,
    Revoked,
    ServicesChanged,
    Started,
)
from simpul_routing.domain.referral import (
    Referral,
    ReferralService,
    find_answer_time,
    find_highest_urgency,
    sort_services,
)
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema import Event
from simpul_schema.messages import (
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralConsentWithdrawnV1,
    ReferralDeadlineMetV1,
    ReferralDeclinedV1,
    ReferralEscalatedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.names import subject_of_met_deadline, subject_of_referral, topic_of

_AT_STEP: Final[Mapping[Step, type[Event]]] = {
    Step.HALF: ReferralRemindedV1,
    Step.DUE: ReferralOverdueV1,
    Step.TWICE: ReferralEscalatedV1,
}


def _of_referral(
    message: type[Event],
    referral: Referral,
    about: Sequence[ReferralService],
    cause: UUID | None,
    *,
    informs_agency: bool = True,
    **data: Any,
) -> OutgoingEvent:
    """Builds an event about services of a referral for the city, and for the agency if that is informed.

    The topic names the first of the services in `about`, which are sorted.
    """
    return OutgoingEvent(
        message,
        subject=subject_of_referral(referral.referral_id),
        case_id=referral.case_id,
        agency=referral.agency if informs_agency else "",
        topic=topic_of(about[0].service, about[0].standing.urgency),
        causation=cause,
        data={"referral_id": referral.referral_id, "case_id": referral.case_id, "agency": referral.agency, **data},
    )


def referral_offered(offered: ReferralOffered, cause: UUID | None) -> OutgoingEvent:
    """Builds `referral.offered.v1` with the services that were added and the facts sealed to the agency."""
    services = sort_services(offered.referral.services[service_id] for service_id in offered.added)
    # The service that was added last is offered by the newest version.
    agreement = offered.referral.services[offered.added[-1]].agreement
    return _with_services(ReferralOfferedV1, offered, services, cause, agreement=agreement)


def referral_amended(amended: ReferralAmended, cause: UUID | None) -> OutgoingEvent:
    """Builds `referral.amended.v1` with all services that the agency has, and the facts sealed to it."""
    services, added = amended.referral.services_with_agency, set(amended.added)
    return _with_services(
        ReferralAmendedV1,
        amended,
        services,
        cause,
        agreement=max(services, key=lambda service: service.position).agreement,
        added=[service.service_id for service in services if service.service_id in added],
    )


def _with_services(
    message: type[Event],
    content: ReferralOffered | ReferralAmended,
    services: Sequence[ReferralService],
    cause: UUID | None,
    **data: Any,
) -> OutgoingEvent:
    """Builds an event with the whole content of services, and with the facts sealed to the agency."""
    event = _of_referral(
        message,
        content.referral,
        services,
        cause,
        services=[_requested_service(service) for service in services],
        urgency=find_highest_urgency(services),
        answer_by=find_answer_time(services),
        **data,
    )
    return replace(event, sealed={"facts": (content.referral.agency, content.facts)})


def _requested_service(service: ReferralService) -> dict[str, Any]:
    return {
        **_reference(service),
        "role": service.role,
        "urgency": service.standing.urgency,
        "answer_by": service.answer_by,
        "reroute_count": service.reroute_count,
        "rerouted_from": service.rerouted_from,
    }


def _reference(service: ReferralService) -> dict[str, Any]:
    return {"service_id": service.service_id, "service": service.service}


def services_changed(changed: ServicesChanged, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds the event by which services were accepted, declined, rerouted, started or ended."""
    services = sort_services(changed.services)
    message, data = _contract_of(changed, now)
    references = [_reference(service) | _next_service(changed, service) for service in services]
    return _of_referral(
        message, changed.referral, services, cause, informs_agency=changed.informs_agency, services=references, **data
    )


def _next_service(changed: ServicesChanged, service: ReferralService) -> dict[str, Any]:
    """Returns what another agency was offered in place of a rerouted service; nothing for other changes."""
    replacement = changed.replacements.get(service.service_id)
    if replacement is None:
        return {}
    return {
        "next_service_id": replacement.service_id,
        "reroute_count": replacement.reroute_count,
        "is_escalated_to_hub": replacement.is_escalated_to_hub,
    }


def _contract_of(  # noqa: PLR0911 - one return per kind
    changed: ServicesChanged, now: datetime
) -> tuple[type[Event], dict[str, Any]]:
    """Returns the message for a change of services, and its own fields."""
    match changed.change:
        case Accepted():
            return ReferralAcceptedV1, {"accepted_at": now}
        case Started():
            return ReferralStartedV1, {"started_at": now}
        case Completed(outcome=outcome):
            return ReferralCompletedV1, {"completed_at": now, "outcome": outcome}
        case Declined(reason=reason):
            return ReferralDeclinedV1, {"declined_at": now, "reason": reason}
        case Rerouted() as rerouted:
            return ReferralReroutedV1, {
                "next_referral_id": rerouted.next_referral_id,
                "next_agency": rerouted.next_agency,
            }
        case Revoked(why=why):
            return ReferralRevokedV1, {"revoked_at": now, "why": why}
        case Cancelled(why=why):
            return ReferralCancelledV1, {"cancelled_at": now, "why": why}


def consent_withdrawn(withdrawn: ConsentWithdrawn, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds `referral.consent_withdrawn.v1`."""
    services = sort_services(withdrawn.services)
    event = _of_referral(
        ReferralConsentWithdrawnV1,
        withdrawn.referral,
        services,
        cause,
        services=[_reference(service) for service in services],
        withdrawn_at=now,
        acknowledge_by=withdrawn.acknowledge_by,
    )
    return replace(event, event_id=withdrawal_id(withdrawn.referral.referral_id, now))


def clock_step(taken: ClockStepTaken, cause: UUID | None) -> OutgoingEvent:
    """Builds `referral.reminded.v1`, `referral.overdue.v1` or `referral.escalated.v1`."""
    services = sort_services(taken.services)
    return _of_referral(
        _AT_STEP[taken.step],
        taken.referral,
        services,
        cause,
        informs_agency=taken.informs_agency,
        services=[_reference(service) for service in services],
        clock=taken.clock.value,
        step=int(taken.step.value),
        due_at=taken.due_at,
        urgency=find_highest_urgency(services),
        escalation_targets=taken.targets,
        reason=taken.reason,
    )


def deadline_met(met: DeadlineMet, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds `referral.deadline_met.v1`, which only services receive."""
    services = sort_services(met.services)
    event = _of_referral(
        ReferralDeadlineMetV1,
        met.referral,
        services,
        cause,
        informs_agency=False,
        services=[_reference(service) for service in services],
        clock=met.clock.value,
        met_at=now,
    )
    return replace(event, subject=subject_of_met_deadline(uuid4()))
