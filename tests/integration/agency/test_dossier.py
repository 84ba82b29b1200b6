"""The kit keeps a dossier sealed, shows it to the agency's people, and deletes it when it is withdrawn."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientSession
from markupsafe import escape
from typer.testing import CliRunner

from simpul_agency import Agency, ReceivedEvent, Reply
from simpul_agency.command import store_commands
from simpul_agency.command.app import app
from simpul_agency.connectors import ConnectorRunner, ConnectorSettings
from simpul_agency.sandbox.events import EventFactory
from simpul_agency.sandbox.process import free_port
from simpul_schema.messages import DossierWithdrawnV1
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually

NAME, ADDRESS = "Wenthilora Paksibumi", "Gang Melintang 7"
CONTENTS = {
    "identity": {"child_name": NAME, "birth_date": "2015-03-09", "nik": "3571000000000001", "sex": "female"},
    "logistics": {"address": ADDRESS},
}


class Dossier:
    """An offered referral, and what intake sends about its dossier."""

    def __init__(self, town: Town) -> None:
        self.town, self.offer = town, town.offer()
        self.events = EventFactory("ylpa", town.directory)
        self.referral_id = UUID(self.offer["data"]["referral_id"])

    async def release(self, **contents: dict[str, Any]) -> dict[str, Any]:
        event = self.events.create_release(self.offer, contents)
        await self.town.send(event, by="intake")
        return event

    async def withdraw(self, *sections: str) -> dict[str, Any]:
        event = self.events.create_withdrawal(self.offer, sections)
        await self.town.send(event, by="intake")
        return event

    async def expect_deleted(self, withdrawal: dict[str, Any]) -> None:
        """Waits until the city has the confirmation of a withdrawal."""

        async def is_confirmed() -> bool:
            confirmed = [one for one in self.town.received if one["type"] == "reply.dossier.deleted.v1"]
            return withdrawal["data"]["withdrawal_id"] in [one["data"]["withdrawal_id"] for one in confirmed]

        await eventually(is_confirmed)

    async def names(self, agency: Agency) -> dict[str, str]:
        """Returns what the agency's people see of the child."""
        view = await agency.find_referral(self.referral_id)
        opened = agency.open_dossier(view)
        return {section.value: content.model_dump_json() for section, content in opened.items()}

    async def expect_sections(self, agency: Agency, *sections: str) -> None:
        async def has_sections() -> bool:
            return set(await self.names(agency)) == set(sections)

        await eventually(has_sections)


def stored_bytes(folder: Path) -> bytes:
    """Everything that the kit has on the disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def settles(agency: Agency, number: int) -> bool:
    """Whether nothing is missing up to this manifest number."""
    return [one.settled_number for one in await agency.store.compare_manifests()] == [number]


@pytest.fixture
def dossier(town: Town) -> Dossier:
    return Dossier(town)


async def test_a_dossier_is_sealed_on_the_disk_and_gone_after_its_withdrawal(town: Town, dossier: Dossier) -> None:
    agency, deleted = town.agency(), []

    @agency.on(DossierWithdrawnV1)
    async def delete(withdrawn: ReceivedEvent[DossierWithdrawnV1], _: Reply) -> None:
        deleted.append([section.value for section in withdrawn.data.sections])
        if len(deleted) == 1:
            msg = "the agency's own system does not answer"
            raise OSError(msg)

    await agency.start()
    await town.send(dossier.offer)
    first = await dossier.release(**CONTENTS)
    await dossier.expect_sections(agency, "identity", "logistics")
    # Routing lists in its manifests what it passes on for intake.
    await town.send(town.manifest(1, 2, {1: dossier.offer, 2: first}))
    await eventually(lambda: settles(agency, 2))
    assert NAME in (await dossier.names(agency))["identity"]
    assert NAME.encode() not in stored_bytes(town.folder)
    second = await dossier.release(identity={"child_name": f"{NAME} Ayu"})

    async def shows_the_new_name() -> bool:
        return "Ayu" in (await dossier.names(agency))["identity"]

    await eventually(shows_the_new_name)
    bundle = await agency.export_fhir(dossier.referral_id)
    [patient] = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert patient["name"] == [{"text": f"{NAME} Ayu"}]
    assert patient["address"] == [{"text": ADDRESS}]

    partly = await dossier.withdraw("logistics")
    await dossier.expect_deleted(partly)
    await dossier.expect_sections(agency, "identity")
    wholly = await dossier.withdraw("identity", "logistics")
    await dossier.expect_deleted(wholly)

    assert await dossier.names(agency) == {}
    # The handler that failed was called again before the deletion was confirmed.
    assert deleted == [["logistics"], ["logistics"], ["identity", "logistics"]]
    bundle = await agency.export_fhir(dossier.referral_id)
    [patient] = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert "text" not in patient["name"][0]
    # A repetition brings nothing back.
    await town.send(first, second, by="intake")
    other = town.offer()
    await town.send(other)
    await town.expect_replies(other, "delivered")
    assert await dossier.names(agency) == {}
    await agency.stop()


async def test_a_release_that_arrives_after_its_withdrawal_is_not_kept(town: Town, dossier: Dossier) -> None:
    agency = town.agency()
    await agency.start()
    await town.send(dossier.offer)
    late = dossier.events.create_release(dossier.offer, CONTENTS)
    withdrawal = await dossier.withdraw("identity", "logistics")
    await town.send(late, by="intake")

    await dossier.expect_deleted(withdrawal)

    assert await dossier.names(agency) == {}
    await agency.stop()


async def test_people_read_the_notes_of_other_agencies_until_the_section_is_withdrawn(
    town: Town, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    agency = town.agency()
    ConnectorRunner(agency, ConnectorSettings(web_inbox_port=port))
    monkeypatch.setattr(store_commands, "load_settings", lambda: None)
    monkeypatch.setattr(Agency, "from_settings", lambda _: town.agency())

    async def show_notes() -> str:
        return (await asyncio.to_thread(CliRunner().invoke, app, ["notes", str(dossier.referral_id)])).output

    async def page() -> str:
        address = f"http://127.0.0.1:{port}/referrals/{dossier.referral_id}"
        async with ClientSession() as session, session.get(address) as answer:
            return await answer.text()

    await agency.start()
    await town.send(dossier.offer)
    note = {
        "note_id": str(uuid4()),
        "agency": "rs-rujukan",
        "text": "Wenthilora sleeps\x1b[2J at her aunt's.",
        "written_at": "2026-11-27T15:00:05Z",
    }
    await dossier.release(logistics={"address": ADDRESS, "notes": [note]})
    await dossier.expect_sections(agency, "logistics")

    assert escape(note["text"]) in await page()
    assert "rs-rujukan" in await page()
    assert "2026-11-27T15:00+00:00 rs-rujukan, logistics: Wenthilora sleeps [2J at her aunt's." in await show_notes()
    assert b"Wenthilora" not in stored_bytes(town.folder)
    await dossier.expect_deleted(await dossier.withdraw("logistics"))

    assert escape(note["text"]) not in await page()
    assert "no note" in await show_notes()
    await agency.stop()


async def test_connectors_get_the_dossier_only_where_the_agency_chose_so(town: Town, dossier: Dossier) -> None:
    withheld, shared, port = town.folder / "withheld", town.folder / "shared", free_port()
    table = town.folder / "own.db"
    agency = town.agency()
    ConnectorRunner(agency, ConnectorSettings(spool_folder=withheld, web_inbox_port=port))
    await agency.start()
    await town.send(dossier.offer)
    await dossier.release(**CONTENTS)
    await dossier.expect_sections(agency, "identity", "logistics")
    address = f"http://127.0.0.1:{port}/referrals/{dossier.referral_id}"
    async with ClientSession() as session, session.get(address) as answer:
        page = await answer.text()
    assert NAME in page
    assert ADDRESS in page
    await agency.stop()
    assert NAME not in "".join(path.read_text() for path in withheld.rglob("*.*"))

    chosen = town.agency(store_url=f"sqlite:///{town.folder / 'second.db'}")
    ConnectorRunner(chosen, ConnectorSettings(spool_folder=shared, table_url=f"sqlite:///{table}", share_dossier=True))
    await chosen.start()
    dossier = Dossier(town)
    await town.send(dossier.offer)
    release = await dossier.release(**CONTENTS)

    async def is_written() -> bool:
        return (shared / "new" / f"{release['id']}.json").exists()

    await eventually(is_written)
    written = json.loads((shared / "new" / f"{release['id']}.json").read_text())
    assert written["data"]["dossier"]["identity"]["child_name"] == NAME
    await dossier.expect_deleted(await dossier.withdraw("identity", "logistics"))

    assert NAME not in "".join(path.read_text() for path in shared.rglob("*.*"))
    with sqlite3.connect(table) as connection:
        rows = connection.execute("SELECT event FROM simpul_referral").fetchall()
    assert rows
    assert NAME not in str(rows)
    await chosen.stop()
