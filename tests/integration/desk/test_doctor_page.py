"""Operators and coordinators see at the desk what the doctor found last, and how old it is."""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest

from simpul_cli.doctor.examination import Examination
from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.doctor.publishing import publish_examination
from simpul_cli.languages import Message
from simpul_desk.access import Role
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.doctor_page import add_doctor_page
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import Desk
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser
from tests.support.desk import sign_in

STOPPED = critical("broker_blocked", Message("the broker blocks everybody who publishes"), "rabbitmqctl status")
OLD = warning("backup_old", Message("postgresql://simpul_desk:rahasia@postgres:5432 is old"), "simpul backup create")


async def browser_of(desk: Desk, role: Role) -> AsgiBrowser:
    """Returns the browser of an invented person with this role for the city."""
    add_doctor_page(desk.web, desk.engine, CITY)
    person = await sign_in(desk.database_url, city_roles={role: "uptd-ppa"})
    return AsgiBrowser(desk.web, cookies={SESSION_COOKIE: person.secret})


async def publish(desk: Desk, findings: Sequence[Finding], *, minutes_ago: int, skipped: Sequence[str] = ()) -> None:
    now = utc_now() - timedelta(minutes=minutes_ago)
    await publish_examination(Examination(list(findings), list(skipped)), desk.database_url, now)


async def test_before_the_first_examination_the_page_names_the_command(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.database_url)
    await connection.execute("DELETE FROM examination")
    await connection.close()

    page = await (await browser_of(desk, Role.OPERATOR)).get("/doctor")

    assert "has not been examined yet" in page.shown_text
    assert "simpul doctor --publish" in page.shown_text


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.COORDINATOR])
async def test_each_fault_has_its_cause_and_its_command_the_critical_ones_first(desk: Desk, role: Role) -> None:
    await publish(desk, [STOPPED, OLD], minutes_ago=12, skipped=["vault"])

    page = await (await browser_of(desk, role)).get("/doctor?lang=en")

    assert page.status == 200
    assert "Examined 12 min ago" in page.shown_text
    assert page.text.index("broker_blocked") < page.text.index("backup_old")
    assert "the broker blocks everybody who publishes" in page.shown_text
    assert "simpul backup create" in page.shown_text
    assert "Not examined: vault" in page.shown_text
    assert "This is old" not in page.shown_text


async def test_a_password_in_a_cause_never_reaches_the_desk(desk: Desk) -> None:
    await publish(desk, [OLD], minutes_ago=1)

    page = await (await browser_of(desk, Role.OPERATOR)).get("/doctor")

    assert "postgresql://postgres:5432" in page.text
    assert "rahasia" not in page.text


async def test_a_healthy_system_and_an_old_examination_differ(desk: Desk) -> None:
    await publish(desk, [], minutes_ago=3)
    fresh = await (await browser_of(desk, Role.OPERATOR)).get("/doctor?lang=en")
    await publish(desk, [], minutes_ago=60 * 50)

    old = await (await browser_of(desk, Role.OPERATOR)).get("/doctor?lang=en")

    assert "No fault was found" in fresh.shown_text
    assert "Examined 2 d 2 h ago" in old.shown_text
    assert "new faults do not show here" in old.shown_text


async def test_an_agency_does_not_see_the_page(desk: Desk) -> None:
    add_doctor_page(desk.web, desk.engine, CITY)
    _, responder = await desk.join()

    assert (await responder.get("/doctor")).status == 404
