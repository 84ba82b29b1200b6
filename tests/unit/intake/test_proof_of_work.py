"""A proof of work belongs to one report, and is checked without work."""

from itertools import count
from uuid import UUID

import pytest

from simpul_intake.proof_of_work import is_proven, proof_digest

# Proven by one of the first hundred numbers, where most reports need tens of thousands.
REPORT = UUID("3b6c9c6e-6f0a-4f4e-9a55-0c8d0f1bc6c0")
OTHER = UUID("3b6c9c6e-6f0a-4f4e-9a55-0c8d0f1bc6c1")


def find_proof(report_id: UUID) -> str:
    """Works like `proof.js`."""
    return next(number for number in map(str, count()) if is_proven(report_id, number))


def test_a_proof_is_found_and_belongs_to_one_report() -> None:
    proof = find_proof(REPORT)

    assert proof_digest(REPORT, proof).hex().startswith("0000")
    assert not is_proven(OTHER, proof)
    assert not is_proven(REPORT, str(int(proof) - 1))


@pytest.mark.parametrize("number", ["", "-1", "x", "1 ", " 1", "1.0", "٣", "9" * 13, "1\n"], ids=range(9))
def test_what_is_not_a_number_is_no_proof(number: str) -> None:
    assert not is_proven(REPORT, number)
