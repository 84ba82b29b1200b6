"""The replies that a simulated city has received, each with the reason why it would be parked."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.sandbox.events import utc_now
from simpul_agency.sandbox.referrals import kind_of
from simpul_schema.references import referral_code
from simpul_seal import Directory, Rejection, signature_in, verify_event


@dataclass(frozen=True)
class AgencyReply:
    """A message from the agency."""

    event: dict[str, Any]
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    user: str
    """The broker user that published it."""
    content_type: str
    is_persistent: bool
    problem: str = ""
    """Why the city would park it; empty for a valid reply."""

    @property
    def type(self) -> str:
        """The wire name."""
        return str(self.event.get("type"))

    @property
    def kind(self) -> str:
        """The short name, such as `accepted`."""
        return kind_of(self.type)

    @property
    def service_ids(self) -> list[str]:
        """The services that it names."""
        data = self.event.get("data")
        return list(data.get("service_ids", ())) if isinstance(data, dict) else []

    @property
    def subject(self) -> str:
        """The subject."""
        return str(self.event.get("subject"))

    def describe(self) -> str:
        """Describes the reply in one line."""
        if self.problem:
            return f"<- {self.type or '?'}: INVALID: {self.problem}"
        data: Optional[dict[str, Any]] = self.event.get("data")
        about = referral_code(UUID(data["referral_id"])) if data and "referral_id" in data else self.subject
        details = " ".join(str(data[name]) for name in ("reason", "outcome", "scheduled_for") if data and name in data)
        count = len(data.get("service_ids", ())) if data else 0
        services = f"{count} service{'s' if count > 1 else ''} " if count else ""
        return f"<- {self.type} {about} {services}{details}".rstrip()


class ReplyLog:
    """Keeps the replies of one agency in the order in which they arrived."""

    def __init__(self, agency: str, directory: Directory) -> None:
        self.replies: list[AgencyReply] = []
        self._agency = agency
        self._directory = directory
        self._changed = asyncio.Event()

    def add(self, message: AbstractIncomingMessage) -> AgencyReply:
        """Verifies and keeps a message."""
        signature = signature_in(message.headers)
        try:
            event = json.loads(message.body)
        except ValueError:
            event = {}
        reply = AgencyReply(
            event if isinstance(event, dict) else {},
            message.body,
            signature,
            message.user_id or "",
            message.content_type or "",
            message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT,
            self._problem_of(message.body, signature),
        )
        self.replies.append(reply)
        self._changed.set()
        return reply

    def replies_to(self, event: dict[str, Any]) -> list[AgencyReply]:
        """Returns the replies about a referral by their sequence; repeated events count once."""
        replies = {one.event.get("id"): one for one in self.replies if one.subject == event["subject"]}
        return sorted(replies.values(), key=lambda one: str(one.event.get("sequence")))

    def kinds_of_replies_to(self, event: dict[str, Any]) -> list[str]:
        """Returns the same as short names, such as `accepted`."""
        return [one.kind for one in self.replies_to(event)]

    def data_of(self, wire_name: str) -> list[dict[str, Any]]:
        """Returns the data of all valid replies of a type."""
        return [one.event["data"] for one in self.replies if one.type == wire_name and not one.problem]

    async def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Returns whether a condition came true in time; it is evaluated after each reply."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not condition():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 0.2))
            except asyncio.TimeoutError:
                continue
        return True

    def _problem_of(self, body: bytes, signature: str) -> str:
        outcome = verify_event(body, signature, self._directory, utc_now())
        if isinstance(outcome, Rejection):
            return f"{outcome.reason.label('en')}{': ' if outcome.detail else ''}{outcome.detail}"
        if outcome.producer.party != self._agency:
            return "signed or sent by another party"
        return ""
