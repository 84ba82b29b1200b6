"""Shows where a referral and its services stand for this agency: the city's events and the agency's replies to them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Optional, Union
from uuid import UUID

from simpul_agency.earlier_events import with_services
from simpul_agency.records import ReferralStream
from simpul_schema.messages import (
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralConsentWithdrawnV1,
    ReferralOfferedV1,
    ReferralReplyRefusedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
    ReplyNoteAddedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.referral import RequestedService
from simpul_schema.vocabulary import Service, Urgency

RequestingEvent = Union[ReferralOfferedV1, ReferralAmendedV1]
"""An event that has the list of services and the facts."""

_REQUESTING: Final = {message.WIRE_NAME: message for message in (ReferralOfferedV1, ReferralAmendedV1)}
_FINAL: Final = frozenset(
    {
        "referral.declined.v1",
        "referral.rerouted.v1",
        "referral.completed.v1",
        "referral.cancelled.v1",
        "referral.revoked.v1",
    }
)
"""Events that end the services that they list."""
_RECORDING: Final = {
    ReplyReferralAcceptedV1.WIRE_NAME: ReferralAcceptedV1.WIRE_NAME,
    ReplyReferralStartedV1.WIRE_NAME: ReferralStartedV1.WIRE_NAME,
}
"""Reply -> the event by which the city records it, unless it ends the service."""
_CLOSING_REPLIES: Final = frozenset({ReplyReferralDeclinedV1.WIRE_NAME, ReplyReferralCompletedV1.WIRE_NAME})
_ABOUT_NO_SERVICE: Final = frozenset(
    {
        ReplyReferralDeliveredV1.WIRE_NAME,
        ReplyReferralSeenV1.WIRE_NAME,
        ReplyWithdrawalAcknowledgedV1.WIRE_NAME,
        ReplyNoteAddedV1.WIRE_NAME,
    }
)
"""Replies that change the state of no service."""


@dataclass
class ServiceView:
    """One service of a referral as this agency knows it."""

    requested: RequestedService
    requested_at: datetime
    """When the city asked for it first."""
    was_added: bool
    """Whether an amendment added it to the referral."""
    is_listed: bool = True
    """Whether the newest list of services has it."""
    _final: str = ""
    _reply: str = ""
    _event: str = ""
    _recorded: set[str] = field(default_factory=set)

    @property
    def service_id(self) -> UUID:
        """The random reference of the service, which replies name."""
        return self.requested.service_id

    @property
    def state(self) -> str:
        """The wire name of the last event or reply that changed where the service stands."""
        if not (self._final or self.is_listed or self._reply in _CLOSING_REPLIES):
            # The event that says why comes on its own, and is not always there.
            return ReferralRevokedV1.WIRE_NAME
        reply = "" if _RECORDING.get(self._reply) in self._recorded else self._reply
        return self._final or reply or self._event or ReferralOfferedV1.WIRE_NAME

    @property
    def is_open(self) -> bool:
        """Whether the agency still has to act."""
        return self.is_listed and not self._final and self._reply not in _CLOSING_REPLIES

    @property
    def has_ended(self) -> bool:
        """Whether the city has ended it; an end that only this agency has reported can still be refused."""
        return bool(self._final) or not self.is_listed

    @property
    def is_unanswered(self) -> bool:
        """Whether it waits for an acceptance or a decline."""
        return self.is_open and not self._reply and not self._recorded

    @property
    def has_started(self) -> bool:
        """Whether the agency has started it, or has reported it."""
        return ReferralStartedV1.WIRE_NAME in self._recorded or self._reply == ReplyReferralStartedV1.WIRE_NAME

    @property
    def is_new(self) -> bool:
        """Whether an amendment added it and it waits for an answer."""
        return self.was_added and self.is_unanswered

    def add_event(self, wire_name: str) -> None:
        """Takes an event of the city into account; a service that an event has ended never opens again."""
        if wire_name in _FINAL:
            self._final = wire_name
        else:
            self._event = wire_name
        self._recorded |= {wire_name} & {*_RECORDING.values()}

    def add_reply(self, wire_name: str) -> None:
        """Takes a reply of this agency into account."""
        self._reply = wire_name

    def allows(self, wire_name: str) -> bool:
        """Whether a reply that names no service is about this one."""
        if wire_name == ReplyReferralAcceptedV1.WIRE_NAME:
            return self.is_unanswered
        return self.is_open and (wire_name == ReplyReferralDeclinedV1.WIRE_NAME or not self.is_unanswered)


@dataclass(frozen=True)
class RefusedReply:
    """A reply that changed nothing in the city."""

    explanation: str
    """The city's reason, a sentence in Bahasa Indonesia."""
    services: tuple[Service, ...]
    """The services to which it was refused; empty when it was refused as a whole."""


@dataclass(frozen=True)
class ReferralView:
    """One referral as this agency knows it. It has ended when all its services have; an amendment opens it again."""

    first: RequestingEvent
    """The offer, or the first amendment where the offer did not come."""
    services: tuple[ServiceView, ...]
    """As the city lists them now, followed by those that have ended."""
    newest_facts: bytes
    """The stored event with the newest sealed facts."""
    withdrawn: tuple[ServiceView, ...]
    """The services whose consent was withdrawn, while the agency has not acknowledged it."""
    withdrawal_id: Optional[UUID]
    """The newest withdrawal, while the agency has not acknowledged it."""
    refused: tuple[RefusedReply, ...]
    releases: tuple[bytes, ...] = field(default=(), repr=False)
    """The stored releases of the dossier, the oldest first; what was withdrawn is no longer in them."""

    @property
    def referral_id(self) -> UUID:
        """The random reference of the referral."""
        return self.first.data.referral_id

    @property
    def unanswered(self) -> tuple[ServiceView, ...]:
        """The services that wait for an acceptance or a decline."""
        return tuple(one for one in self.services if one.is_unanswered)

    @property
    def is_open(self) -> bool:
        """Whether the agency still has to act on a service."""
        return any(one.is_open for one in self.services)

    @property
    def has_ended(self) -> bool:
        """Whether the city has ended every service, so that the agency may keep nothing about the child."""
        return all(one.has_ended for one in self.services)

    @property
    def must_acknowledge(self) -> bool:
        """Whether a consent was withdrawn and the agency has not acknowledged it."""
        return self.withdrawal_id is not None

    @property
    def is_served_on(self) -> bool:
        """Whether the agency still provides a service whose consent was not withdrawn: what it needs for it stays."""
        return any(one.is_open and not one.is_unanswered and one not in self.withdrawn for one in self.services)

    @property
    def urgency(self) -> Urgency:
        """The highest urgency of the services that have not ended, or of all."""
        found = {one.requested.urgency for one in self._not_ended}
        return next(urgency for urgency in Urgency if urgency in found)

    @property
    def answer_by(self) -> datetime:
        """The earliest deadline of the services that wait for an answer, else of those that have not ended."""
        return min(one.requested.answer_by for one in self.unanswered or self._not_ended)

    @property
    def _not_ended(self) -> tuple[ServiceView, ...]:
        return tuple(one for one in self.services if one.is_open) or self.services


def view_referral(stream: ReferralStream) -> ReferralView:
    """Combines the events and replies of one referral."""
    services: dict[UUID, ServiceView] = {}
    requests: list[tuple[RequestingEvent, bytes]] = []
    for wire_name, body in stream.events:
        if wire_name in _REQUESTING:
            event = _read_request(wire_name, body, services)
            requests.append((event, body))
            _add_services(services, event)
        elif wire_name != ReferralConsentWithdrawnV1.WIRE_NAME:
            for service_id in _services_in(json.loads(body)):
                if service_id in services:
                    services[service_id].add_event(wire_name)
    refusals = [ReferralReplyRefusedV1.read_json(body) for body in stream.refusals]
    _add_replies(services, stream, refusals)
    in_order = _in_order(services, [one.service_id for one in requests[-1][0].data.services])
    withdrawals = _list_unacknowledged(stream)
    # An event of the earlier contract is about every service.
    withdrawn = {service_id for one in withdrawals for service_id in _services_in(one) or services}
    return ReferralView(
        first=requests[0][0],
        services=in_order,
        newest_facts=requests[-1][1],
        withdrawn=tuple(one for one in in_order if one.service_id in withdrawn),
        withdrawal_id=UUID(withdrawals[-1]["id"]) if withdrawals else None,
        refused=tuple(_describe(one, services) for one in refusals),
        releases=stream.releases,
    )


def _read_request(wire_name: str, body: bytes, known: dict[UUID, ServiceView]) -> RequestingEvent:
    """Reads an event; an amendment of the earlier contract is about the one service that is known."""
    parsed = json.loads(body)
    if known:
        requested = next(iter(known.values())).requested
        parsed = with_services(parsed, requested.service.value, requested.role.value)
    return _REQUESTING[wire_name].read(with_services(parsed))


def _add_services(services: dict[UUID, ServiceView], event: RequestingEvent) -> None:
    """Replaces the list of services by that of the event; those that it lacks have ended."""
    added = event.data.added if isinstance(event, ReferralAmendedV1) else ()
    for requested in event.data.services:
        known = services.get(requested.service_id)
        if known:
            known.requested = requested
        else:
            services[requested.service_id] = ServiceView(requested, event.time, requested.service_id in added)
    listed = {one.service_id for one in event.data.services}
    for service_id, view in services.items():
        view.is_listed = service_id in listed


def _services_in(event: dict[str, Any]) -> list[UUID]:
    return [UUID(one["service_id"]) for one in with_services(event)["data"].get("services", ())]


def _add_replies(
    services: dict[UUID, ServiceView], stream: ReferralStream, refusals: Iterable[ReferralReplyRefusedV1]
) -> None:
    """Applies the replies in their order, except to the services to which the city refused them."""
    refused = {(one.data.reply_id, service_id) for one in refusals for service_id in one.data.service_ids or services}
    for wire_name, body in stream.replies:
        if wire_name in _ABOUT_NO_SERVICE:
            continue
        reply = json.loads(body)
        named = [UUID(one) for one in reply["data"].get("service_ids", ())]
        about = [services[one] for one in named if one in services] if named else list(services.values())
        for view in about:
            if (named or view.allows(wire_name)) and (UUID(reply["id"]), view.service_id) not in refused:
                view.add_reply(wire_name)


def _list_unacknowledged(stream: ReferralStream) -> list[dict[str, Any]]:
    """Lists the withdrawals of a consent that no acknowledgement of this agency is about."""
    withdrawals = [json.loads(body) for name, body in stream.events if name == ReferralConsentWithdrawnV1.WIRE_NAME]
    number_of = {one["id"]: number for number, one in enumerate(withdrawals, 1)}
    acknowledged = 0
    for wire_name, body in stream.replies:
        if wire_name == ReplyWithdrawalAcknowledgedV1.WIRE_NAME:
            # Earlier versions of the kit did not name the withdrawal: each counts for one.
            number = number_of.get(json.loads(body).get("causationid"), acknowledged + 1)
            acknowledged = max(acknowledged, number)
    return withdrawals[acknowledged:]


def _in_order(services: dict[UUID, ServiceView], listed: Sequence[UUID]) -> tuple[ServiceView, ...]:
    ended = [service_id for service_id in services if service_id not in listed]
    return tuple(services[service_id] for service_id in (*listed, *ended))


def _describe(refusal: ReferralReplyRefusedV1, services: dict[UUID, ServiceView]) -> RefusedReply:
    concerned = [services[one].requested.service for one in refusal.data.service_ids if one in services]
    return RefusedReply(refusal.data.explanation, tuple(concerned))
