"""One case opens for an hour, for a reason that a second person confirms; leads learn of it, and it ends by itself."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from simpul_desk.access import Role, User
from simpul_desk.access.emergency_access import CONFIRM_WITHIN, DURATION, EmergencyAccesses
from simpul_desk.access.errors import AccessUnknown, CaseUnknown, ReasonMissing
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.account_pages.emergency import EmergencyPages, add_emergency_pages
from simpul_desk.hosting.repository import exclude_case
from simpul_runtime.audit import AuditFilter, find_entries
from simpul_runtime.database import utc_now
from simpul_schema.references import case_reference
from simpul_schema.vocabulary import ActorRole
from tests.integration.desk.conftest import KEYS, Desk
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

REASON = "Anak ada di IGD, keluarga tidak terhubung"


class Routing:
    """Shows every case, and remembers as whom it was asked."""

    def __init__(self) -> None:
        self.actors: list[Any] = []

    async def get(self, actor: Any, path: str, **_: Any) -> Any:
        self.actors.append(actor)
        shown = {"reference": "K-REKAAN", "rights": {}, "referrals": []}
        return SimpleNamespace(content=[] if path.endswith("timeline") else shown)


async def add_case(desk: Desk) -> UUID:
    """Adds a case of which the desk knows a referral."""
    case_id = uuid4()
    async with desk.engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO board (referral_id, case_id) VALUES (:referral, :case_id)"),
            {"referral": uuid4(), "case_id": case_id},
        )
    return case_id


async def user_of(desk: Desk, browser: AsgiBrowser) -> User:
    user = await desk.sign_in.find_user(browser.cookies[SESSION_COOKIE], utc_now())
    assert user
    return user


def address_in(page: str, change: str) -> str:
    """Returns where the first form of a change goes."""
    return page.partition(f'/{change}"')[0].rpartition('action="')[2] + f"/{change}"


async def test_a_case_opens_after_a_second_person_and_the_lead_learns_of_it(desk: Desk) -> None:
    case_id, routing = await add_case(desk), Routing()
    accesses: Any = EmergencyAccesses(desk.transactions, KEYS)
    add_emergency_pages(desk.web, EmergencyPages(accesses, routing, CITY, {}))  # type: ignore[arg-type]
    agencies = ("ylpa", "ylpa", "rs-rujukan")
    (_, requester), (_, colleague), (_, stranger) = [await desk.join(agency) for agency in agencies]
    _, lead = await desk.join("ylpa", Role.AGENCY_LEAD)
    address = f"/emergency/cases/{case_id}"
    form = {"agency": "ylpa", "reference": case_reference(case_id).lower(), "reason": REASON}

    foreign = await requester.submit("/emergency", form | {"agency": "rs-rujukan"})
    requested = await requester.submit("/emergency", form)
    closed = await requester.get(address)
    confirm = address_in((await colleague.get("/emergency")).text, "confirm")
    own, of_stranger = [(await one.submit(confirm, on="/account")).status for one in (requester, stranger)]
    confirmed = await colleague.submit(confirm, on="/emergency")
    opened = await requester.get(address)

    assert (foreign.status, requested.status, closed.status, own, of_stranger) == (404, 303, 404, 404, 404)
    assert (confirmed.status, opened.status) == (303, 200)
    assert [(await one.get(address)).status for one in (colleague, lead, stranger)] == [404] * 3
    assert {(actor.role, actor.agency) for actor in routing.actors} == {(ActorRole.EMERGENCY_READER, "ylpa")}
    assert "Emergency access: 1 that you should know of" in (await lead.get("/account")).shown_text
    assert REASON in (await lead.get("/emergency")).shown_text
    assert REASON not in (await stranger.get("/emergency")).shown_text
    await lead.submit(confirm.replace("/confirm", "/read"), on="/emergency")
    assert "that you should know of" not in (await lead.get("/account")).shown_text
    await lead.submit(confirm.replace("/confirm", "/end"), on="/account")
    assert (await requester.get(address)).status == 404
    async with desk.engine.connect() as connection:
        found = await find_entries(connection, AuditFilter(subject=f"case/{case_id}"), limit=50)
        stored = (await connection.execute(text("SELECT reason FROM emergency_access"))).scalars().all()
    assert [entry.action for entry in sorted(found.entries, key=lambda entry: entry.position)] == [
        "emergency.requested",
        "emergency.confirmed",
        "emergency.read",
        "emergency.notice_read",
        "emergency.ended",
    ]
    assert not any(REASON.encode() in reason for reason in stored)


async def test_it_ends_by_itself_and_an_unconfirmed_one_too(desk: Desk) -> None:
    accesses, now, case_id = EmergencyAccesses(desk.transactions, KEYS), utc_now(), await add_case(desk)
    requester, colleague = [await user_of(desk, (await desk.join("ylpa"))[1]) for _ in range(2)]
    await accesses.request(requester, "ylpa", case_reference(case_id), REASON, now)
    [waiting] = [one for one in (await accesses.list(colleague, now)).waiting if one.access.account_id == requester.id]

    with pytest.raises(AccessUnknown):
        await accesses.confirm(colleague, waiting.access.access_id, now + CONFIRM_WITHIN)
    await accesses.confirm(colleague, waiting.access.access_id, now)
    await accesses.read_case(requester, case_id, now + DURATION - timedelta(seconds=1))

    with pytest.raises(AccessUnknown):
        await accesses.read_case(requester, case_id, now + DURATION)


async def test_a_declared_conflict_is_stronger_than_an_emergency(desk: Desk) -> None:
    accesses, now, case_id = EmergencyAccesses(desk.transactions, KEYS), utc_now(), await add_case(desk)
    _, browser = await desk.join("ylpa")
    free = await user_of(desk, browser)
    async with desk.engine.begin() as connection:
        await exclude_case(connection, free.id, case_id, now)
    near = await user_of(desk, browser)

    with pytest.raises(CaseUnknown):
        await accesses.request(near, "ylpa", case_reference(case_id), REASON, now)
    with pytest.raises(CaseUnknown):
        await accesses.request(near, "ylpa", case_reference(uuid4()), REASON, now)
    with pytest.raises(ReasonMissing):
        await accesses.request(near, "ylpa", case_reference(await add_case(desk)), "segera", now)
