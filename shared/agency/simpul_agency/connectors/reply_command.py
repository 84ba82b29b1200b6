"""A reply as other software writes it, in JSON or in the columns of a table."""

import json
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Optional
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simpul_agency.reply import Reply
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome


class InvalidReply(Exception):
    """The reply cannot be sent; the message names the fields and never their values."""


class ReplyKind(str, Enum):
    """What an agency can reply."""

    SEEN = "seen"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    SCHEDULED = "scheduled"
    UNATTENDED = "unattended"
    STARTED = "started"
    COMPLETED = "completed"
    WITHDRAWAL_ACKNOWLEDGED = "withdrawal_acknowledged"
    NOTE = "note"


SubmitReply = Callable[["ReplyCommand", str], Awaitable[None]]
"""Sends a reply to the city, once for each idempotency key; raises InvalidReply for an unknown referral."""

REQUIRED_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    ReplyKind.DECLINED: ("reason",),
    ReplyKind.SCHEDULED: ("scheduled_for",),
    ReplyKind.COMPLETED: ("outcome",),
    ReplyKind.NOTE: ("about", "text"),
}
"""The fields that a kind of reply cannot do without."""
ABOUT_THE_REFERRAL: Final = (ReplyKind.SEEN, ReplyKind.WITHDRAWAL_ACKNOWLEDGED, ReplyKind.NOTE)
"""Replies that name no services."""
_SEPARATOR: Final = "+"
"""Between several values in one column."""


class ReplyCommand(BaseModel):
    """A reply such as `{"reply": "declined", "reason": "no_capacity", "service_ids": ["..."]}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reply: ReplyKind
    referral_id: Optional[UUID] = None
    """The referral it is about; may be left out in the answer to an event."""
    service_ids: Optional[tuple[UUID, ...]] = Field(default=None, min_length=1)
    """The services it is about; without it, all that the reply can be about."""
    reason: Optional[DeclineReason] = None
    outcome: Optional[ReferralOutcome] = None
    scheduled_for: Optional[AwareDatetime] = None
    about: Optional[DossierSection] = None
    """Of a note: the section of the dossier that it adds to, whose readers may read it."""
    text: Optional[str] = Field(default=None, min_length=1, max_length=MAX_NOTE, repr=False)
    """Of a note."""

    @field_validator("service_ids", mode="before")
    @classmethod
    def _read_column(cls, value: Any) -> Any:
        return value.split(_SEPARATOR) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_no_service_in_vain(self) -> "ReplyCommand":
        if self.service_ids and self.reply in ABOUT_THE_REFERRAL:
            msg = f"{self.reply.value} is about the whole referral and takes no service_ids"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_required_field(self) -> "ReplyCommand":
        for required in REQUIRED_FIELDS.get(self.reply, ()):
            if getattr(self, required) is None:
                msg = f"{self.reply.value} needs {required}"
                raise ValueError(msg)
        return self

    @classmethod
    def parse_all(cls, content: bytes) -> "list[ReplyCommand]":
        """Parses JSON text with one reply or a list of replies; raises InvalidReply."""
        try:
            parsed = json.loads(content)
        except ValueError as error:
            msg = "the reply is not JSON"
            raise InvalidReply(msg) from error
        return [cls.parse(one) for one in (parsed if isinstance(parsed, list) else [parsed])]

    @classmethod
    def parse(cls, content: Any) -> "ReplyCommand":
        """Parses JSON values, or the columns of a table; raises InvalidReply."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            raise InvalidReply("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)) from error

    @property
    def digest(self) -> str:
        """A short digest of the content."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def apply_to(self, reply: Reply) -> None:
        """Gives this reply."""
        services = self.service_ids
        if self.reply is ReplyKind.DECLINED and self.reason is not None:
            reply.decline(self.reason, services)
        elif self.reply is ReplyKind.SCHEDULED and self.scheduled_for is not None:
            reply.schedule(self.scheduled_for, services)
        elif self.reply is ReplyKind.COMPLETED and self.outcome is not None:
            reply.complete(self.outcome, services)
        elif self.reply is ReplyKind.NOTE and self.about is not None and self.text is not None:
            reply.add_note(self.about, self.text)
        else:
            without_details: dict[ReplyKind, Callable[[], None]] = {
                ReplyKind.SEEN: reply.mark_seen,
                ReplyKind.ACCEPTED: lambda: reply.accept(services),
                ReplyKind.UNATTENDED: lambda: reply.mark_unattended(services),
                ReplyKind.STARTED: lambda: reply.start(services),
                ReplyKind.WITHDRAWAL_ACKNOWLEDGED: reply.acknowledge_withdrawal,
            }
            without_details[self.reply]()
