"""Short references that people read aloud; anybody can compute them from the random id."""

from uuid import UUID

# Crockford's base 32: no I, L, O, U, so nothing is mistaken for a digit or spells a word.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _letters(identifier: UUID, count: int) -> str:
    number = identifier.int >> (128 - 5 * count)
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(count)))


def case_reference(case_id: UUID) -> str:
    """Such as `K-7K3Q-2M9F`: a handle for people, not a key (40 bits)."""
    letters = _letters(case_id, 8)
    return f"K-{letters[:4]}-{letters[4:]}"


def referral_code(referral_id: UUID) -> str:
    """Such as `R-7K3Q2M`: a handle for people, not a key (30 bits)."""
    return f"R-{_letters(referral_id, 6)}"
