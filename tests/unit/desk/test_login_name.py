"""A login name is short and plain; what cannot be one belongs to nobody, and reaches no database."""

import pytest

from simpul_desk.access.errors import LoginNameInvalid, NameInvalid
from simpul_desk.access.login_name import check_login_name, check_name, normalize_login_name


@pytest.mark.parametrize(
    ("typed", "name"), [(" Siti.Rahayu ", "siti.rahayu"), ("siti@rs.example", "siti@rs.example"), ("a-1", "a-1")]
)
def test_a_login_name_is_read_as_it_is_typed_on_a_phone(typed: str, name: str) -> None:
    assert check_login_name(typed) == name


@pytest.mark.parametrize("typed", ["", "ab", "a" * 61, "siti rahayu", "siti\0rahayu", ".siti", "siti-", "sité"])
def test_something_else_is_nobody(typed: str) -> None:
    assert normalize_login_name(typed) == ""
    with pytest.raises(LoginNameInvalid):
        check_login_name(typed)


def test_spaces_of_a_name_are_single() -> None:
    assert check_name("  Siti   Nur  Rahayu ") == "Siti Nur Rahayu"


@pytest.mark.parametrize("typed", ["", "S", "a" * 101, "Siti\0Rahayu", "Siti\u202eRahayu"])
def test_a_name_that_cannot_be_shown_is_refused(typed: str) -> None:
    with pytest.raises(NameInvalid):
        check_name(typed)
