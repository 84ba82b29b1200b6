"""Leads invite and manage their members on a page; recovery takes two people; nobody reaches beyond their agency."""

import re

from pyotp import TOTP

from simpul_desk.access import Role
from simpul_desk.access.web import SESSION_COOKIE
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import PASSWORD, Desk
from tests.support.asgi_browser import AsgiBrowser, Page

INVITED = {"name": "Sekar Rekaan", "agency": "rs-rujukan", "role": "responder", "language": "id"}


def link_on(page: Page) -> str:
    """The path of the link that a page shows."""
    found = re.search(r'id="link"[^>]*>https://desk\.example(/invitation/[\w-]+)<', page.text)
    assert found, page.shown_text
    return found[1]


async def start(browser: AsgiBrowser, desk: Desk, login_name: str, agency: str = "rs-rujukan") -> Page:
    target = f"/members/{await desk.account_of(login_name)}/recovery"
    return await browser.submit(target, {"agency": agency}, on="/members")


async def confirm(browser: AsgiBrowser) -> Page:
    """Confirms the recovery that the page offers to this person."""
    page = await browser.get("/members")
    target = re.search(r'action="(/members/recoveries/[\w-]+/confirm)"', page.text)
    return await browser.post(target[1] if target else "/nowhere", {"form_token": page.form_token})


async def take_link(browser: AsgiBrowser) -> Page:
    """Asks for the link of the recovery that the page says is confirmed."""
    page = await browser.get("/members")
    target = re.search(r'action="(/members/recoveries/[\w-]+/link)"', page.text)
    return await browser.post(target[1] if target else "/nowhere", {"form_token": page.form_token})


async def test_a_lead_invites_a_member_who_signs_in(desk: Desk) -> None:
    _, lead = await desk.join(role=Role.AGENCY_LEAD)

    page = await lead.submit("/members/invite", INVITED | {"login_name": "sekar.rekaan"}, on="/members")
    browser = desk.browser()
    await browser.submit(link_on(page), {"password": PASSWORD})
    shown = (await browser.get("/login/authenticator")).shown_text
    key = shown.partition("type this key instead: ")[2][:39].replace(" ", "")
    await browser.submit("/login/authenticator", {"code": TOTP(key).now()})

    assert "Petugas layanan, Rumah sakit" in (await browser.get("/account")).shown_text
    assert "sekar.rekaan" in (await lead.get("/members")).shown_text


async def test_a_name_that_is_taken_or_wrong_is_explained_and_what_was_typed_stays(desk: Desk) -> None:
    taken, lead = await desk.join(role=Role.AGENCY_LEAD)

    again = await lead.submit("/members/invite", INVITED | {"login_name": taken}, on="/members")
    wrong = await lead.submit("/members/invite", INVITED | {"login_name": "Se kar"}, on="/members")
    short = await lead.submit("/members/invite", INVITED | {"login_name": "sekar2", "name": "S"}, on="/members")

    assert [page.status for page in (again, wrong, short)] == [422] * 3
    assert "has this login name already" in again.shown_text
    assert "3 to 60 small letters" in wrong.shown_text
    assert "A name has 2 to 100 characters" in short.shown_text
    assert 'value="Sekar Rekaan"' in again.text


async def test_nobody_gives_access_that_is_not_theirs_to_give(desk: Desk) -> None:
    _, lead = await desk.join(role=Role.AGENCY_LEAD)
    _, responder = await desk.join()
    _, coordinator = await desk.join("uptd-ppa", Role.COORDINATOR)
    token = (await lead.get("/members")).form_token
    tried = [
        INVITED | {"login_name": "sekar3"} | change
        for change in ({"agency": "ylpa"}, {"role": "coordinator"}, {"role": "operator"}, {"agency": "nowhere"})
    ]

    by_lead = [await lead.post("/members/invite", {"form_token": token, **each}) for each in tried]
    by_responder = await responder.submit("/members/invite", INVITED | {"login_name": "sekar4"}, on="/members")
    by_coordinator = await coordinator.submit("/members/invite", INVITED | {"login_name": "sekar5"}, on="/members")
    leads = await coordinator.submit(
        "/members/invite", INVITED | {"login_name": "sekar.lead", "role": "agency_lead"}, on="/members"
    )

    assert {page.status for page in (*by_lead, by_responder, by_coordinator)} == {404}
    assert leads.status == 200


async def test_a_member_whose_role_ends_is_out_at_once(desk: Desk) -> None:
    _, lead = await desk.join(role=Role.AGENCY_LEAD)
    login_name, member = await desk.join()
    account_id = await desk.account_of(login_name)

    changed = await lead.submit(
        f"/members/{account_id}/role", {"agency": "rs-rujukan", "role": "case_manager"}, on="/members"
    )
    as_manager = await desk.sign_in.find_user(member.cookies[SESSION_COOKIE], utc_now())
    ended = await lead.submit(f"/members/{account_id}/end", {"agency": "rs-rujukan"}, on="/members")

    assert (changed.status, ended.status) == (303, 303)
    assert as_manager is not None
    assert as_manager.memberships == {"rs-rujukan": Role.CASE_MANAGER}
    assert (await member.get("/account")).location.startswith("/login")
    assert [entry.action for entry in await desk.entries_about(account_id)][-2:] == [
        "account.role_changed",
        "account.membership_ended",
    ]


async def test_a_lead_changes_neither_themselves_nor_people_of_others(desk: Desk) -> None:
    own_name, lead = await desk.join(role=Role.AGENCY_LEAD)
    other_name, _ = await desk.join("ylpa")
    own, other = await desk.account_of(own_name), await desk.account_of(other_name)
    token = (await lead.get("/members")).form_token
    unknown = await lead.post("/members/nobody/nothing", {"form_token": token})

    answers = [
        await lead.post(f"/members/{account_id}/{what}", {"form_token": token, "agency": agency, "role": "responder"})
        for account_id, agency in ((own, "rs-rujukan"), (other, "ylpa"), (other, "rs-rujukan"))
        for what in ("end", "role", "recovery")
    ]

    assert {page.status for page in answers} == {unknown.status} == {404}
    assert {page.text for page in answers} == {unknown.text}


async def test_a_recovery_takes_a_lead_and_a_second_person(desk: Desk) -> None:
    login_name, lost = await desk.join()
    _, lead = await desk.join(role=Role.AGENCY_LEAD)
    _, colleague = await desk.join()
    _, stranger = await desk.join("ylpa", Role.AGENCY_LEAD)

    started = await start(lead, desk, login_name)
    alone, foreign, own = await confirm(lead), await confirm(stranger), await confirm(lost)
    early = await take_link(lead)
    confirmed = await confirm(colleague)
    by_colleague = await take_link(colleague)
    shown, again = await take_link(lead), await take_link(lead)
    browser = desk.browser()
    chosen = await browser.submit(link_on(shown), {"password": "sembilan gajah melompat tinggi"})

    assert started.status == 303
    assert (confirmed.status, confirmed.location) == (303, "/members")
    assert (early.status, by_colleague.status, again.status) == (404, 404, 404)
    assert (alone.status, foreign.status, own.status) == (404, 404, 404)
    assert chosen.location == "/login/authenticator"
    # What the account had before is void: sessions, password and authenticator.
    assert (await lost.get("/account")).location.startswith("/login")
    old = await desk.browser("192.0.2.7").submit("/login", {"login_name": login_name, "password": PASSWORD})
    assert old.status == 401
    actions = [entry.action for entry in await desk.entries_about(await desk.account_of(login_name))]
    assert actions[-5:] == [
        "account.recovery_started",
        "account.recovery_confirmed",
        "account.recovery_link_taken",
        "account.recovered",
        "login.failed",
    ]


async def test_a_responder_who_confirms_the_recovery_of_their_lead_never_gets_the_link(desk: Desk) -> None:
    login_name, _ = await desk.join(role=Role.AGENCY_LEAD)
    _, responder = await desk.join()
    _, coordinator = await desk.join("uptd-ppa", Role.COORDINATOR)
    await start(coordinator, desk, login_name)

    confirmed = await confirm(responder)
    offered = re.search(r"/members/recoveries/[\w-]+/link", (await coordinator.get("/members")).text)
    assert offered
    token = (await responder.get("/members")).form_token
    stolen = await responder.post(offered[0], {"form_token": token})
    shown = await take_link(coordinator)

    assert confirmed.status == 303
    assert "/invitation/" not in confirmed.text
    assert stolen.status == 404
    assert link_on(shown)


async def test_a_recovery_ends_when_its_starter_may_no_longer_start_it(desk: Desk) -> None:
    login_name, _ = await desk.join()
    account_id = await desk.account_of(login_name)
    starter_name, starter = await desk.join(role=Role.AGENCY_LEAD)
    _, other_lead = await desk.join(role=Role.AGENCY_LEAD)
    _, colleague = await desk.join()
    starter_id = await desk.account_of(starter_name)

    async def change_starter(role: str) -> None:
        fields = {"agency": "rs-rujukan", "role": role}
        assert (await other_lead.submit(f"/members/{starter_id}/role", fields, on="/members")).status == 303

    await start(starter, desk, login_name)
    await change_starter("responder")
    after_demotion = await confirm(colleague)
    await change_starter("agency_lead")
    confirmed = await confirm(colleague)
    await desk.accounts.grant(login_name, "uptd-ppa", Role.COORDINATOR, utc_now())
    after_promotion = await take_link(starter)

    assert (after_demotion.status, confirmed.status, after_promotion.status) == (404, 303, 404)
    actions = [entry.action for entry in await desk.entries_about(account_id)]
    assert "account.recovery_link_taken" not in actions


async def test_nobody_recovers_a_coordinator_who_is_also_a_member(desk: Desk) -> None:
    login_name, _ = await desk.join()
    await desk.accounts.grant(login_name, "uptd-ppa", Role.COORDINATOR, utc_now())
    _, lead = await desk.join(role=Role.AGENCY_LEAD)

    assert (await start(lead, desk, login_name)).status == 404


async def test_an_operator_recovers_and_closes_accounts(desk: Desk) -> None:
    login_name, person = await desk.join("uptd-ppa", Role.COORDINATOR)

    secret = await desk.accounts.recover(login_name, utc_now())
    assert (await desk.browser().get(f"/invitation/{secret}")).status == 200
    await desk.accounts.close(login_name, utc_now())

    assert (await desk.browser().get(f"/invitation/{secret}")).status == 404
    assert (await person.get("/account")).location.startswith("/login")
    entries = await desk.entries_about(await desk.account_of(login_name))
    assert [(entry.action, entry.actor) for entry in entries][-2:] == [
        ("account.recovery_confirmed", "operator"),
        ("account.closed", "operator"),
    ]
