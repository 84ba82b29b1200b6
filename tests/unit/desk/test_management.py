"""Leads give and take access in their agency, coordinators that of leads, and nobody recovers an account alone."""

from uuid import UUID

import pytest

from simpul_desk.access import AGENCY_ROLES, Role, User
from simpul_desk.access.management import may_confirm_recovery, may_manage, may_recover


def a_user(number: int = 1, agency: str = "rs-rujukan", role: Role | None = None, city: Role | None = None) -> User:
    return User(
        id=UUID(int=number),
        name="Wiji Rekaan",
        language="id",
        memberships={agency: role} if role else {},
        city_roles={city: "uptd-ppa"} if city else {},
    )


LEAD = a_user(role=Role.AGENCY_LEAD)
COORDINATOR = a_user(2, city=Role.COORDINATOR)
RESPONDER = a_user(3, role=Role.RESPONDER)
AUDITOR = a_user(4, city=Role.AUDITOR)
OPERATOR = a_user(5, city=Role.OPERATOR)


@pytest.mark.parametrize("role", list(Role))
def test_a_lead_manages_the_roles_of_their_agency_only(role: Role) -> None:
    assert may_manage(LEAD, "rs-rujukan", role) == (role in AGENCY_ROLES)
    assert not may_manage(LEAD, "ylpa", role)


@pytest.mark.parametrize("role", list(Role))
def test_a_coordinator_manages_leads_everywhere_and_nobody_else(role: Role) -> None:
    assert may_manage(COORDINATOR, "ylpa", role) == (role is Role.AGENCY_LEAD)


@pytest.mark.parametrize("user", [RESPONDER, AUDITOR, OPERATOR])
@pytest.mark.parametrize("role", list(Role))
def test_nobody_else_manages_anybody(user: User, role: Role) -> None:
    assert not may_manage(user, "rs-rujukan", role)
    assert not may_recover(user, [("rs-rujukan", role)])


@pytest.mark.parametrize(
    ("user", "held", "is_allowed"),
    [
        (LEAD, [("rs-rujukan", Role.RESPONDER)], True),
        (LEAD, [("rs-rujukan", Role.AGENCY_LEAD)], True),
        (LEAD, [("rs-rujukan", Role.RESPONDER), ("ylpa", Role.RESPONDER)], False),
        (LEAD, [("rs-rujukan", Role.RESPONDER), ("uptd-ppa", Role.COORDINATOR)], False),
        (LEAD, [], False),
        (COORDINATOR, [("ylpa", Role.AGENCY_LEAD)], True),
        (COORDINATOR, [("ylpa", Role.AGENCY_LEAD), ("rs-rujukan", Role.RESPONDER)], True),
        (COORDINATOR, [("ylpa", Role.RESPONDER)], False),
        (COORDINATOR, [("ylpa", Role.AGENCY_LEAD), ("uptd-ppa", Role.AUDITOR)], False),
    ],
)  # fmt: skip
def test_a_recovery_is_started_by_who_could_give_all_that_the_account_may_do(
    user: User, held: list[tuple[str, Role]], is_allowed: bool
) -> None:
    assert may_recover(user, held) == is_allowed


@pytest.mark.parametrize(
    ("user", "is_allowed"),
    [
        (RESPONDER, True), (COORDINATOR, True), (LEAD, False), (a_user(9, role=Role.RESPONDER), False),
        (a_user(6, agency="ylpa", role=Role.AGENCY_LEAD), False), (AUDITOR, False), (OPERATOR, False),
    ],
)  # fmt: skip
def test_the_second_person_is_another_colleague_or_a_coordinator(user: User, is_allowed: bool) -> None:
    confirmed = may_confirm_recovery(user, account_id=UUID(int=9), started_by=LEAD.id, agency="rs-rujukan")

    assert confirmed == is_allowed
