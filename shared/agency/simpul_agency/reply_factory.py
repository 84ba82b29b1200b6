"""Creates an agency's replies: complete, validated, and signed as soon as their sequence is known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from simpul_agency.records import ReplyDraft, SignedBody
from simpul_schema import Event, SectionContent
from simpul_schema.envelope import wire_bytes
from simpul_schema.names import subject_of_agency
from simpul_seal import Directory, seal_section


@dataclass(frozen=True)
class ReplyFactory:
    """Creates replies under the agency's source and signs them with its key."""

    agency: str
    source: str
    sign: Callable[[bytes], str]
    """Returns the signature that travels with these bytes."""
    directory: Directory = field(default_factory=lambda: Directory([]))
    """The keys of the services to which sections are sealed."""

    def create_draft(
        self,
        message: type[Event],
        data: dict[str, Any],
        *,
        subject: str,
        case_id: UUID,
        now: datetime,
        cause: UUID | None = None,
        event_id: UUID | None = None,
        section: SectionContent | None = None,
    ) -> ReplyDraft:
        """Creates a reply, with a section that is sealed to the service that it is for.

        Raises pydantic's ValidationError at once, where the mistake was made, and UnknownKey while the directory has no
        key of the service.
        """
        event_id = event_id or uuid4()
        if section is not None:
            data = {**data, "sealed": self._seal(section, event_id, case_id, now)}
        event = message.model_validate(
            {
                "id": event_id,
                "source": self.source,
                "type": message.WIRE_NAME,
                "subject": subject,
                "time": now,
                "sequence": f"{1:010d}",
                "correlationid": case_id,
                "causationid": cause,
                "data": data,
            }
        )

        def sign_with_sequence(sequence: int) -> SignedBody:
            body = wire_bytes(event.model_copy(update={"sequence": f"{sequence:010d}"}))
            return SignedBody(body, self.sign(body))

        return ReplyDraft(subject, message.WIRE_NAME, str(event.id), str(case_id), sign_with_sequence)

    def _seal(self, section: SectionContent, event_id: UUID, case_id: UUID, now: datetime) -> dict[str, Any]:
        content, recipient = section.model_dump_json().encode(), self.directory.current(section.RECIPIENT, now)
        return {
            section.SECTION: seal_section(
                content, recipient, event_id=event_id, case_id=case_id, section=section.SECTION
            )
        }

    def create_agency_draft(
        self, message: type[Event], data: dict[str, Any], *, now: datetime, event_id: UUID | None = None
    ) -> ReplyDraft:
        """Creates a reply about no referral, in the agency's own stream."""
        return self.create_draft(
            message,
            {"agency": self.agency, **data},
            subject=subject_of_agency(self.agency),
            case_id=uuid5(NAMESPACE_OID, self.agency),
            now=now,
            event_id=event_id,
        )
