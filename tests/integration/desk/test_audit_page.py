"""An auditor sees who did what, filters and exports it, and learns whether the record was changed."""

import csv
from uuid import uuid4

from sqlalchemy import text

from simpul_desk.access import Role
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.audit_pages import add_audit_pages
from simpul_desk.hosting.repository import exclude_case
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import Desk
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser
from tests.support.desk import sign_in


async def auditor_of(desk: Desk) -> AsgiBrowser:
    """Returns the browser of an invented auditor."""
    add_audit_pages(desk.web, desk.engine, CITY)
    person = await sign_in(desk.database_url, city_roles={Role.AUDITOR: "uptd-ppa"})
    return AsgiBrowser(desk.web, cookies={SESSION_COOKIE: person.secret})


async def test_an_auditor_filters_by_person_and_exports_the_same(desk: Desk) -> None:
    login_name, responder = await desk.join()
    other_name, _ = await desk.join()
    auditor, account_id, other = (
        await auditor_of(desk),
        *[await desk.account_of(one) for one in (login_name, other_name)],
    )

    page = await auditor.get(f"/audit?person={account_id}")
    export = await auditor.get(f"/audit/record.csv?person={account_id}&action=account.")
    nobody = await auditor.get(f"/audit?person={uuid4()}")

    assert f'<option value="{account_id}" selected>Wiji Rekaan ({login_name})</option>' in page.text
    assert "account.authenticator_added" in page.shown_text
    assert f"account/{other}" not in page.text
    rows = list(csv.DictReader(export.text.splitlines()))
    assert [row["action"] for row in rows] == ["account.password_set", "account.authenticator_added"]
    assert {(row["actor"], row["person"]) for row in rows} == {(str(account_id), "Wiji Rekaan")}
    assert "Nothing was recorded that fits" in nobody.shown_text
    assert "audit.exported" in (await auditor.get("/audit?action=audit.")).shown_text
    assert (await responder.get("/audit")).status == 404


async def test_a_name_is_no_formula_in_a_spreadsheet(desk: Desk) -> None:
    login_name, _ = await desk.join()
    auditor = await auditor_of(desk)
    async with desk.engine.begin() as connection:
        await connection.execute(
            text("UPDATE account SET name = '=1+1' WHERE login_name = :name"), {"name": login_name}
        )

    export = await auditor.get(f"/audit/record.csv?person={await desk.account_of(login_name)}")

    assert {row["person"] for row in csv.DictReader(export.text.splitlines())} == {"'=1+1"}


async def test_a_changed_record_is_found(desk: Desk) -> None:
    await desk.join()
    auditor = await auditor_of(desk)

    intact = await auditor.submit("/audit/verification", on="/audit")
    async with desk.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        await connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE position = 1"))
        await connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
    changed = await auditor.submit("/audit/verification", on="/audit")

    assert "The record is intact" in intact.shown_text
    assert "entry 1: content_changed" in changed.shown_text


async def test_what_is_kept_from_an_auditor_is_not_in_the_record_either(desk: Desk) -> None:
    add_audit_pages(desk.web, desk.engine, CITY)
    person = await sign_in(desk.database_url, city_roles={Role.AUDITOR: "uptd-ppa"})
    auditor = AsgiBrowser(desk.web, cookies={SESSION_COOKIE: person.secret})
    case_id, referral_id, other = uuid4(), uuid4(), uuid4()
    async with desk.engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO board (referral_id, case_id) VALUES (:referral, :case_id)"),
            {"referral": referral_id, "case_id": case_id},
        )
        await exclude_case(connection, person.user_id, case_id, utc_now())
        subjects = (f"case/{case_id}", f"referral/{referral_id}", f"referral/{other}")
        entries = [AuditEntry("referral.read", subject, str(uuid4())) for subject in subjects]
        await append_entries(connection, entries, utc_now())

    page, export = await auditor.get("/audit?action=referral."), await auditor.get("/audit/record.csv")

    for shown in (page.text, export.text):
        assert (str(case_id) in shown, str(referral_id) in shown, str(other) in shown) == (False, False, True)
