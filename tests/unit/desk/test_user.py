"""A person acts at routing in the roles that they hold, and in no other."""

from uuid import UUID

import pytest

from simpul_desk.access import Actor, Role, RoleNotHeld, User
from simpul_schema.vocabulary import ActorRole

PERSON = UUID(int=1)
USER = User(
    id=PERSON,
    name="Wiji Rekaan",
    language="id",
    memberships={"rs-rujukan": Role.RESPONDER, "ylpa": Role.AGENCY_LEAD},
    city_roles={Role.COORDINATOR: "uptd-ppa", Role.AUDITOR: "city-board"},
    excluded_cases=frozenset({UUID(int=2)}),
)


def test_a_member_acts_for_their_agency() -> None:
    assert USER.act_in("rs-rujukan") == Actor(PERSON, "rs-rujukan", ActorRole.RESPONDER)


def test_a_coordinator_acts_for_the_agency_that_employs_them() -> None:
    assert USER.act_as(Role.COORDINATOR) == Actor(PERSON, "uptd-ppa", ActorRole.COORDINATOR)


def test_nobody_acts_for_an_agency_of_others() -> None:
    with pytest.raises(RoleNotHeld):
        USER.act_in("uptd-ppa")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR])
def test_nobody_acts_in_a_role_that_they_lack_or_that_routing_does_not_know(role: Role) -> None:
    with pytest.raises(RoleNotHeld):
        USER.act_as(role)


def test_agencies_are_found_by_role() -> None:
    assert USER.agencies_as() == {"rs-rujukan", "ylpa"}
    assert USER.agencies_as(Role.AGENCY_LEAD) == {"ylpa"}


def test_an_excluded_case_is_kept_from_the_person() -> None:
    assert (USER.is_excluded(UUID(int=2)), USER.is_excluded(UUID(int=3))) == (True, False)


def test_a_name_is_not_in_a_log() -> None:
    assert "Wiji" not in repr(USER)
