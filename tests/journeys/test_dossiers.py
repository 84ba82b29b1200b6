"""From a report to the agency that helps: it learns whom, keeps it sealed, and deletes it when it no longer helps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
from pydantic import SecretStr

from simpul_agency import Agency, AgencySettings
from simpul_agency.connectors.web_inbox import WebInbox
from simpul_agency.sandbox.process import free_port
from simpul_cli.keys import directory_file, key_file
from simpul_dev.local_city import LocalCity
from simpul_schema.vocabulary import DossierSection
from tests.integration.intake.test_follow_page import send_files
from tests.journeys.test_case_ends import change_case
from tests.journeys.test_cases_by_http import amend, reported
from tests.support.ledger import eventually, received_services, rows

LETTER = b"%PDF-1.7 surat karangan"
HUB, SHELTER, STRANGER = "uptd-ppa", "dinsos-peksos", "klinik-pendidikan"


@asynccontextmanager
async def store_of(city: LocalCity, code: str) -> AsyncIterator[Agency]:
    """Opens the store of an agency's running kit, with the agency's own key."""
    settings = AgencySettings(
        code=code,
        amqp_url=SecretStr("amqp://unused"),
        key_file=key_file(city.keys, code),
        directory_file=directory_file(city.keys),
        city_url=city.url("intake"),
        store_url=f"sqlite:///{city.ledger.parent / 'agencies' / code}.db",
    )
    agency = Agency.from_settings(settings)
    await agency.store.open()
    try:
        yield agency
    finally:
        await agency.store.close()


async def seen_by(city: LocalCity, code: str, case_id: str) -> dict[str, dict[str, Any]]:
    """Returns what the people of an agency see of a case's dossier, by section."""
    async with store_of(city, code) as agency:
        views = [one for one in await agency.list_referrals(500) if str(one.first.data.case_id) == case_id]
        opened = agency.open_dossier(views[0]) if views else {}
        return {section.value: content.model_dump(mode="json") for section, content in opened.items()}


async def test_an_agency_that_accepts_learns_who_the_child_is_until_it_no_longer_helps(city: LocalCity) -> None:
    name = f"Anak Karangan {uuid4().hex[:8]}"
    identity = {"child_name": name, "address": "Gang Melintang 7", "school": "SD Contoh 2"}
    receipt = await reported(
        city,
        safe_now="no",
        perpetrator_lives_with_child="yes",
        perpetrator_relation="parent",
        identity=identity,
        narrative={"chronology": f"{name} menangis."},
    )
    case_id = str(receipt["case_id"])

    async def is_known() -> bool:
        hub, shelter = await seen_by(city, HUB, case_id), await seen_by(city, SHELTER, case_id)
        return hub.get("identity", {}).get("child_name") == name == shelter.get("identity", {}).get("child_name")

    await eventually(is_known)
    assert (await send_files(city, receipt, (f"{name}.pdf", LETTER)))[0] == 200

    async def is_listed() -> bool:
        return bool((await seen_by(city, HUB, case_id)).get("narrative", {}).get("files"))

    await eventually(is_listed)
    async with store_of(city, HUB) as agency:
        (view,) = [one for one in await agency.list_referrals(500) if str(one.first.data.case_id) == case_id]
        (listed,) = agency.open_dossier(view)[DossierSection.NARRATIVE].files  # type: ignore[attr-defined]
        assert await agency.fetch_file(view, listed.file_id) == (listed, LETTER)
        assert listed.name == f"{name}.pdf"
        port, address = free_port(), f"/referrals/{view.referral_id}"
        async with WebInbox(agency, port).serve(), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get(address) as page:
                assert f'href="{address}/files/{listed.file_id}"' in await page.text()
            async with session.get(f"{address}/files/{listed.file_id}") as opened:
                assert (await opened.read(), opened.content_type) == (LETTER, "application/pdf")
            async with session.get(f"{address}/files/{uuid4()}") as unknown:
                assert unknown.status == 404
    hub, shelter = await seen_by(city, HUB, case_id), await seen_by(city, SHELTER, case_id)
    # The case manager needs the chronology, a shelter does not; nobody here teaches the child.
    assert hub["narrative"]["chronology"] == f"{name} menangis."
    assert shelter.keys() == {"identity", "logistics"}
    served = {agency for _, agency in received_services(city, case_id)}
    assert STRANGER not in served
    assert await seen_by(city, STRANGER, case_id) == {}
    for path in (city.ledger.parent / "agencies").iterdir():
        assert not [one for one in (name.encode(), LETTER) if one in path.read_bytes()], path.name

    await amend(city, receipt, identity={"child_name": f"{name} Ayu"})

    async def is_amended() -> bool:
        return (await seen_by(city, HUB, case_id)).get("identity", {}).get("child_name") == f"{name} Ayu"

    await eventually(is_amended)
    await change_case(city, case_id, "exclusions", agency=SHELTER, reason="too close")

    async def is_withdrawn() -> bool:
        return await seen_by(city, SHELTER, case_id) == {}

    await eventually(is_withdrawn)
    assert DossierSection.IDENTITY.value in await seen_by(city, HUB, case_id)
    await change_case(city, case_id, "close", end="closed")

    async def is_deleted_everywhere() -> bool:
        held = await rows(
            city,
            "intake",
            "SELECT count(*) AS n, count(deleted_at) AS deleted FROM held_section h JOIN disclosure d"
            " USING (referral_id) WHERE d.case_id = $1",
            case_id,
        )
        return bool(held[0]["n"] > 0 and held[0]["n"] == held[0]["deleted"])

    await eventually(is_deleted_everywhere)
    assert await seen_by(city, HUB, case_id) == {}
    audited = await rows(
        city,
        "intake",
        "SELECT action, detail FROM audit WHERE subject = $1 AND action LIKE 'dossier.%'",
        f"case/{case_id}",
    )
    assert {row["action"] for row in audited} == {"dossier.released", "dossier.withdrawn", "dossier.deleted"}
    assert all(name not in row["detail"] for row in audited)
