"""The search for canaries finds them in every usual encoding, and nothing else."""

import random

import pytest

from tests.support.canary import Canary, spellings

CANARY = Canary()
SPELLINGS = spellings(CANARY)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_canary_is_found_in_every_encoding(spelling: str) -> None:
    around = random.Random(7).randbytes(5_000)

    assert CANARY.search(around + b"\n" + SPELLINGS[spelling] + b"\n" + around), SPELLINGS[spelling]


@pytest.mark.parametrize("field", [*CANARY.identity(), *CANARY.narrative()])
def test_every_field_of_a_seeded_report_is_a_canary(field: str) -> None:
    value = (CANARY.identity() | CANARY.narrative())[field]

    assert CANARY.search(value.encode())


def test_what_holds_another_canary_is_clean() -> None:
    other = spellings(Canary())

    assert CANARY.search(b"\n".join(other.values())) == []


def test_random_bytes_and_text_are_clean() -> None:
    noise = random.Random(11).randbytes(2_000_000)

    assert CANARY.search(noise + noise.hex().encode()) == []
