"""The kit on a real broker: stored before it is taken, handled once and in order, said until it is heard."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings, Received, Reply
from simpul_agency.agency import ReferralUnknown
from simpul_cli.backends import Backends
from simpul_cli.topology import BrokerApi, apply_topology
from simpul_runtime.topology import topology_of
from simpul_schema.catalog import REFERRALS, REPLIES, routing_key
from simpul_schema.messages import ReferralCancelledV1, ReferralOfferedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import samples
from simpul_schema.vocabulary import ReferralOutcome
from simpul_seal import Directory, KeyRing, generate, seal_section, sign, verify
from tests.support.ledger import eventually

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

    def agency(self) -> Agency:
        """The kit as the agency runs it; again with the same store after a stop."""
        settings = AgencySettings(
            code="ylpa", amqp_url=SecretStr(self.amqp_url), key_file=self.folder / "unused",
            directory_file=self.folder / "unused", store_url=f"sqlite:///{self.folder / 'agency.db'}",
        )  # fmt: skip
        return Agency(settings, self.rings["ylpa"], self.directory)

    def offer(self, referral_id: UUID | None = None, **more: Any) -> dict[str, Any]:
        """`referral.offered.v1`, its facts sealed to the agency."""
        event: dict[str, Any] = json.loads(json.dumps(SAMPLES["referral.offered.v1"]))
        referral = referral_id or uuid4()
        event_id, case_id = uuid4(), uuid4()
        facts: dict[str, Any] = dict.fromkeys(ReferralFacts.model_fields, "unknown")
        facts |= {"violence": ["physical"], "mediation_locked": True, "kecamatan": "Mojoroto"}
        sealed = seal_section(
            json.dumps(facts).encode(), self.directory.current(more.pop("sealed_to", "ylpa"), NOW), event_id=event_id,
            case_id=case_id, section="facts",
        )  # fmt: skip
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

    async def send(self, *events: dict[str, Any], by: str = "routing", body: bytes = b"") -> None:
        """Publish into the agency's queue."""
        exchange = await self.channel.get_exchange(REFERRALS)
        for event in events:
            signed = body or sign(event, self.rings[by])
            key = routing_key(REFERRALS, event["type"], "ylpa")
            await exchange.publish(aio_pika.Message(signed, delivery_mode=2), key)

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

            async def hear(message: Any) -> None:
                async with message.process():
                    event = json.loads(message.body)
                    verify(event, directory, NOW)
                    found.heard.append(event)

            await queue.consume(hear)
            yield found
        await api.call("DELETE", "vhosts", "{vhost}")


async def test_an_event_that_comes_twice_is_handled_once_and_answered_once(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append((referral.code, referral.facts and referral.facts.violence[0].value))
        reply.accept()
        reply.accept()

    await agency.start()
    offer = town.offer()
    await town.send(offer, offer)
    await town.hears(offer, "delivered", "accepted")
    await agency.stop()
    again = town.agency()
    again.on(ReferralOfferedV1)(receive)
    await again.start()
    await town.send(offer)
    other = town.offer()
    await town.send(other)
    await town.hears(other, "delivered", "accepted")

    assert [facts for _, facts in calls] == ["physical", "physical"]
    assert town.replies(offer) == ["delivered", "accepted"]
    await again.stop()


async def test_a_handler_that_fails_or_is_slow_holds_up_no_other_referral(town: Town) -> None:
    agency, calls = town.agency(), []
    slow, bad, good = town.offer(), town.offer(), town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        subject = referral.event.subject
        calls.append(subject)
        reply.seen()
        if subject == slow["subject"]:
            await asyncio.sleep(2)
        if subject == bad["subject"] and calls.count(subject) < 3:
            msg = "the agency's own system is away"
            raise ConnectionError(msg)
        reply.accept()

    await agency.start()
    await town.send(slow, bad, good)
    await town.hears(good, "delivered", "seen", "accepted")
    assert "accepted" not in town.replies(slow) + town.replies(bad)

    # What the first two calls had said before they failed was never said.
    await town.hears(bad, "delivered", "seen", "accepted")
    await town.hears(slow, "delivered", "seen", "accepted")
    assert calls.count(bad["subject"]) == 3
    await agency.stop()


async def test_the_events_of_a_referral_are_handled_in_order_whatever_order_they_come_in(town: Town) -> None:
    agency = town.agency()
    calls: list[str] = []
    offer = town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        await asyncio.sleep(0.2)
        calls.append(referral.event.type)

    @agency.on(ReferralCancelledV1)
    async def cancelled(referral: Received[ReferralCancelledV1], reply: Reply) -> None:
        calls.append(referral.event.type)

    await agency.start()
    await town.send(town.cancel(offer))
    await asyncio.sleep(0.3)
    assert calls == []
    await town.send(offer)

    async def both() -> bool:
        return len(calls) == 2

    await eventually(both)
    assert calls == ["referral.offered.v1", "referral.cancelled.v1"]
    await agency.stop()


async def test_a_reply_is_kept_through_an_outage_and_can_be_made_days_later(town: Town) -> None:
    agency = town.agency()
    offer = town.offer()
    await agency.start()
    await town.send(offer)
    await town.hears(offer, "delivered")
    await town.api.call("DELETE", "exchanges", "{vhost}", REPLIES)
    async with agency.reply(UUID(offer["data"]["referral_id"])) as reply:
        reply.accept()
        reply.complete(ReferralOutcome.SERVED)
    await asyncio.sleep(0.5)
    await agency.stop()
    assert town.replies(offer) == ["delivered"]
    await apply_topology(town.api, topology_of(["ylpa"]))
    await town.api.call(
        "POST", "bindings", "{vhost}", "e", REPLIES, "q", "ear", body={"routing_key": "#", "arguments": {}}
    )
    again = town.agency()
    await again.start()

    await town.hears(offer, "delivered", "accepted", "completed")
    with pytest.raises(ReferralUnknown):
        async with again.reply(uuid4()) as reply:
            reply.accept()
    await again.stop()


async def test_what_cannot_be_used_is_set_aside_with_its_reason_and_stops_nothing(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.event.subject)

    await agency.start()
    altered, good = town.offer(), town.offer()
    await town.send(town.offer(), by="rs-rujukan")
    await town.send(town.offer(source="/kediri/intake"), by="intake")
    await town.send(town.offer(type="referral.offered.v9"))
    await town.send(town.offer(sealed_to="rs-rujukan"))
    await town.send(town.offer() | {"data": {"agency": "ylpa"}})
    other = town.offer()
    other["data"]["agency"] = "rs-rujukan"
    await town.send(other)
    await town.send(altered, body=b"{not json")
    await town.send(altered, body=json.dumps(altered | {"signature": ""}).encode())
    await town.send(good)
    await town.hears(good, "delivered")

    async def all_parked() -> bool:
        return len(await agency.store.parked()) == 8

    await eventually(all_parked)
    assert {parked.reason for parked in await agency.store.parked()} == {
        "forged", "not_its_to_say", "unknown_type", "cannot_open", "invalid", "for_another_agency", "not_json",
        "unsigned",
    }  # fmt: skip
    assert calls == [good["subject"]]
    [unopened] = [parked for parked in await agency.store.parked() if parked.reason == "cannot_open"]
    assert await agency.replay(unopened.name)
    assert not await agency.replay("nothing")
    assert await all_parked()
    await agency.stop()
