"""A session ends when nobody uses it, after a shift, and when its account is closed."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text

from simpul_desk.access import Role
from simpul_desk.access.session import ABSOLUTE_LIMIT, IDLE_LIMIT, TOUCH_INTERVAL
from simpul_desk.tables import CaseExclusionRow
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import Desk
from tests.support.desk import SignedIn, sign_in

NOW = utc_now()


async def is_signed_in(desk: Desk, person: SignedIn, at: datetime) -> bool:
    return await desk.sign_in.find_user(person.secret, at) is not None


async def test_who_is_signed_in_is_found_with_roles_and_excluded_cases(desk: Desk) -> None:
    person = await sign_in(
        desk.database_url,
        {"rs-rujukan": Role.RESPONDER, "ylpa": Role.AGENCY_LEAD},
        city_roles={Role.COORDINATOR: "uptd-ppa"},
        language="id",
    )
    case_id = uuid4()
    async with desk.engine.begin() as connection:
        row = {"account_id": person.user_id, "case_id": case_id, "declared_by": person.user_id, "declared_at": NOW}
        await connection.execute(insert(CaseExclusionRow), [row])

    user = await desk.sign_in.find_user(person.secret, NOW)

    assert user is not None
    assert (user.id, user.language, user.session_id) == (person.user_id, "id", person.session_id)
    assert user.memberships == {"rs-rujukan": Role.RESPONDER, "ylpa": Role.AGENCY_LEAD}
    assert user.city_roles == {Role.COORDINATOR: "uptd-ppa"}
    assert user.excluded_cases == {case_id}


async def test_another_secret_is_nobody(desk: Desk) -> None:
    person = await sign_in(desk.database_url, {"rs-rujukan": Role.RESPONDER})

    assert await desk.sign_in.find_user(person.secret[:-1] + "?", NOW) is None
    assert await desk.sign_in.find_user("", NOW) is None


async def test_a_session_that_is_not_used_ends_and_one_that_is_used_lasts_a_shift(desk: Desk) -> None:
    idle, used = [await sign_in(desk.database_url, {"ylpa": Role.RESPONDER}) for _ in range(2)]
    begun, step = utc_now(), IDLE_LIMIT - timedelta(minutes=5)

    uses = [await is_signed_in(desk, used, begun + step * each) for each in range(1, ABSOLUTE_LIMIT // step + 1)]

    assert set(uses) == {True}
    assert not await is_signed_in(desk, used, begun + ABSOLUTE_LIMIT)
    assert await is_signed_in(desk, idle, begun + step)
    assert not await is_signed_in(desk, idle, begun + step + IDLE_LIMIT)


async def test_the_last_use_is_written_once_a_minute(desk: Desk) -> None:
    person = await sign_in(desk.database_url, {"ylpa": Role.RESPONDER})
    read = text("SELECT last_seen_at FROM session WHERE session_id = :id")

    async def last_seen() -> datetime:
        async with desk.engine.connect() as connection:
            found: datetime = (await connection.execute(read, {"id": person.session_id})).scalar_one()
            return found

    begun = await last_seen()
    await is_signed_in(desk, person, begun + TOUCH_INTERVAL - timedelta(seconds=1))
    early = await last_seen()
    await is_signed_in(desk, person, begun + TOUCH_INTERVAL)

    assert (early, await last_seen()) == (begun, begun + TOUCH_INTERVAL)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account SET disabled_at = now() WHERE account_id = :account_id",
        "UPDATE session SET is_complete = false WHERE account_id = :account_id",
        "DELETE FROM session WHERE account_id = :account_id",
    ],
)
async def test_a_closed_account_and_a_login_without_its_second_factor_are_nobody(desk: Desk, change: str) -> None:
    person = await sign_in(desk.database_url, {"ylpa": Role.RESPONDER})

    async with desk.engine.begin() as connection:
        await connection.execute(text(change), {"account_id": person.user_id})

    assert not await is_signed_in(desk, person, utc_now())


async def test_a_recheck_does_not_prolong_the_session(desk: Desk) -> None:
    person = await sign_in(desk.database_url, {"ylpa": Role.RESPONDER})
    begun, step = utc_now(), IDLE_LIMIT - timedelta(minutes=5)

    recalled = await desk.sign_in.recall_user(person.secret, begun + step)

    assert recalled is not None
    assert not await is_signed_in(desk, person, begun + step + step)


async def test_an_open_page_ends_with_the_session_membership_or_account(desk: Desk) -> None:
    lead_name, lead = await desk.join(role=Role.AGENCY_LEAD)
    member_name, member = await desk.join()
    account_id = await desk.account_of(member_name)
    woken: list[UUID] = []
    desk.changed.append(woken.append)

    await member.submit("/account/sessions/end", on="/account")
    await lead.submit(f"/members/{account_id}/role", {"agency": "rs-rujukan", "role": "case_manager"}, on="/members")
    await lead.submit(f"/members/{account_id}/end", {"agency": "rs-rujukan"}, on="/members")
    await lead.submit("/logout", on="/account")

    assert woken == [account_id, account_id, account_id, await desk.account_of(lead_name)]
