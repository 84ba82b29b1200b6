"""The replies that an agency can give about a referral and its services."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional
from uuid import UUID, uuid4, uuid5

from simpul_agency.received_event import listed_services, new_services_of
from simpul_agency.records import ReplyDraft
from simpul_agency.reply_factory import ReplyFactory
from simpul_schema import Event, SectionContent
from simpul_schema.messages import (
    ReferralAmendedV1,
    ReplyDossierDeletedV1,
    ReplyNoteAddedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.reply import CaseNote
from simpul_schema.names import subject_of_dossier, subject_of_referral
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome

ServiceIds = Optional[Iterable[UUID]]
"""The services that a reply is about, by `service_id`."""


@dataclass(frozen=True)
class AnswerableServices:
    """The services that an answer without ids is about: those that this agency knows.

    An answer names them, so that it never is about a service that the city adds at the same time.
    """

    unanswered: Sequence[UUID]
    not_ended: Sequence[UUID]

    @classmethod
    def of_event(cls, event: Event) -> "Optional[AnswerableServices]":
        """Returns the services of an event; None when the event is about no service."""
        listed = listed_services(event)
        if listed is None:
            return None
        ids = [one.service_id for one in listed]
        is_amendment = isinstance(event, ReferralAmendedV1)
        return cls([one.service_id for one in new_services_of(event)] if is_amendment else ids, ids)


class Reply:
    """Collects the replies to one referral.

    They are stored in one transaction with the result of the handler, and published until the broker confirms them.
    The replies of a handler that fails are dropped, and the same reply given twice is sent once. `services` names the
    services that a reply is about by their `service_id`; a reply about an empty list is not sent.
    """

    def __init__(
        self,
        about: Event,
        factory: ReplyFactory,
        *,
        now: datetime,
        idempotency_key: str = "",
        services: Optional[AnswerableServices] = None,
        withdrawal_id: Optional[UUID] = None,
    ) -> None:
        """Replies under an idempotency key that was used before are not sent again.

        `services` are those of the referral as this agency knows it, and by default those of the event. `withdrawal_id`
        is the withdrawn consent that awaits an acknowledgement, and by default the event.
        """
        self._idempotency_key = idempotency_key
        self._about = about
        self._factory = factory
        self._now = now
        self._services = services or AnswerableServices.of_event(about)
        self._withdrawal_id = withdrawal_id
        self._drafts: list[ReplyDraft] = []
        self._given: list[tuple[type[Event], dict[str, object]]] = []

    @property
    def drafts(self) -> tuple[ReplyDraft, ...]:
        """The replies given so far."""
        return tuple(self._drafts)

    def mark_delivered(self) -> None:
        """The agency's machine has stored an event that asks for services; the kit sends this by itself."""
        self._add(ReplyReferralDeliveredV1)

    def mark_seen(self) -> None:
        """A person opened the referral for the first time."""
        self._add(ReplyReferralSeenV1)

    def accept(self, services: ServiceIds = None) -> None:
        """The agency accepts these services; without ids, those that wait for an answer.

        In a handler these are the services that the event asks for: none when an amendment added none.
        """
        known = self._services.unanswered if services is None and self._services else services
        self._add_about(known, ReplyReferralAcceptedV1)

    def decline(self, reason: DeclineReason, services: ServiceIds = None) -> None:
        """The agency cannot provide these services; without ids, none that has not ended. The city reroutes each."""
        known = self._services.not_ended if services is None and self._services else services
        self._add_about(known, ReplyReferralDeclinedV1, reason=reason)

    def schedule(self, appointment: datetime, services: ServiceIds = None) -> None:
        """The child has an appointment at this time, which carries its zone; without ids, for all that was accepted."""
        self._add_about(services, ReplyReferralScheduledV1, scheduled_for=appointment)

    def mark_unattended(self, services: ServiceIds = None) -> None:
        """The child did not come to the appointment."""
        self._add_about(services, ReplyReferralUnattendedV1)

    def start(self, services: ServiceIds = None) -> None:
        """These services have started, first aid counts; without ids, all that were accepted."""
        self._add_about(services, ReplyReferralStartedV1)

    def complete(self, outcome: ReferralOutcome, services: ServiceIds = None) -> None:
        """These services have ended; without ids, all that were accepted."""
        self._add_about(services, ReplyReferralCompletedV1, outcome=outcome)

    def acknowledge_withdrawal(self) -> None:
        """The agency has stopped processing after the consent was withdrawn."""
        self._add(ReplyWithdrawalAcknowledgedV1, cause=self._withdrawal_id)

    def add_note(self, about: DossierSection, text: str) -> None:
        """The agency notes something for those who may hold this section of the dossier, while it serves the case."""
        self._add(ReplyNoteAddedV1, section=CaseNote(about=about, text=text))

    def confirm_deletion(self, withdrawal_id: UUID) -> None:
        """The agency has deleted what was withdrawn from the dossier; the kit gives this reply itself."""
        subject = subject_of_dossier(self._about.data.referral_id)  # type: ignore[attr-defined]  # all have data
        self._add(ReplyDossierDeletedV1, subject=subject, withdrawal_id=withdrawal_id)

    def _add_about(self, services: ServiceIds, message: type[Event], **details: Any) -> None:
        """Adds a reply about these services; None stands for every service to which the city can apply it."""
        ids = () if services is None else tuple(services)
        if ids or services is None:
            self._add(message, subject="", **details, service_ids=ids)

    def _add(
        self,
        message: type[Event],
        *,
        subject: str = "",
        cause: Optional[UUID] = None,
        section: Optional[SectionContent] = None,
        **details: Any,
    ) -> None:
        about, data = self._about, self._about.data  # type: ignore[attr-defined]  # every message class has data
        given = (message, {**details, "section": section})
        if given in self._given:
            return
        self._given.append(given)
        key = self._idempotency_key
        self._drafts.append(
            self._factory.create_draft(
                message,
                {"referral_id": data.referral_id, "agency": data.agency, **details},
                # The refusal of a reply has its own stream; a reply to it belongs to the referral's.
                subject=subject or subject_of_referral(data.referral_id),
                case_id=about.correlationid,
                cause=cause or about.id,
                now=self._now,
                event_id=uuid5(about.id, f"{key} {len(self._drafts)}") if key else uuid4(),
                section=section,
            )
        )
