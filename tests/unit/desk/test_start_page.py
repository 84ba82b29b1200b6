"""Everybody starts where their work waits."""

from collections.abc import Mapping
from uuid import UUID

import pytest

from simpul_desk.access import Role, User
from simpul_desk.start_page import find_start


@pytest.mark.parametrize(
    ("memberships", "city_roles", "start"),
    [
        ({"rs-rujukan": Role.RESPONDER}, {}, "/work"),
        ({"rs-rujukan": Role.AGENCY_LEAD}, {}, "/work"),
        ({"ylpa": Role.AGENCY_LEAD}, {}, "/team"),
        ({"ylpa": Role.RESPONDER}, {}, ""),
        ({}, {Role.COORDINATOR: "uptd-ppa"}, "/city"),
        ({"ylpa": Role.AGENCY_LEAD}, {Role.COORDINATOR: "ylpa"}, "/city"),
        ({}, {Role.AUDITOR: "inspektorat"}, "/audit"),
        ({}, {Role.OPERATOR: "diskominfo"}, "/doctor"),
    ],
)
def test_a_person_starts_where_their_work_waits(
    memberships: Mapping[str, Role], city_roles: Mapping[Role, str], start: str
) -> None:
    user = User(UUID(int=1), "Wiji Rekaan", "id", memberships, city_roles)

    assert find_start(user, {"rs-rujukan"}) == start
