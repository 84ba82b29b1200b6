"""A history that somebody rewrites with the database and the service's own key is found through an agency's kit."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from simpul_agency import Agency, AgencySettings
from simpul_agency.command.app import app as agency_app
from simpul_cli.app import app as city_app
from simpul_dev.backends import Backends
from simpul_routing import publisher
from simpul_runtime import head_publishing
from simpul_runtime.audit import AuditEntry, head_moment, verify_audit
from simpul_runtime.audit.chain import GENESIS
from simpul_runtime.audit.entries import compute_block_hash
from simpul_runtime.audit.heads import list_repeated_moments
from simpul_runtime.audit.queries import AuditFilter, find_entries
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.head_publishing import PublishHeads, publish_heads
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import AuditHeadSignedV1
from simpul_seal import Directory, VerifiedEvent, generate
from tests.support.databases import create_migrated
from tests.support.ledger import eventually

AGENCY = "ylpa"


@dataclass
class Witnessed:
    """A service with an audit, and an agency that keeps its heads; it is routing, so that it sends manifests, too."""

    engine: AsyncEngine
    url: str
    keys: Keys
    agency: Agency
    folder: Path

    def transactions(self, at: datetime) -> Transactions:
        outbox = Outbox("kediri", "routing", self.keys)

        class AtTime(Transactions):
            def begin(self) -> Any:
                return _begin_at(super().begin(), at)

        return AtTime(self.engine, outbox, lambda _: None)

    async def record(self, at: datetime, actor: str) -> None:
        async with self.transactions(at).begin() as transaction:
            transaction.record(AuditEntry("case.read", f"case/{uuid4()}", actor))

    async def publish(self, now: datetime) -> None:
        """Publishes the heads and a manifest with them, and lets the agency's kit take the manifest."""
        async with self.transactions(now).begin() as transaction:
            await publish_heads(transaction, self.keys)
        [published] = transaction.outgoing
        verified = self.keys.verify(published.body, published.signature, now)
        assert isinstance(verified, VerifiedEvent)
        assert isinstance(verified.event, AuditHeadSignedV1)
        async with self.transactions(now).begin() as transaction:
            heads = verified.event.data.heads
            transaction.enqueue_event(
                publisher.delivery_manifest(AGENCY, 0, [], now + timedelta(minutes=2), None, heads)
            )
        [manifest] = transaction.outgoing
        await self.agency._store_messages([self.agency._classifier.classify(manifest.body, manifest.signature)])

    async def rewrite(self, position: int, actor: str) -> None:
        """Changes an entry and computes the whole chain again, as somebody who can write the database could."""
        async with self.engine.begin() as connection:
            await connection.execute(
                text("UPDATE audit SET actor = :actor WHERE position = :position"),
                {"actor": actor, "position": position},
            )
            last_hash = GENESIS
            for entry in (await find_entries(connection, AuditFilter(), limit=100)).entries:
                digest = entry.compute_digest()
                last_hash = compute_block_hash(last_hash, entry.position - 1, [digest])
                await connection.execute(
                    text("UPDATE audit SET digest = :digest, hash = :hash WHERE position = :position"),
                    {"digest": digest, "hash": last_hash, "position": entry.position},
                )
            await connection.execute(text("UPDATE audit_head SET hash = :hash"), {"hash": last_hash})

    async def delete_after(self, position: int) -> None:
        """Deletes the entries after this one, as if they had never been."""
        async with self.engine.begin() as connection:
            values = {"position": position}
            await connection.execute(text("DELETE FROM audit WHERE position > :position"), values)
            await connection.execute(
                text(
                    "UPDATE audit_head SET position = :position, "
                    "hash = (SELECT hash FROM audit WHERE position = :position)"
                ),
                values,
            )

    async def find_contradictions(self) -> list[Any]:
        """Returns what the agency's kit finds in the heads that it keeps."""
        found = json.loads(await self.run(agency_app, "audit", "show", "--json", expected=1))["contradictions"]
        assert isinstance(found, list)
        return found

    async def run(self, app: Any, *arguments: str, expected: int = 0) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
        assert done.exit_code == expected, done.output
        return str(done.output)

    async def export(self) -> Path:
        file = self.folder / f"heads-{uuid4()}.jsonl"
        await self.run(agency_app, "audit", "export", str(file))
        return file

    async def verify(self, file: Path, expected: int) -> Any:
        output = await self.run(
            city_app,
            "audit",
            "verify",
            "--database-url",
            self.url,
            "--service",
            "routing",
            "--witness",
            str(file),
            "--directory",
            str(self.folder / "directory.json"),
            "--json",
            expected=expected,
        )
        return json.loads(output)


class _begin_at:  # noqa: N801 - used like the context manager that it wraps
    """A transaction whose time a test sets."""

    def __init__(self, context: Any, at: datetime) -> None:
        self._context, self._at = context, at

    async def __aenter__(self) -> Transaction:
        transaction: Transaction = await self._context.__aenter__()
        transaction.now = self._at
        return transaction

    async def __aexit__(self, *error: object) -> Any:
        return await self._context.__aexit__(*error)


@pytest.fixture
async def witnessed(backends: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Witnessed]:
    now = utc_now()
    pairs = {
        party: generate(party, not_before=now - timedelta(days=30), not_after=now + timedelta(days=1))
        for party in ("routing", AGENCY)
    }
    directory = Directory([public for _, public in pairs.values()])
    directory.write(tmp_path / "directory.json")
    pairs[AGENCY][0].write(tmp_path / "keys")
    url = await create_migrated(backends, "routing", f"witnessed_{uuid4().hex[:8]}")
    engine = create_engine(url, connections=4)
    settings = {
        "CODE": AGENCY,
        "AMQP_URL": "amqp://nobody@127.0.0.1:9/",
        "KEY_FILE": str(tmp_path / "keys"),
        "DIRECTORY_FILE": str(tmp_path / "directory.json"),
        "STORE_URL": f"sqlite:///{tmp_path / 'agency.db'}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"SIMPUL_AGENCY_{name}", value)
    monkeypatch.chdir(tmp_path)
    named: dict[str, Any] = {name.lower(): value for name, value in settings.items()}
    named["amqp_url"] = SecretStr(settings["AMQP_URL"])
    agency = Agency(AgencySettings(**named), pairs[AGENCY][0], directory)
    await agency.store.open()
    yield Witnessed(engine, url, Keys(pairs["routing"][0], directory), agency, tmp_path)
    await agency.store.close()
    await engine.dispose()


async def test_a_rewritten_history_contradicts_what_an_agency_exports(witnessed: Witnessed) -> None:
    last = head_moment(utc_now())
    for hours in (3, 2, 1):
        await witnessed.record(last - timedelta(hours=hours) + timedelta(minutes=20), "sari")
        await witnessed.publish(last - timedelta(hours=hours - 1) + timedelta(minutes=6))
    kept = await witnessed.export()
    honest = await witnessed.verify(kept, 0)

    await witnessed.rewrite(2, "nobody")

    async with witnessed.engine.connect() as connection:
        assert (await verify_audit(connection)).problems == ()
    forged = await witnessed.verify(kept, 1)
    assert honest["witnessed_heads"] == forged["witnessed_heads"] > 3
    assert honest["problems"] == []
    assert forged["problems"] == [{"fault": "rewritten", "position": 2}]


async def test_the_kit_alone_notices_a_history_that_is_stated_again(witnessed: Witnessed) -> None:
    last = head_moment(utc_now())
    for hours in (3, 2, 1):
        await witnessed.record(last - timedelta(hours=hours) + timedelta(minutes=20), "sari")
    await witnessed.publish(last - timedelta(hours=1) + timedelta(minutes=6))
    shown = json.loads(await witnessed.run(agency_app, "audit", "show", "--json", expected=1))

    await witnessed.rewrite(1, "nobody")
    await witnessed.publish(last + timedelta(minutes=6))

    found = json.loads(await witnessed.run(agency_app, "audit", "show", "--json", expected=1))
    assert shown["contradictions"] == []
    # Both hours are stated again, with hashes that only the service's key can have signed.
    assert [one["contradiction"] for one in found["contradictions"]] == ["other_history"] * 2
    assert [one["service"] for one in found["contradictions"]] == ["routing"] * 2
    assert "CONTRADICTION" in await witnessed.run(agency_app, "audit", "show", expected=1)
    assert (await witnessed.verify(await witnessed.export(), 1))["problems"][0]["fault"] == "rewritten"


@pytest.mark.parametrize("has_new_entry", [False, True])
async def test_the_kit_alone_notices_that_the_end_of_a_history_is_gone(
    witnessed: Witnessed, has_new_entry: bool
) -> None:
    last = head_moment(utc_now())
    for hours in (30, 29):
        await witnessed.record(last - timedelta(hours=hours) + timedelta(minutes=20), "sari")
        await witnessed.publish(last - timedelta(hours=hours - 1) + timedelta(minutes=6))

    await witnessed.delete_after(1)
    if has_new_entry:
        await witnessed.record(last - timedelta(minutes=20), "sari")
    await witnessed.publish(last + timedelta(minutes=6))

    assert "shorter" in {one["contradiction"] for one in await witnessed.find_contradictions()}


async def test_the_kit_alone_notices_that_whole_hours_are_gone_before_a_new_entry(witnessed: Witnessed) -> None:
    last = head_moment(utc_now())
    for hours in (6, 5, 4):
        await witnessed.record(last - timedelta(hours=hours) + timedelta(minutes=20), "sari")
        await witnessed.publish(last - timedelta(hours=hours - 1) + timedelta(minutes=6))
    honest = await witnessed.find_contradictions()

    await witnessed.delete_after(1)
    await witnessed.record(last - timedelta(minutes=20), "sari")
    await witnessed.publish(last + timedelta(minutes=6))

    assert honest == []
    found = await witnessed.find_contradictions()
    hours_gone = [(last - timedelta(hours=hours)).isoformat() for hours in (4, 3)]
    assert [(one["contradiction"], one["before"]) for one in found if one["before"] in hours_gone] == [
        ("other_history", hour) for hour in hours_gone
    ]


async def test_a_growing_history_is_witnessed_without_a_contradiction(witnessed: Witnessed) -> None:
    last = head_moment(utc_now())
    for hours in range(40, 0, -1):
        if hours % 3:
            await witnessed.record(last - timedelta(hours=hours) + timedelta(minutes=20), "sari")
        await witnessed.publish(last - timedelta(hours=hours - 1) + timedelta(minutes=6))

    found = json.loads(await witnessed.run(agency_app, "audit", "show", "--json", expected=1))
    assert found["contradictions"] == []
    stated = {last - timedelta(hours=hours) for hours in range(40)}
    stated |= {moment for head in stated for moment in list_repeated_moments(head)}
    assert found["services"]["routing"] == {"heads": len(stated), "newest": last.isoformat(), "is_silent": False}
    assert found["services"]["intake"] == {"heads": 0, "newest": None, "is_silent": True}
    assert (await witnessed.verify(await witnessed.export(), 0))["witnessed_heads"] == len(stated)


async def test_a_running_service_publishes_the_heads_of_an_hour_once(
    witnessed: Witnessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_publishing, "POLL_INTERVAL", timedelta(milliseconds=20))
    began = utc_now()
    polls: list[datetime] = []

    def moment_of(now: datetime) -> datetime:
        polls.append(now)
        return head_moment(began + timedelta(hours=1 if len(polls) > 20 else 0))

    monkeypatch.setattr(head_publishing, "head_moment", moment_of)
    outbox = Outbox("kediri", "routing", witnessed.keys)
    publish = PublishHeads(Transactions(witnessed.engine, outbox, lambda _: None), witnessed.keys)

    task = asyncio.create_task(publish.run())

    async def have_polled_often() -> bool:
        return len(polls) > 60

    await eventually(have_polled_often)
    task.cancel()

    async with witnessed.engine.connect() as connection:
        rows = await connection.execute(text("SELECT routing_key FROM outbox WHERE exchange = 'simpul.events'"))
        assert [row.routing_key for row in rows] == ["audit.head_signed.v1"] * 2
