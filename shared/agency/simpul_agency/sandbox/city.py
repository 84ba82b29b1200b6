"""A city as one agency sees it, on a real broker: it offers, changes its mind, beats, judges replies, sends again.

It speaks the published contract and holds real keys, so a consumer cannot tell it from Kediri's; only the children are
invented. What the broker holds is what a city declares for an agency (a test compares the two).
"""

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Optional
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.broker_api import BrokerApi
from simpul_agency.sandbox.scenarios import SCENARIOS
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.messages.account import MOST_IN_ACCOUNT
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import (
    DEAD,
    EVENTS,
    REFERRALS,
    REPLIES,
    agency_inbox,
    broker_user,
    own_queues_pattern,
    own_replies_pattern,
    referral_binding,
    routing_key,
    service_inbox,
    subject_of_agency,
    subject_of_referral,
    subject_of_reply,
    topic_of,
)
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import ReplyRefusal
from simpul_seal import (
    SIGNATURE_HEADER,
    Directory,
    KeyRing,
    Rejection,
    generate,
    seal_section,
    sign,
    signature_in,
    verify_event,
)

CITY: Final = "kediri"
NEIGHBOUR: Final = "another-agency"
"""Has keys and a queue of its own, and nothing of this agency's."""
PUBLISH_WITHIN: Final = 10.0

_NOTHING: Final = "^$"
_ANSWERS: Final[Mapping[str, str]] = {
    "reply.referral.accepted.v1": "referral.accepted.v1",
    "reply.referral.declined.v1": "referral.declined.v1",
    "reply.referral.started.v1": "referral.started.v1",
    "reply.referral.completed.v1": "referral.completed.v1",
}


def utc_now() -> datetime:
    """The moment, aware."""
    return datetime.now(timezone.utc)


def wire_time(moment: datetime) -> str:
    """As it stands in an event."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Heard:
    """Something the agency said."""

    event: dict[str, Any]
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    user: str
    """Who the broker says it was."""
    content_type: str
    is_persistent: bool
    problem: str = ""
    """Why it is no reply of the contract; empty when it is one."""

    @property
    def type(self) -> str:
        """Its wire name."""
        return str(self.event.get("type"))

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self.event.get("subject"))


@dataclass(frozen=True)
class Sent:
    """Something that was sent to the agency."""

    number: int
    event: dict[str, Any]
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    key: str
    at: datetime


@dataclass(frozen=True)
class Published:
    """A message as it went out."""

    routing_key: str
    body: bytes = field(repr=False)
    signature: str = field(repr=False)


class SimulatedCity:
    """Opened on the virtual host of `amqp_url`, which it fills and does not clean."""

    def __init__(self, amqp_url: str, api: BrokerApi, agency: str) -> None:
        self.agency = agency
        self.heard: list[Heard] = []
        self.judges = True
        """Whether it says what became of replies, as routing does."""
        self.sends_again = True
        """Whether it answers requests for a window."""
        self.told: Callable[[Heard], None] = lambda _: None
        """Called with each reply."""
        self.published: list[Published] = []
        """Everything, as it went out."""
        self._amqp_url = amqp_url
        self._api = api
        self._sent: list[Sent] = []
        self._accounted = 0
        self._last_account = b"", ""
        self._streams: dict[str, int] = {}
        self._changed = asyncio.Event()
        now = utc_now()
        validity = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=365)}
        pairs = {party: generate(party, **validity) for party in ("routing", "intake", agency, NEIGHBOUR)}
        outdated = generate("routing", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
        stranger = generate("routing", **validity)
        self.rings: dict[str, KeyRing] = {party: ring for party, (ring, _) in pairs.items()}
        # Keys with which nothing may be signed: one has run out, one was never enrolled.
        self.rings |= {"outdated": outdated[0], "stranger": stranger[0]}
        self.directory = Directory([*(public for _, public in pairs.values()), outdated[1]])

    @property
    def inbox(self) -> str:
        """The agency's queue."""
        return agency_inbox(self.agency)

    async def open(self) -> None:
        """Declare what a city declares for an agency, and hear its replies from now on."""
        self._connection = await aio_pika.connect_robust(self._amqp_url)
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        for name in (REFERRALS, REPLIES, DEAD):
            await self._channel.declare_exchange(name, "topic", durable=True)
        quorum = {"x-queue-type": "quorum"}
        dead = await self._channel.declare_queue(DEAD, durable=True, arguments=quorum)
        await dead.bind(DEAD, "#")
        for agency in (self.agency, NEIGHBOUR):
            queue = await self._channel.declare_queue(agency_inbox(agency), durable=True, arguments=quorum)
            await queue.bind(REFERRALS, referral_binding(agency))
        ear = await self._channel.declare_queue(service_inbox("routing"), durable=True, arguments=quorum)
        await ear.bind(REPLIES, "reply.#")
        policy = {"dead-letter-exchange": DEAD, "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
        body = {"pattern": r"^.+\.inbox$", "definition": policy | {"delivery-limit": 100}, "apply-to": "queues"}
        await self._api.call("PUT", "policies", "{vhost}", "simpul-inbox", body=body)
        await ear.consume(self._hear)

    async def close(self) -> None:
        """Stop hearing."""
        await self._connection.close()

    async def admit(self) -> str:
        """Give the agency its account, as `simpul agency add` does; returns its address with a new password."""
        password, user = secrets.token_urlsafe(24), broker_user(self.agency)
        await self._api.call("PUT", "users", user, body={"password": password, "tags": ""})
        await self._api.call("PUT", "permissions", "{vhost}", user, body=permissions_of(self.agency))
        for exchange, key in topics_of(self.agency).items():
            body = {"exchange": exchange, "write": key, "read": _NOTHING}
            await self._api.call("PUT", "topic-permissions", "{vhost}", user, body=body)
        parts = urlsplit(self._amqp_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))

    async def cut_connections(self) -> int:
        """End the agency's connections as a broker's restart does; returns how many there were."""
        user = broker_user(self.agency)
        found = await self._api.call("GET", "connections", "username", user) or []
        await self._api.call("DELETE", "connections", "username", user)
        return len(found)

    async def consumers(self) -> int:
        """How many take from the agency's queue."""
        channel = await self._connection.channel()
        try:
            found = await channel.declare_queue(self.inbox, passive=True)
            return found.declaration_result.consumer_count or 0
        finally:
            await channel.close()

    async def consumer_details(self) -> list[dict[str, Any]]:
        """How they take: `ack_required` and `prefetch_count`."""
        for _ in range(100):
            found = await self._api.call("GET", "consumers", "{vhost}") or []
            own = [one for one in found if one["queue"]["name"] == self.inbox]
            if own:
                return own
            # The broker's statistics lag for some seconds.
            await asyncio.sleep(0.1)
        return []

    async def empty(self) -> None:
        """Take everything out of the agency's queue and the dead letters."""
        for name in (self.inbox, DEAD):
            await (await self._channel.get_queue(name, ensure=False)).purge()

    async def waiting(self, queue: str) -> int:
        """How many messages a queue holds and nobody has taken."""
        channel = await self._connection.channel()
        try:
            found = await channel.declare_queue(queue, passive=True)
            return found.declaration_result.message_count or 0
        finally:
            await channel.close()

    def offer(self, scenario: int = 1, **more: Any) -> dict[str, Any]:
        """`referral.offered.v1` about an invented child, unsigned; `more` replaces fields of its data."""
        child = SCENARIOS[(scenario - 1) % len(SCENARIOS)]
        referral_id, case_id, now = uuid4(), uuid4(), utc_now()
        data = {
            "referral_id": str(referral_id), "case_id": str(case_id), "agency": self.agency,
            "service": child["service"], "role": "lead", "urgency": child["urgency"], "agreement": "2026-11",
            "reroute_count": 0, "answer_by": wire_time(now + timedelta(minutes=15)),
        }  # fmt: skip
        event = self.about(subject_of_referral(referral_id), case_id, "referral.offered.v1", data | more)
        return event | {"data": event["data"] | {"sealed": {"facts": self.sealed(event, child["facts"])}}}

    def then(self, offer: dict[str, Any], wire_name: str, **data: Any) -> dict[str, Any]:
        """The next event about an offered referral, unsigned."""
        known = {name: offer["data"][name] for name in ("referral_id", "case_id", "agency")}
        event = self.about(offer["subject"], UUID(offer["correlationid"]), wire_name, known | data)
        return event | {"causationid": offer["id"]}

    def about(self, subject: str, case_id: UUID, wire_name: str, data: dict[str, Any]) -> dict[str, Any]:
        """An event with the next place in its stream, unsigned."""
        self._streams[subject] = self._streams.get(subject, 0) + 1
        return {
            "specversion": "1.0", "id": str(uuid4()), "source": f"/{CITY}/routing", "type": wire_name,
            "subject": subject, "time": wire_time(utc_now()), "datacontenttype": "application/json",
            "sequence": f"{self._streams[subject]:010d}", "correlationid": str(case_id), "data": {**data, "sealed": {}},
        }  # fmt: skip

    def sealed(self, event: dict[str, Any], told: Mapping[str, Any], recipient: str = "") -> dict[str, str]:
        """Facts sealed to the agency, or to somebody else."""
        unknown: dict[str, Any] = dict.fromkeys(ReferralFacts.model_fields, "unknown")
        facts = unknown | {
            "violence": ["physical"], "implied_violence": [], "kecamatan": "Mojoroto", "mediation_locked": True,
        }  # fmt: skip
        key = self.directory.current(recipient or self.agency, utc_now())
        content = json.dumps(facts | dict(told)).encode()
        event_id, case_id = UUID(event["id"]), UUID(event["correlationid"])
        return seal_section(content, key, event_id=event_id, case_id=case_id, section="facts")

    async def send(
        self, event: dict[str, Any], *, by: str = "routing", is_lost: bool = False, is_counted: bool = True
    ) -> Sent:
        """Sign and publish; with `is_lost` it is only accounted for, without `is_counted` only published."""
        sent = self._prepared(event, *self.signed(event, by=by))
        if is_counted:
            self._sent.append(sent)
        if not is_lost:
            await self.publish(sent.body, sent.signature, sent.key)
        return sent

    def signed(self, event: dict[str, Any], *, by: str = "routing") -> tuple[bytes, str]:
        """An event as it travels, and the signature beside it."""
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        return body, sign(body, self.rings[by])

    async def repeat(self, event: dict[str, Any]) -> None:
        """Publish once more what was sent, the same bytes."""
        sent = next(one for one in self._sent if one.event is event)
        await self.publish(sent.body, sent.signature, sent.key)

    async def publish(self, body: bytes, signature: str = "", key: str = "", exchange: str = REFERRALS) -> None:
        """Publish bytes as they are, counted nowhere; without a signature no header goes with them."""
        target = await self._channel.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(
            body, message_id=str(uuid4()), content_type=CONTENT_TYPE, delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={SIGNATURE_HEADER: signature} if signature else {},
        )  # fmt: skip
        under = key or routing_key(REFERRALS, "referral.offered.v1", self.agency)
        self.published.append(Published(under, body, signature))
        await target.publish(message, under, timeout=PUBLISH_WITHIN)

    async def beat(self, allowance: float = 120.0) -> None:
        """Account for what was sent since the last time; another account comes within `allowance` seconds."""
        fresh = self._sent[self._accounted :]
        self._accounted = len(self._sent)
        await self._account(fresh[:MOST_IN_ACCOUNT], allowance)

    async def repeat_account(self) -> None:
        """Publish the last account once more, the same bytes."""
        await self.publish(*self._last_account, routing_key(REFERRALS, "referral.heartbeat.v1", self.agency))

    def lose_account(self) -> None:
        """Account for what was sent since the last time, and lose the account."""
        self._accounted = len(self._sent)

    async def until(self, holds: Callable[[], bool], within: float) -> bool:
        """Whether it held in time; looked at with each reply."""
        deadline = asyncio.get_running_loop().time() + within
        while not holds():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 0.2))
            except asyncio.TimeoutError:
                continue
        return True

    def replies_to(self, event: dict[str, Any]) -> list[Heard]:
        """What was said about a referral, in its order; the same event said again counts once."""
        said = {one.event.get("id"): one for one in self.heard if one.subject == event["subject"]}
        return sorted(said.values(), key=lambda one: str(one.event.get("sequence")))

    def words_to(self, event: dict[str, Any]) -> list[str]:
        """The same as words, such as `accepted`."""
        return [one.type.removeprefix("reply.referral.").removesuffix(".v1") for one in self.replies_to(event)]

    def said(self, wire_name: str) -> list[dict[str, Any]]:
        """The data of the replies of a type."""
        return [one.event["data"] for one in self.heard if one.type == wire_name and not one.problem]

    def write_files(self, folder: Path, amqp_url: str) -> dict[str, str]:
        """Everything the agency needs, in a folder; returns its settings."""
        folder.mkdir(parents=True, exist_ok=True)
        key_file, directory_file = folder / "agency.key.json", folder / "directory.json"
        key_file.unlink(missing_ok=True)
        self.rings[self.agency].write(key_file)
        self.directory.write(directory_file)
        return {
            "SIMPUL_AGENCY_CITY": CITY,
            "SIMPUL_AGENCY_CODE": self.agency,
            "SIMPUL_AGENCY_AMQP_URL": amqp_url,
            "SIMPUL_AGENCY_KEY_FILE": str(key_file.resolve()),
            "SIMPUL_AGENCY_DIRECTORY_FILE": str(directory_file.resolve()),
            # For consumers in other languages: the published schemas, one file for each type.
            "SIMPUL_AGENCY_SCHEMA_DIR": str(files("simpul_schema") / "json_schema"),
            "SIMPUL_AGENCY_STORE_URL": f"sqlite:///{(folder / 'agency.db').resolve()}",
        }

    def _prepared(self, event: dict[str, Any], body: bytes, signature: str) -> Sent:
        data = event.get("data")
        words = data if isinstance(data, dict) and {"service", "urgency"} <= data.keys() else {}
        topic = topic_of(words["service"], words["urgency"]) if words else ""
        key = routing_key(REFERRALS, str(event["type"]), self.agency, topic)
        return Sent(len(self._sent) + 1, event, body, signature, key, utc_now())

    async def _account(self, sent: list[Sent], allowance: float) -> None:
        now = utc_now()
        data = {
            "agency": self.agency, "last_number": len(self._sent),
            "events": [{"number": one.number, "event_id": one.event["id"], "is_withheld": False} for one in sent],
            "next_by": wire_time(now + timedelta(seconds=allowance)),
        }  # fmt: skip
        stream = uuid5(NAMESPACE_OID, self.agency)
        event = self.about(subject_of_agency(self.agency), stream, "referral.heartbeat.v1", data)
        self._last_account = self.signed(event)
        await self.publish(*self._last_account, routing_key(REFERRALS, "referral.heartbeat.v1", self.agency))

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        async with message.process():
            heard = self._understood(message)
            self.heard.append(heard)
            self._changed.set()
            self.told(heard)
            if not heard.problem:
                await self._answer(heard)

    def _understood(self, message: AbstractIncomingMessage) -> Heard:
        signature = signature_in(message.headers)
        try:
            event = json.loads(message.body)
        except ValueError:
            event = {}
        return Heard(
            event if isinstance(event, dict) else {},
            message.body,
            signature,
            message.user_id or "",
            message.content_type or "",
            message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT,
            self._problem_of(message.body, signature),
        )

    def _problem_of(self, body: bytes, signature: str) -> str:
        """Why the city would park it."""
        outcome = verify_event(body, signature, self.directory, utc_now())
        if isinstance(outcome, Rejection):
            return f"{outcome.reason.label('en')}{': ' if outcome.detail else ''}{outcome.detail}"
        if outcome.producer.party != self.agency:
            return "signed by, or said in the name of, another party"
        return ""

    async def _answer(self, heard: Heard) -> None:
        data = heard.event["data"]
        if heard.type == "reply.window.requested.v1" and self.sends_again:
            await self._send_window(data)
        elif heard.type in _ANSWERS and self.judges:
            offer = next((one.event for one in self._sent if one.event.get("subject") == heard.subject), None)
            if offer is not None:
                await self.send(self.then(offer, _ANSWERS[heard.type], **_judged(heard)))

    async def _send_window(self, asked: dict[str, Any]) -> None:
        first, last = asked.get("first_number"), asked.get("last_number") or len(self._sent)
        since, until = asked.get("since"), asked.get("until") or wire_time(utc_now())
        found = [
            one for one in self._sent
            if (first and first <= one.number <= last) or (since and since <= wire_time(one.at) < until)
        ][:MOST_IN_ACCOUNT]  # fmt: skip
        for one in found:
            await self.publish(one.body, one.signature, one.key)
        await self._account(found, 120.0)

    def refusal_of(self, heard: Heard, reason: ReplyRefusal = ReplyRefusal.UNKNOWN_REFERRAL) -> dict[str, Any]:
        """`referral.reply_refused.v1`, unsigned."""
        data = {
            "referral_id": heard.event["data"]["referral_id"], "agency": self.agency, "reply_id": heard.event["id"],
            "reason": reason.value, "explanation": f"{reason.label('id')} / {reason.label('en')}",
        }  # fmt: skip
        case_id = UUID(heard.event["correlationid"])
        return self.about(subject_of_reply(UUID(heard.event["id"])), case_id, "referral.reply_refused.v1", data)


def _judged(heard: Heard) -> dict[str, Any]:
    """What routing adds when it records a reply."""
    data, moment = heard.event["data"], heard.event["time"]
    match heard.type:
        case "reply.referral.accepted.v1":
            return {"accepted_at": moment}
        case "reply.referral.declined.v1":
            return {"declined_at": moment, "reason": data["reason"]}
        case "reply.referral.started.v1":
            return {"started_at": moment}
        case _:
            return {"completed_at": moment, "outcome": data["outcome"]}


def permissions_of(agency: str) -> dict[str, str]:
    """What an agency may do on the broker: take from its own queues, and reply."""
    return {"configure": _NOTHING, "write": f"^{re.escape(REPLIES)}$", "read": own_queues_pattern(agency)}


def topics_of(agency: str) -> dict[str, str]:
    """Exchange -> the keys under which an agency may speak there."""
    return {EVENTS: _NOTHING, REFERRALS: _NOTHING, REPLIES: own_replies_pattern(agency)}


def line_of(heard: Heard) -> str:
    """One reply in one line."""
    if heard.problem:
        return f"<- {heard.type or '?'}: NOT A REPLY: {heard.problem}"
    data: Optional[dict[str, Any]] = heard.event.get("data")
    about = referral_code(UUID(data["referral_id"])) if data and "referral_id" in data else heard.subject
    more = " ".join(str(data[name]) for name in ("reason", "outcome", "scheduled_for") if data and name in data)
    return f"<- {heard.type} {about} {more}".rstrip()
