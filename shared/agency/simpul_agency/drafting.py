"""What an agency is about to say, whole and checked; only its place in its stream comes later."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from simpul_agency.records import Draft, SignedBody
from simpul_schema import Event
from simpul_schema.envelope import wire_bytes


@dataclass(frozen=True)
class Voice:
    """How an agency speaks: under its source, signed with its key."""

    source: str
    sign: Callable[[bytes], str]
    """Gives the signature that travels beside these bytes."""

    def draft(
        self,
        message: type[Event],
        data: dict[str, Any],
        *,
        subject: str,
        case_id: UUID,
        now: datetime,
        cause: UUID | None = None,
        event_id: UUID | None = None,
    ) -> Draft:
        """Made here, so that a mistake in what is said shows where it was made: pydantic's ValidationError."""
        event = message.model_validate(
            {
                "id": event_id or uuid4(),
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

        def finish(position: int) -> SignedBody:
            body = wire_bytes(event.model_copy(update={"sequence": f"{position:010d}"}))
            return SignedBody(body, self.sign(body))

        return Draft(subject, message.WIRE_NAME, str(event.id), str(case_id), finish)
