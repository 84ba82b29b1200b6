"""Whoever tries the demo can look at the desk in every role."""

from simpul_desk.access import Role
from simpul_desk.access.login_name import check_login_name
from simpul_dev.demo.desk_people import PEOPLE


def test_the_demo_has_an_account_for_each_role() -> None:
    assert {person.role for person in PEOPLE} == set(Role)
    assert len({person.login_name for person in PEOPLE}) == len(PEOPLE)
    assert [check_login_name(person.login_name) for person in PEOPLE] == [person.login_name for person in PEOPLE]
