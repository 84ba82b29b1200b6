"""Reports about one child are found by keyed tokens, which reveal nothing without the key."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_intake.duplicates import BlindIndex, ChildDescription, Overlap, StoredTokens, describe_child, find_overlaps
from simpul_intake.duplicates.description import read_date
from simpul_intake.duplicates.tokens import COMPARISON_TOKENS, LOOKUP_TOKENS

NOW = datetime(2026, 11, 24, tzinfo=UTC)
INDEX = BlindIndex(b"k" * 32)
CASE = UUID("5b0f1c1e-6f7d-4c6a-9a55-0b7f6f0d2a11")


def a_child(**changes: Any) -> ChildDescription:
    """An invented girl of nine as a complaint centre describes her."""
    given: dict[str, Any] = {
        "child_name": "Wenthilora Paksibumi",
        "guardian_name": "Sujatmiko Zamboreth",
        "guardian_phone": "0800-1234-5678",
        "birth_date": "12 Maret 2017",
        "nik": "",
        "ward": "35.71.01.1001",
        "age": 9,
        "sex": "female",
    }
    given |= changes
    facts = {name: given.pop(name) for name in ("ward", "age", "sex")}
    return describe_child(given, reported_at=NOW, **facts)


def overlaps(stored: ChildDescription, incoming: ChildDescription, index: BlindIndex = INDEX) -> list[Overlap]:
    tokens = INDEX.make_tokens(CASE, stored)
    if not set(tokens.lookup) & set(index.make_probe(incoming)):
        return []
    return find_overlaps(index, incoming, [StoredTokens(CASE, tokens.comparison)])


@pytest.mark.parametrize(
    "changes",
    [
        {"child_name": "WENTILORA PAKSIBOEMI"},
        {"child_name": "Wenthilora"},
        {"child_name": "Wentilhora P.", "birth_date": ""},
        {"child_name": "Paksibumi Wenthilora binti Sudjatmiko", "guardian_name": "", "guardian_phone": ""},
        {"birth_date": "2017-12-03"},
        {"birth_date": "", "age": 10, "guardian_phone": ""},
        {"ward": "35.71.01.1002", "guardian_name": "Zubaidah"},
        {"child_name": "Lora", "guardian_name": "Soedjatmiko"},
    ],
    ids=["spelling", "one word", "initial", "patronymic", "day and month", "age", "moved", "short form"],
)
def test_a_child_is_found_again_although_something_differs(changes: dict[str, Any]) -> None:
    assert overlaps(a_child(), a_child(**changes))
    assert overlaps(a_child(**changes), a_child())


@pytest.mark.parametrize(
    "changes",
    [
        {"child_name": "Velqira Paksibumi", "birth_date": "3 Juli 2019", "age": 7},
        {"child_name": "Bagaskara Paksibumi", "birth_date": "", "age": 14, "sex": "male"},
        {"child_name": "Wenthilora", "guardian_name": "Hardi", "guardian_phone": "", "birth_date": "1-6-2011"},
        {"child_name": "Velqira Tlogoputra", "guardian_name": "", "guardian_phone": "", "birth_date": ""},
    ],
    ids=["sister", "brother", "namesake", "same ward and age"],
)  # fmt: skip
def test_another_child_is_not_taken_for_her(changes: dict[str, Any]) -> None:
    assert overlaps(a_child(), a_child(**changes)) == []


def test_a_nik_with_one_wrong_digit_still_counts() -> None:
    stored, incoming = (
        a_child(child_name="Wenthilora", nik=nik, guardian_name="", guardian_phone="", birth_date="", ward="")
        for nik in ("9935015203170001", "9935015203170007")
    )

    assert overlaps(stored, incoming)


def test_another_key_finds_nothing() -> None:
    assert overlaps(a_child(), a_child(), BlindIndex(b"j" * 32)) == []
    assert INDEX.version != BlindIndex(b"j" * 32).version


def test_comparison_tokens_of_two_cases_have_nothing_in_common() -> None:
    one, other = (INDEX.make_tokens(uuid4(), a_child()).comparison for _ in range(2))

    assert not set(_split(one)) & set(_split(other))


@pytest.mark.parametrize(
    "changes", [{}, {"child_name": "", "guardian_name": "", "birth_date": "", "guardian_phone": ""}]
)
def test_what_is_known_shows_neither_in_number_nor_in_order(changes: dict[str, Any]) -> None:
    tokens = INDEX.make_tokens(CASE, a_child(**changes))

    assert (len(tokens.lookup), len(tokens.comparison)) == (LOOKUP_TOKENS, 4 * COMPARISON_TOKENS)
    assert all(one <= other for one, other in pairwise(_split(tokens.comparison)))


@given(
    st.fixed_dictionaries(
        {name: st.text(max_size=80) for name in ("child_name", "birth_date", "nik", "guardian_name", "guardian_phone")}
    ),
    st.none() | st.integers(0, 17),
)
def test_whatever_is_typed_can_be_described_and_found(identity: Mapping[str, str], age: int | None) -> None:
    description = describe_child(identity, ward="", age=age, sex="unknown", reported_at=NOW)

    tokens = INDEX.make_tokens(CASE, description)

    assert len(tokens.lookup) == LOOKUP_TOKENS
    assert set(INDEX.make_probe(description)) <= set(tokens.lookup) or len(INDEX.make_probe(description)) > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-03-12", date(2017, 3, 12)), ("12-3-2017", date(2017, 3, 12)), ("12/03/17", date(2017, 3, 12)),
        ("12 Maret 2017", date(2017, 3, 12)), ("12 mrt 2017", date(2017, 3, 12)),
        ("12 Nopember 2016", date(2016, 11, 12)),
        ("31-2-2017", None), ("12-3-1961", None), ("12-3-2031", None), ("2017", None), ("", None), ("kemarin", None),
        ("99999999999-1-1", None), ("0-0-0", None),
    ],
)  # fmt: skip
def test_dates_are_read_as_people_write_them(text: str, expected: date | None) -> None:
    assert read_date(text, NOW.date()) == expected


def test_a_nik_contains_birth_date_and_sex() -> None:
    child = a_child(nik="9935 0152 0317 0001", birth_date="", age=None, sex="unknown")

    assert (child.birth_date, child.sex, child.birth_years) == (date(2017, 3, 12), "female", frozenset({2017}))


@pytest.mark.parametrize("written", ["0800 1234 5678", "+62 800-1234-5678", "62800 12345678", "ibu: 080012345678"])
def test_a_phone_number_is_the_same_however_it_is_written(written: str) -> None:
    assert a_child(guardian_phone=written).phones == ("080012345678",)


def test_a_description_shows_no_value_in_its_representation() -> None:
    shown = repr(a_child(nik="9935015203170001"))

    assert not any(value in shown for value in ("wentil", "2017", "9935", "0800", "sujat"))


def _split(comparison: bytes) -> list[bytes]:
    return [comparison[at : at + 4] for at in range(0, len(comparison), 4)]
