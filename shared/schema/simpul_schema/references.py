"""Short references that people read aloud, computed from the random id."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

# Crockford's base 32: no I, L, O, U, so nothing is mistaken for a digit or spells a word.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _letters(identifier: UUID, count: int) -> str:
    number = identifier.int >> (128 - 5 * count)
    return "".join(_ALPHABET[number >> (5 * position) & 31] for position in reversed(range(count)))


def case_reference(case_id: UUID) -> str:
    """Returns a reference such as `K-7K3Q-2M9F`: for people, too short to be a key (40 bits)."""
    letters = _letters(case_id, 8)
    return f"K-{letters[:4]}-{letters[4:]}"


def referral_code(referral_id: UUID) -> str:
    """Returns a reference such as `R-7K3Q2M`: for people, too short to be a key (30 bits)."""
    return f"R-{_letters(referral_id, 6)}"


@dataclass(frozen=True, slots=True)
class CodeRange:
    """The ids that a code may stand for; nearly always one of them exists."""

    kind: Literal["case", "referral"]
    first: UUID
    last: UUID


_KINDS: Final[dict[tuple[str, int], Literal["case", "referral"]]] = {("K", 8): "case", ("R", 6): "referral"}
"""First letter and number of the letters after it -> what the code names."""
_MISREAD: Final = str.maketrans("OIL", "011", "- ")
"""Letters that the alphabet lacks are read as the digits that they look like; dashes and spaces do not count."""


def read_code(text: str) -> CodeRange | None:
    """Reads a code as people write it, such as `k-7k3q 2m9f`; None if the text is not a code."""
    bare = text.strip().upper().translate(_MISREAD)
    kind, letters = _KINDS.get((bare[:1], len(bare) - 1)), bare[1:]
    if kind is None or not set(letters) <= set(_ALPHABET):
        return None
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    free = 128 - 5 * len(letters)
    return CodeRange(kind, UUID(int=number << free), UUID(int=(number + 1 << free) - 1))
