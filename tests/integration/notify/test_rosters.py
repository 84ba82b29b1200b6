"""A lead enters absences and shifts through notify's API: who is alerted changes, and the audit says who did it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import icalendar
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from ruamel.yaml import YAML
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.exceptions import HTTPException

from simpul_agency.sandbox.process import free_port
from simpul_city import read_yaml
from simpul_desk.access import Actor
from simpul_desk.service_api import NotifyApi, ServiceRefused
from simpul_dev.backends import Backends
from simpul_notify.repository.retention import delete_expired
from simpul_notify.roster import WatchedRoster
from simpul_notify.roster_api import RosterPages, add_roster_routes
from simpul_notify.use_cases import ChangeRosters
from simpul_runtime.audit import AuditFilter, StoredEntry, find_entries
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, generate
from tests.integration.notify.room import LEVELS, serving_web
from tests.support.agreements import CITY, KEDIRI
from tests.support.databases import create_migrated

DAY = timedelta(days=1)
LEAD = Actor(uuid4(), "ylpa", ActorRole.AGENCY_LEAD)
HUB_LEAD = Actor(uuid4(), "uptd-ppa", ActorRole.AGENCY_LEAD)
COORDINATOR = Actor(uuid4(), "uptd-ppa", ActorRole.COORDINATOR)


@dataclass
class Office:
    """Notify's rosters on a real database, and the desk's client."""

    engine: AsyncEngine
    transactions: Transactions
    roster: WatchedRoster
    rosters: ChangeRosters
    api: NotifyApi

    async def show(self, actor: Actor = LEAD, party: str = "ylpa") -> Any:
        return (await self.api.get(actor, f"/rosters/{party}")).content

    async def add(self, *entries: dict[str, str], actor: Actor = LEAD, party: str = "ylpa", preview: str = "") -> Any:
        path = f"/rosters/{party}/entries"
        body = {"entries": entries}
        return (await self.api.call(actor, "POST", path, body, query={"preview": preview})).content

    async def remove(self, change_id: str, actor: Actor = LEAD) -> Any:
        return (await self.api.call(actor, "DELETE", f"/rosters/ylpa/entries/{change_id}")).content

    async def audited(self) -> list[StoredEntry]:
        async with self.engine.connect() as connection:
            page = await find_entries(connection, AuditFilter(), limit=100)
        return [one for one in page.entries if one.action.startswith("roster.")]


def write_roster(path: Path) -> Path:
    """Writes Kediri's roster with a rotation of two, a lead, and somebody without a verified address for YLPA."""
    described = read_yaml(KEDIRI / "roster.yaml")
    first = described["on_duty"]["ylpa"][0]
    described["on_duty"]["ylpa"] = [
        first,
        {**first, "responder": "ylpa-2", "sms": "083400111013", "mail": "dua@ylpa.example"},
        {**first, "responder": "ylpa-lead", "sms": "083400111023", "lead": True},
    ]
    # A Monday long ago, so that today is somewhere in the rotation.
    described["duty"] = {"ylpa": {"weekly": ["ylpa-1", "ylpa-2"], "starts": "2026-01-05 08:00"}}
    YAML(typ="safe", pure=True).dump(described, path)
    return path


@pytest.fixture
async def office(backends: Backends, tmp_path: Path) -> AsyncIterator[Office]:
    async with an_office(backends, tmp_path) as prepared:
        yield prepared


@asynccontextmanager
async def an_office(backends: Backends, folder: Path) -> AsyncIterator[Office]:
    engine = create_engine(await create_migrated(backends, "notify", f"rosters_{uuid4().hex[:8]}"), connections=5)
    ring, public = generate("desk", not_before=utc_now() - DAY, not_after=utc_now() + DAY)
    keys = Keys(ring, Directory([public]))
    transactions = Transactions(engine, Outbox("kediri", "notify", keys), lambda _: None)
    roster = WatchedRoster(write_roster(folder / "roster.yaml"), CITY, LEVELS)
    rosters = ChangeRosters(transactions, roster, CITY)
    web = FastAPI()
    add_roster_routes(web, RosterPages(roster, rosters, keys, CITY, LEVELS))

    @web.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"code": "refused", "messages": {}}, error.status_code)

    api = NotifyApi(url := f"http://127.0.0.1:{free_port()}", keys)
    running = asyncio.create_task(api.run())
    async with serving_web(web, url):
        yield Office(engine, transactions, roster, rosters, api)
    running.cancel()
    await asyncio.wait([running])
    await engine.dispose()


def an_entry(kind: str, responder: str, starts_at: datetime, length: timedelta = DAY) -> dict[str, str]:
    ends_at = starts_at + length
    return {"kind": kind, "responder": responder, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}


async def test_an_absence_and_a_swap_change_who_is_alerted_and_survive_and_are_audited(office: Office) -> None:
    first, second = (await office.show())["on_duty"]
    now = utc_now() - timedelta(minutes=1)

    answer = await office.add(an_entry("shift", second, now), an_entry("absence", first, now))

    assert answer == {"is_stored": True, "refused": []}
    shown = await office.show()
    assert shown["on_duty"] == [second]
    assert [person.reference for person in office.roster.current.on_duty["ylpa"]] == [second]
    assert {person["responder"]: person["is_away"] for person in shown["people"]}[first] is True
    # A process that starts later reads the same.
    later = WatchedRoster(office.roster._path, CITY, LEVELS)
    await ChangeRosters(office.transactions, later, CITY).read_again()
    assert [person.reference for person in later.current.on_duty["ylpa"]] == [second]

    for entry in shown["entries"]:
        await office.remove(entry["change_id"])

    assert [person.reference for person in office.roster.current.on_duty["ylpa"]] == [first, second]
    entries = await office.audited()
    assert {(one.actor, one.role, one.subject) for one in entries} == {(str(LEAD.person), "agency_lead", "roster/ylpa")}
    assert {one.action for one in entries} == {
        "roster.absence_added",
        "roster.absence_removed",
        "roster.shift_added",
        "roster.shift_removed",
    }
    assert all(one.detail.startswith(("ylpa-1:", "ylpa-2:")) for one in entries)


async def test_a_gap_is_refused_with_its_time_and_nothing_is_stored(office: Office) -> None:
    start = utc_now().replace(microsecond=0) + DAY
    entries = [an_entry("absence", "ylpa-1", start), an_entry("absence", "ylpa-2", start)]

    answer = await office.add(*entries)

    [refused] = answer["refused"]
    assert (answer["is_stored"], refused["position"], refused["problem"]) == (False, 1, "leaves_gap")
    assert datetime.fromisoformat(refused["gap"]["starts_at"]) == start
    assert (await office.show())["entries"] == []
    # Two leads at once do not leave nobody together.
    both = await asyncio.gather(*(office.add(one) for one in entries))
    assert sorted(one["is_stored"] for one in both) == [False, True]


async def test_a_preview_stores_nothing(office: Office) -> None:
    start = utc_now() + DAY

    answer = await office.add(an_entry("absence", "ylpa-1", start), an_entry("shift", "nobody", start), preview="true")

    assert [(one["position"], one["problem"]) for one in answer["refused"]] == [(1, "unknown_responder")]
    assert (await office.show())["entries"] == []
    assert await office.audited() == []


async def test_the_coming_weeks_show_the_rotation_from_its_handover(office: Office) -> None:
    shown = await office.show()

    weeks = shown["weeks"]
    assert len(weeks) == 6
    assert datetime.fromisoformat(weeks[0]["starts_at"]) <= utc_now() < datetime.fromisoformat(weeks[0]["ends_at"])
    assert {datetime.fromisoformat(week["starts_at"]).astimezone(CITY.zone).hour for week in weeks} == {8}
    order = [[shift["responder"] for shift in week["shifts"]] for week in weeks]
    assert order[0] != order[1]
    assert order[:2] * 3 == order
    assert all(week["gaps"] == [] for week in weeks)


async def test_a_calendar_is_what_an_office_adds_to_its_own(office: Office) -> None:
    answer = await office.api.get(LEAD, "/rosters/ylpa/calendar.ics")

    events = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    assert {str(event["SUMMARY"]) for event in events} == {"ylpa-1", "ylpa-2"}
    assert "83400" not in answer.content


async def test_numbers_are_shown_to_the_lead_of_the_agency_and_masked_for_the_coordinator(office: Office) -> None:
    own, masked = await office.show(), await office.show(COORDINATOR)

    assert "+6283400111003" in str(own)
    assert "83400" not in str(masked)
    assert "…003" in str(masked)
    assert (own["may_change"], masked["may_change"]) == (True, False)


async def test_what_is_not_theirs_does_not_exist_and_only_a_lead_changes_it(office: Office) -> None:
    entry = an_entry("shift", "ylpa-2", utc_now() + DAY)

    async def refused(actor: Actor, party: str = "ylpa") -> int:
        with pytest.raises(ServiceRefused) as refusal:
            await office.add(entry, actor=actor, party=party)
        return refusal.value.status

    assert await refused(COORDINATOR) == 403
    assert await refused(Actor(uuid4(), "ylpa", ActorRole.RESPONDER)) == 403
    assert await refused(HUB_LEAD) == await refused(HUB_LEAD, "nowhere") == 404
    with pytest.raises(ServiceRefused, match="refused"):
        await office.remove(str(uuid4()))
    parties = [one["party"] for one in (await office.api.get(HUB_LEAD, "/rosters")).content["parties"]]
    assert parties == ["uptd-ppa", "uptd-ppa-head"]
    everybody = (await office.api.get(COORDINATOR, "/rosters")).content["parties"]
    assert {one["party"] for one in everybody} == CITY.agency_codes | set(LEVELS)


async def test_what_is_long_over_is_deleted(office: Office) -> None:
    assert (await office.add(an_entry("absence", "ylpa-1", utc_now() - DAY, DAY * 2)))["is_stored"]
    async with office.transactions.begin() as transaction:
        transaction.now = utc_now() + timedelta(days=400)
        await delete_expired(transaction, timedelta(days=365), 10)
    await office.rosters.read_again()

    assert (await office.show())["entries"] == []
