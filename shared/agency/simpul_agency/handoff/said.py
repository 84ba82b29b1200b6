"""What other software says about a referral, in words that every language can write."""

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, Optional
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator

from simpul_agency.received import Reply
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome


class NotUnderstood(Exception):
    """It is no reply of the contract; the message names the fields, never their values."""


class Word(str, Enum):
    """What can be said."""

    SEEN = "seen"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    SCHEDULED = "scheduled"
    UNATTENDED = "unattended"
    STARTED = "started"
    COMPLETED = "completed"
    WITHDRAWAL_ACKNOWLEDGED = "withdrawal_acknowledged"


Say = Callable[["Said", str], Awaitable[None]]
"""Says it to the city, once for each name; NotUnderstood when the referral is not one of this agency's."""

_NEEDS: Mapping[Word, str] = {
    Word.DECLINED: "reason",
    Word.SCHEDULED: "scheduled_for",
    Word.COMPLETED: "outcome",
}


class Said(BaseModel):
    """Such as `{"reply": "declined", "reason": "no_capacity"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reply: Word
    referral_id: Optional[UUID] = None
    """Which one; not needed in the answer to an offer."""
    reason: Optional[DeclineReason] = None
    outcome: Optional[ReferralOutcome] = None
    scheduled_for: Optional[AwareDatetime] = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Said":
        needed = _NEEDS.get(self.reply)
        if needed and getattr(self, needed) is None:
            msg = f"{self.reply.value} needs {needed}"
            raise ValueError(msg)
        return self

    @classmethod
    def read(cls, words: Any) -> "Said":
        """From JSON, as text or as a mapping; NotUnderstood when it is none."""
        try:
            if isinstance(words, (str, bytes)):
                return cls.model_validate_json(words)
            return cls.model_validate(words)
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            raise NotUnderstood("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)) from error

    @property
    def digest(self) -> str:
        """The same for the same words."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def say(self, reply: Reply) -> None:
        """In the words of the kit."""
        if self.reply is Word.DECLINED and self.reason is not None:
            reply.decline(self.reason)
        elif self.reply is Word.SCHEDULED and self.scheduled_for is not None:
            reply.schedule(self.scheduled_for)
        elif self.reply is Word.COMPLETED and self.outcome is not None:
            reply.complete(self.outcome)
        else:
            plain = {
                Word.SEEN: reply.seen, Word.ACCEPTED: reply.accept, Word.UNATTENDED: reply.unattended,
                Word.STARTED: reply.start, Word.WITHDRAWAL_ACKNOWLEDGED: reply.acknowledge_withdrawal,
            }  # fmt: skip
            plain[self.reply]()
