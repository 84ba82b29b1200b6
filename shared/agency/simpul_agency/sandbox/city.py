"""A city as one agency sees it, on a real broker: it offers referrals, sends manifests and resends, answers replies.

It follows the published contract and has real keys, so a consumer cannot distinguish it from Kediri's; only the
children are invented. The broker holds what a city declares for an agency (a test compares the two).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.broker_api import BrokerApi
from simpul_agency.sandbox.broker import CityBroker
from simpul_agency.sandbox.events import CITY, EventFactory, references_to, utc_now, wire_time
from simpul_agency.sandbox.referrals import SentReferral
from simpul_agency.sandbox.replies import AgencyReply, ReplyLog
from simpul_schema.messages.delivery import MAX_MANIFEST_ENTRIES
from simpul_schema.names import REFERRALS, routing_key, topic_of
from simpul_seal import Directory, KeyRing, generate, sign

NEIGHBOUR: Final = "another-agency"
"""An enrolled agency with a queue of its own that shares nothing with the agency under test."""
RESEND_SILENCE: Final = 120.0
"""Seconds until the manifest after a resend is overdue."""
_RECORDED: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "accepted": lambda reply: {"accepted_at": reply["time"]},
    "declined": lambda reply: {"declined_at": reply["time"], "reason": reply["data"]["reason"]},
    "started": lambda reply: {"started_at": reply["time"]},
    "completed": lambda reply: {"completed_at": reply["time"], "outcome": reply["data"]["outcome"]},
}
"""Kind of reply -> what the city adds in the event by which it records it."""
_JUDGED: Final = (*_RECORDED, "scheduled", "unattended")


@dataclass(frozen=True)
class SentEvent:
    """A signed event with its manifest number."""

    number: int
    event: dict[str, Any]
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    routing_key: str
    sent_at: datetime


@dataclass(frozen=True)
class PublishedMessage:
    """A message as it was published."""

    routing_key: str
    body: bytes = field(repr=False)
    signature: str = field(repr=False)


class SimulatedCity:
    """Opened on the virtual host of `amqp_url`, which it fills and does not clean."""

    def __init__(self, amqp_url: str, api: BrokerApi, agency: str) -> None:
        self.agency = agency
        self.records_replies = True
        """Whether it answers replies with the events that routing sends, for each of their services."""
        self.on_reply: Callable[[AgencyReply], None] = lambda _: None
        """Called with each reply."""
        self.published: list[PublishedMessage] = []
        self.referrals: dict[str, SentReferral] = {}
        """What was sent about each referral, by its subject."""
        self._sent: list[SentEvent] = []
        self._listed = 0
        """How many of the sent events are in a manifest."""
        self._last_manifest = b"", ""
        now = utc_now()
        validity = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=365)}
        pairs = {party: generate(party, **validity) for party in ("routing", "intake", agency, NEIGHBOUR)}
        outdated = generate("routing", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
        stranger = generate("routing", **validity)
        self.rings: dict[str, KeyRing] = {party: ring for party, (ring, _) in pairs.items()}
        # Keys whose signatures are not valid: one has expired, one was never enrolled.
        self.rings |= {"outdated": outdated[0], "stranger": stranger[0]}
        self.directory = Directory([*(public for _, public in pairs.values()), outdated[1]])
        self.broker = CityBroker(amqp_url, api, agency, NEIGHBOUR)
        self.events = EventFactory(agency, self.directory)
        self.reply_log = ReplyLog(agency, self.directory)

    async def open(self) -> None:
        """Declares the queues, and receives replies from now on."""
        await self.broker.open(self._receive)

    async def close(self) -> None:
        """Disconnects."""
        await self.broker.close()

    async def send(
        self, event: dict[str, Any], *, by: str = "routing", is_lost: bool = False, is_listed: bool = True
    ) -> SentEvent:
        """Signs and publishes an event and lists it in the next manifest.

        With `is_lost` it is listed but not published; without `is_listed` it is published but not listed.
        """
        body, signature = self.sign_event(event, by=by)
        if is_listed and by == "routing":
            self._record_sent(event)
        sent = SentEvent(len(self._sent) + 1, event, body, signature, self._routing_key_of(event), utc_now())
        if is_listed:
            self._sent.append(sent)
        if not is_lost:
            await self.publish(sent.body, sent.signature, sent.routing_key)
        return sent

    def sign_event(self, event: dict[str, Any], *, by: str = "routing") -> tuple[bytes, str]:
        """Returns an event's bytes and their signature."""
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        return body, sign(body, self.rings[by])

    def referral_of(self, event: dict[str, Any]) -> SentReferral:
        """Returns what is known of the referral of an event."""
        if event["subject"] not in self.referrals:
            self._record_sent(event)
        return self.referrals[event["subject"]]

    async def repeat(self, event: dict[str, Any]) -> None:
        """Publishes the bytes of a sent event again."""
        sent = next(one for one in self._sent if one.event is event)
        await self.publish(sent.body, sent.signature, sent.routing_key)

    async def publish(self, body: bytes, signature: str = "", key: str = "", exchange: str = REFERRALS) -> None:
        """Publishes bytes that no manifest lists; without a signature they have no signature header."""
        key = key or routing_key(REFERRALS, "referral.offered.v1", self.agency)
        self.published.append(PublishedMessage(key, body, signature))
        await self.broker.publish(body, signature, key, exchange)

    async def publish_manifest(self, max_silence: float = 120.0) -> None:
        """Publishes a manifest of the events since the last one; the next comes within `max_silence` seconds."""
        unlisted = self._sent[self._listed :]
        self._listed = len(self._sent)
        await self._publish_manifest_of(unlisted[:MAX_MANIFEST_ENTRIES], max_silence)

    async def repeat_manifest(self) -> None:
        """Publishes the bytes of the last manifest again."""
        await self.publish(*self._last_manifest, self._manifest_key)

    def lose_manifest(self) -> None:
        """Lists the events since the last manifest in one that is never published."""
        self._listed = len(self._sent)

    def write_files(self, folder: Path, amqp_url: str) -> dict[str, str]:
        """Writes the files that the agency needs into a folder; returns its settings."""
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
            # The published schemas, one file for each type, for consumers in other languages.
            "SIMPUL_AGENCY_SCHEMA_DIR": str(files("simpul_schema") / "json_schema"),
            "SIMPUL_AGENCY_STORE_URL": f"sqlite:///{(folder / 'agency.db').resolve()}",
        }

    @property
    def _manifest_key(self) -> str:
        return routing_key(REFERRALS, "agency.manifest.v1", self.agency)

    def _record_sent(self, event: dict[str, Any]) -> None:
        subject = event["subject"]
        if event["type"] in ("referral.offered.v1", "referral.amended.v1"):
            self.referrals.setdefault(subject, SentReferral(event))
        if subject in self.referrals:
            self.referrals[subject].add_event(event)

    def _routing_key_of(self, event: dict[str, Any]) -> str:
        """The topic is the first service of the event, or of its referral when the event lists none."""
        known = self.referrals.get(event["subject"])
        services = known.services if known else {}
        listed = event["data"].get("services") or list(services.values())
        first: dict[str, Any] = listed[0] if listed else {}
        urgency = first.get("urgency") or services.get(first.get("service_id", ""), {}).get("urgency")
        topic = topic_of(first["service"], urgency) if urgency else ""
        return routing_key(REFERRALS, str(event["type"]), self.agency, topic)

    async def _publish_manifest_of(self, sent: list[SentEvent], max_silence: float) -> None:
        listed = {one.number: one.event for one in sent}
        self._last_manifest = self.sign_event(self.events.create_manifest(len(self._sent), listed, max_silence))
        await self.publish(*self._last_manifest, self._manifest_key)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        async with message.process():
            reply = self.reply_log.add(message)
            self.on_reply(reply)
        # Outside: an answer that a slow broker does not take must not look like a message that the agency rejected.
        if not reply.problem:
            await self._answer(reply)

    async def _answer(self, reply: AgencyReply) -> None:
        if reply.type == "reply.resend.requested.v1":
            await self._resend(reply.event["data"])
        elif reply.kind in _JUDGED and self.records_replies and reply.subject in self.referrals:
            await self._judge(reply, self.referrals[reply.subject])

    async def _judge(self, reply: AgencyReply, referral: SentReferral) -> None:
        """Records a reply for the services that it can be about, and refuses it for the others."""
        changed, refused = referral.judge(reply.kind, reply.service_ids)
        services = references_to(referral.services[one] for one in changed)
        if services and reply.kind in _RECORDED:
            data = _RECORDED[reply.kind](reply.event)
            wire_name = f"referral.{reply.kind}.v1"
            await self.send(self.events.create_next(referral.first, wire_name, services=services, **data))
        if services and reply.kind == "declined":
            await self.send(self.create_rerouting(referral.first, services))
        for reason, service_ids in refused.items():
            await self.send(self.events.create_refusal(reply.event, reason, service_ids))

    def create_rerouting(self, offer: dict[str, Any], services: list[dict[str, Any]]) -> dict[str, Any]:
        """Creates `referral.rerouted.v1`: another agency was offered these services."""
        offered = {"reroute_count": 1, "is_escalated_to_hub": False}
        moved = [one | offered | {"next_service_id": str(uuid4())} for one in services]
        return self.events.create_next(
            offer, "referral.rerouted.v1", services=moved, next_agency=NEIGHBOUR, next_referral_id=str(uuid4())
        )

    async def _resend(self, request: dict[str, Any]) -> None:
        first, last = request.get("first_manifest_number"), request.get("last_manifest_number") or len(self._sent)
        since, until = request.get("since"), request.get("until") or wire_time(utc_now())
        requested = [
            one
            for one in self._sent
            if (first and first <= one.number <= last) or (since and since <= wire_time(one.sent_at) < until)
        ][:MAX_MANIFEST_ENTRIES]
        for one in requested:
            await self.publish(one.body, one.signature, one.routing_key)
        await self._publish_manifest_of(requested, RESEND_SILENCE)
