"""A city with one agency on a real broker, which sends events and receives replies."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings
from simpul_agency.broker_api import BrokerApi
from simpul_cli.city_topology import build_topology
from simpul_cli.topology import apply_topology
from simpul_dev.backends import Backends
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import REFERRALS, REPLIES, routing_key, topic_of
from simpul_schema.samples import samples
from simpul_seal import Directory, KeyRing, generate, seal_section, signature_in, verify
from tests.support.ledger import eventually
from tests.support.signing import message, signed

NOW = datetime.now(UTC)
SAMPLES = {name: json.loads(body) for name, _, body in samples()}


@dataclass
class Town:
    """A city with one agency."""

    amqp_url: str
    api: BrokerApi
    channel: Any
    rings: dict[str, KeyRing]
    directory: Directory
    folder: Path
    received: list[dict[str, Any]] = field(default_factory=list)

    def agency(self, **more: Any) -> Agency:
        """Creates the agency's consumer; one created after a stop has the same store."""
        settings = AgencySettings(
            code="ylpa",
            amqp_url=SecretStr(self.amqp_url),
            key_file=self.folder / "unused",
            directory_file=self.folder / "unused",
            **{"store_url": f"sqlite:///{self.folder / 'agency.db'}", **more},
        )
        return Agency(settings, self.rings["ylpa"], self.directory)

    def offer(self, *services: str, **more: Any) -> dict[str, Any]:
        """Creates `referral.offered.v1` of these services, with facts sealed to the agency."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.offered.v1"]))
        referral, case_id = uuid4(), uuid4()
        event |= {"id": str(uuid4()), "subject": f"referral/{referral}", "correlationid": str(case_id)} | more
        event["data"] |= {
            "referral_id": str(referral),
            "case_id": str(case_id),
            "agency": "ylpa",
            "services": [a_service(name) for name in services or ("psychologist",)],
        }
        event["data"]["sealed"] = {"facts": self._seal_facts(event, event.pop("sealed_to", "ylpa"))}
        return event

    def amendment(
        self, offer: dict[str, Any], services: list[dict[str, Any]], *added: dict[str, Any], sequence: int = 2
    ) -> dict[str, Any]:
        """Creates `referral.amended.v1` with the services that have not ended, and the new ones."""
        event = self._next(offer, "referral.amended.v1", sequence)
        event["data"] |= {"services": [*services, *added], "added": [one["service_id"] for one in added]}
        event["data"]["sealed"] = {"facts": self._seal_facts(event, "ylpa")}
        return event

    def cancel(
        self, offer: dict[str, Any], *, services: list[dict[str, Any]] | None = None, sequence: int = 2
    ) -> dict[str, Any]:
        """Creates `referral.cancelled.v1`, the next event of the same referral, by default of all its services."""
        event = self._next(offer, "referral.cancelled.v1", sequence)
        listed = services or offer["data"]["services"]
        event["data"]["services"] = [{name: one[name] for name in ("service_id", "service")} for one in listed]
        return event

    def _next(self, offer: dict[str, Any], wire_name: str, sequence: int) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES[wire_name]))
        event["data"] |= {name: offer["data"][name] for name in ("referral_id", "case_id", "agency")}
        return event | {
            "id": str(uuid4()),
            "subject": offer["subject"],
            "correlationid": offer["correlationid"],
            "sequence": f"{sequence:010d}",
        }

    def _seal_facts(self, event: dict[str, Any], recipient: str) -> dict[str, Any]:
        facts: dict[str, Any] = dict.fromkeys(ReferralFacts.model_fields, "unknown")
        facts |= {"violence": ["physical"], "implied_violence": [], "mediation_locked": True, "kecamatan": "Mojoroto"}
        facts |= {"happened_at": "", "place": "other"}
        key = self.directory.current(recipient, datetime.now(UTC))
        content, event_id, case_id = json.dumps(facts).encode(), UUID(event["id"]), UUID(event["correlationid"])
        return seal_section(content, key, event_id=event_id, case_id=case_id, section="facts")

    def refusal(self, offer: dict[str, Any], reply_id: str = "", *service_ids: str) -> dict[str, Any]:
        """Creates `referral.reply_refused.v1` about an offered referral."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.reply_refused.v1"]))
        reply = reply_id or str(uuid4())
        event["data"] |= {
            "referral_id": offer["data"]["referral_id"],
            "agency": "ylpa",
            "reply_id": reply,
            "service_ids": list(service_ids),
        }
        return event | {
            "id": str(uuid4()),
            "subject": f"reply/{reply}",
            "correlationid": offer["correlationid"],
            "sequence": "0000000001",
        }

    def manifest(
        self, sequence: int, last_number: int, events: Mapping[int, dict[str, Any]], seconds: float = 60
    ) -> dict[str, Any]:
        """Creates a delivery manifest that lists these events by their numbers."""
        now = datetime.now(UTC)
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["agency.manifest.v1"]))
        return event | {
            "id": str(uuid4()),
            "subject": "agency/ylpa",
            "sequence": f"{sequence:010d}",
            "time": _wire(now),
            "data": {
                "agency": "ylpa",
                "last_manifest_number": last_number,
                "next_by": _wire(now + timedelta(seconds=seconds)),
                "events": [{"manifest_number": number, "event_id": event["id"]} for number, event in events.items()],
            },
        }

    def resend_requests(self) -> list[dict[str, Any]]:
        """Returns the data of the agency's resend requests."""
        return [event["data"] for event in self.received if event["type"] == "reply.resend.requested.v1"]

    async def send(self, *events: dict[str, Any], by: str = "routing", body: bytes = b"", signature: str = "") -> None:
        """Publishes events into the agency's queue; with `body`, these bytes and this signature instead."""
        exchange = await self.channel.get_exchange(REFERRALS)
        for event in events:
            sent = (body, signature) if body else signed(event, self.rings[by])
            data = event["data"] if isinstance(event.get("data"), dict) else {}
            first: dict[str, Any] = next(iter(data.get("services", ())), {})
            topic = topic_of(first["service"], first["urgency"]) if "urgency" in first else ""
            key = routing_key(REFERRALS, event["type"], "ylpa", topic)
            await exchange.publish(message(*sent), key)

    def replies_with_services(self, offer: dict[str, Any]) -> list[tuple[str, list[str]]]:
        """Returns the replies to an offer by their sequence, each with the services that it names."""
        names = {one["service_id"]: one["service"] for one in offer["data"]["services"]}
        replies = sorted((e for e in self.received if e["subject"] == offer["subject"]), key=lambda e: e["sequence"])
        return [
            (e["type"].split(".")[2], [names.get(one, one) for one in e["data"].get("service_ids", ())])
            for e in replies
        ]

    def replies(self, offer: dict[str, Any]) -> list[str]:
        """Returns the replies to an offer by their sequence; after an outage a later one may arrive first."""
        replies = sorted(
            (e for e in self.received if e["subject"] == offer["subject"]), key=lambda e: str(e["sequence"])
        )
        return [event["type"].split(".")[2] for event in replies]

    async def expect_replies(self, offer: dict[str, Any], *replies: str) -> None:
        """Waits for exactly these replies."""

        async def have_arrived() -> bool:
            return len(self.replies(offer)) >= len(replies)

        await eventually(have_arrived)
        assert self.replies(offer) == list(replies)
        sequences = {event["sequence"] for event in self.received if event["subject"] == offer["subject"]}
        assert sequences == {f"{n:010d}" for n in range(1, len(replies) + 1)}


def a_service(service: str, **more: Any) -> dict[str, Any]:
    """Creates a service to ask for."""
    return {
        **SAMPLES["referral.offered.v1"]["data"]["services"][0],
        "service_id": str(uuid4()),
        "service": service,
        **more,
    }


def _wire(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
async def town(backends: Backends, tmp_path: Path) -> AsyncIterator[Town]:
    vhost = f"town-{uuid4().hex[:8]}"
    url = f"{backends.amqp_url.rsplit('/', 1)[0]}/{vhost}"
    pairs = {
        party: generate(party, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=30))
        for party in ("routing", "intake", "ylpa", "rs-rujukan")
    }
    async with BrokerApi(backends.rabbitmq_api, vhost) as api:
        await api.call("PUT", "vhosts", "{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.call("PUT", "permissions", "{vhost}", "guest", body=everything)
        await apply_topology(api, build_topology(["ylpa"]))
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            rings = {party: ring for party, (ring, _) in pairs.items()}
            directory = Directory([public for _, public in pairs.values()])
            found = Town(url, api, channel, rings, directory, tmp_path)
            queue = await channel.declare_queue("replies", durable=False)
            await queue.bind(REPLIES, "#")

            async def receive(reply: Any) -> None:
                async with reply.process():
                    verify(reply.body, signature_in(reply.headers), directory, datetime.now(UTC))
                    event = json.loads(reply.body)
                    # The kit sends a reply again whose confirmation it did not record, with the same id.
                    if all(known["id"] != event["id"] for known in found.received):
                        found.received.append(event)

            await queue.consume(receive)
            yield found
        await api.call("DELETE", "vhosts", "{vhost}")
