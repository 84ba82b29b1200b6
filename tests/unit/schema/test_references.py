"""Codes stand for a range of ids, and are read as people write them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_schema.references import case_reference, read_code, referral_code


@given(st.uuids())
def test_a_code_finds_the_id_that_it_was_computed_from(identifier: UUID) -> None:
    case, referral = read_code(case_reference(identifier)), read_code(referral_code(identifier))

    assert case is not None
    assert referral is not None
    assert (case.kind, referral.kind) == ("case", "referral")
    assert case.first <= identifier <= case.last
    assert referral.first <= identifier <= referral.last
    for found, compute in ((case, case_reference), (referral, referral_code)):
        assert compute(found.first) == compute(found.last) == compute(identifier)
        outside = [found.first.int - 1, found.last.int + 1]
        assert all(compute(UUID(int=n)) != compute(identifier) for n in outside if 0 <= n < 1 << 128)


@pytest.mark.parametrize("written", ["K-7K3Q-2M9F", "k7k3q2m9f", " K 7K3Q 2M9F ", "k-7k3q-2m9f"])
def test_a_code_is_read_in_any_case_with_or_without_dashes(written: str) -> None:
    assert read_code(written) == read_code("K-7K3Q-2M9F") is not None


def test_the_letters_o_i_and_l_are_read_as_digits() -> None:
    assert read_code("R-OIL000") == read_code("R-011000") is not None


@pytest.mark.parametrize("written", ["", "K", "K-7K3Q", "R-7K3Q2MM", "X-7K3Q-2M9F", "K-7K3U-2M9F", "é"])
def test_anything_else_is_no_code(written: str) -> None:
    assert read_code(written) is None
