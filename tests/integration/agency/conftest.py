"""A town of one agency on a real broker: it offers, beats, and hears what is replied."""

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
from simpul_cli.topology import apply_topology
from simpul_dev.backends import Backends
from simpul_runtime.topology import topology_of
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
    """A city of one agency: it offers, and hears what is replied."""

    amqp_url: str
    api: BrokerApi
    channel: Any
    rings: dict[str, KeyRing]
    directory: Directory
    folder: Path
    heard: list[dict[str, Any]] = field(default_factory=list)

    def agency(self, **more: Any) -> Agency:
        """The kit as the agency runs it; again with the same store after a stop."""
        settings = AgencySettings(
            code="ylpa", amqp_url=SecretStr(self.amqp_url), key_file=self.folder / "unused",
            directory_file=self.folder / "unused",
            **{"store_url": f"sqlite:///{self.folder / 'agency.db'}", **more},
        )  # fmt: skip
        return Agency(settings, self.rings["ylpa"], self.directory)

    def offer(self, referral_id: UUID | None = None, **more: Any) -> dict[str, Any]:
        """`referral.offered.v1`, its facts sealed to the agency."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.offered.v1"]))
        referral = referral_id or uuid4()
        event_id, case_id = uuid4(), uuid4()
        facts: dict[str, Any] = dict.fromkeys(ReferralFacts.model_fields, "unknown")
        facts |= {"violence": ["physical"], "implied_violence": [], "mediation_locked": True, "kecamatan": "Mojoroto"}
        key = self.directory.current(more.pop("sealed_to", "ylpa"), datetime.now(UTC))
        content = json.dumps(facts).encode()
        sealed = seal_section(content, key, event_id=event_id, case_id=case_id, section="facts")
        event["data"] |= {
            "referral_id": str(referral), "case_id": str(case_id), "agency": "ylpa", "sealed": {"facts": sealed},
        }  # fmt: skip
        return event | {
            "id": str(event_id), "subject": f"referral/{referral}", "correlationid": str(case_id),
            "sequence": "0000000001", **more,
        }  # fmt: skip

    def cancel(self, offer: dict[str, Any]) -> dict[str, Any]:
        """`referral.cancelled.v1`, the next event of the same referral."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.cancelled.v1"]))
        event["data"] |= {name: offer["data"][name] for name in ("referral_id", "case_id", "agency")}
        return event | {
            "id": str(uuid4()), "subject": offer["subject"], "correlationid": offer["correlationid"],
            "sequence": "0000000002",
        }  # fmt: skip

    def refusal(self, offer: dict[str, Any]) -> dict[str, Any]:
        """`referral.reply_refused.v1` about an offered referral."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.reply_refused.v1"]))
        event["data"] |= {"referral_id": offer["data"]["referral_id"], "agency": "ylpa"}
        reply = uuid4()
        return event | {
            "id": str(uuid4()), "subject": f"reply/{reply}", "correlationid": offer["correlationid"],
            "sequence": "0000000001",
        }  # fmt: skip

    def heartbeat(
        self, sequence: int, last_number: int, events: Mapping[int, dict[str, Any]], seconds: float = 60
    ) -> dict[str, Any]:
        """`referral.heartbeat.v1` that accounts for these events by their numbers."""
        now = datetime.now(UTC)
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.heartbeat.v1"]))
        return event | {
            "id": str(uuid4()), "subject": "agency/ylpa", "sequence": f"{sequence:010d}", "time": _wire(now),
            "data": {
                "agency": "ylpa", "last_number": last_number, "next_by": _wire(now + timedelta(seconds=seconds)),
                "events": [{"number": number, "event_id": event["id"]} for number, event in events.items()],
            },
        }  # fmt: skip

    def windows(self) -> list[dict[str, Any]]:
        """What the agency asked to be sent again."""
        return [event["data"] for event in self.heard if event["type"] == "reply.window.requested.v1"]

    async def send(self, *events: dict[str, Any], by: str = "routing", body: bytes = b"", signature: str = "") -> None:
        """Publish into the agency's queue; with `body`, these bytes and this signature instead."""
        exchange = await self.channel.get_exchange(REFERRALS)
        for event in events:
            sent = (body, signature) if body else signed(event, self.rings[by])
            data = event["data"] if isinstance(event.get("data"), dict) else {}
            topic = topic_of(data["service"], data["urgency"]) if {"service", "urgency"} <= data.keys() else ""
            key = routing_key(REFERRALS, event["type"], "ylpa", topic)
            await exchange.publish(message(*sent), key)

    def replies(self, offer: dict[str, Any]) -> list[str]:
        """What was replied to an offer, by its place in the stream; after an outage a later one may come first."""
        said = sorted((e for e in self.heard if e["subject"] == offer["subject"]), key=lambda e: str(e["sequence"]))
        return [event["type"].split(".")[2] for event in said]

    async def hears(self, offer: dict[str, Any], *replies: str) -> None:
        """Wait for exactly these replies."""

        async def has_heard() -> bool:
            return len(self.replies(offer)) >= len(replies)

        await eventually(has_heard, 20)
        assert self.replies(offer) == list(replies)
        places = {event["sequence"] for event in self.heard if event["subject"] == offer["subject"]}
        assert places == {f"{n:010d}" for n in range(1, len(replies) + 1)}


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
        await apply_topology(api, topology_of(["ylpa"]))
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            rings = {party: ring for party, (ring, _) in pairs.items()}
            directory = Directory([public for _, public in pairs.values()])
            found = Town(url, api, channel, rings, directory, tmp_path)
            queue = await channel.declare_queue("ear", durable=False)
            await queue.bind(REPLIES, "#")

            async def hear(heard: Any) -> None:
                async with heard.process():
                    verify(heard.body, signature_in(heard.headers), directory, datetime.now(UTC))
                    found.heard.append(json.loads(heard.body))

            await queue.consume(hear)
            yield found
        await api.call("DELETE", "vhosts", "{vhost}")
