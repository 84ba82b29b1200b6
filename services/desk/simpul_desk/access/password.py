"""Which passwords are accepted, after NIST SP 800-63B: long and not guessed soon, without rules about characters."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from unicodedata import normalize

from zxcvbn import zxcvbn

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 200
"""Characters. NIST asks for at least 64; more than this is not typed by a person."""
MIN_GUESSES: Final = 10**8
"""Guesses that somebody with lists of leaked passwords needs at least."""
_JUDGED: Final = 72
"""Characters that zxcvbn judges; its time grows with the square of their number."""
_EXPECTED: Final = (
    "simpul", "meja", "kediri", "indonesia", "satgas", "perlindungan", "anak", "kasus", "rujukan", "rahasia", "sandi",
    "katasandi", "bismillah", "merdeka", "sayang", "cinta", "garuda", "pancasila",
)  # fmt: skip
"""Words that somebody who attacks this service tries first, which the lists of English passwords lack."""


class PasswordFault(StrEnum):
    """Why a password is not accepted."""

    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    EASY_TO_GUESS = "easy_to_guess"


class PasswordUnsuitable(ValueError):
    """The password is not accepted."""

    def __init__(self, fault: PasswordFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def normalize_password(password: str) -> str:
    """Returns the password as it is hashed, so that two keyboards that write it differently agree."""
    return normalize("NFKC", password)


def check_password(password: str, personal: Iterable[str]) -> None:
    """Checks a new password; `personal` is what others know of the person. Raises PasswordUnsuitable."""
    normalized = normalize_password(password)
    if len(normalized) < MIN_LENGTH:
        raise PasswordUnsuitable(PasswordFault.TOO_SHORT)
    if len(normalized) > MAX_LENGTH:
        raise PasswordUnsuitable(PasswordFault.TOO_LONG)
    expected = [*_EXPECTED, *(part for text in personal for part in re.split(r"\W+", text.lower()) if part)]
    if zxcvbn(normalized[:_JUDGED], user_inputs=expected)["guesses"] < MIN_GUESSES:
        raise PasswordUnsuitable(PasswordFault.EASY_TO_GUESS)
