"""Codes on paper for whoever has lost their phone."""

import base64
import secrets
from typing import Final

COUNT: Final = 8
"""Codes that a person gets at once."""
_BYTES: Final = 10
_GROUP: Final = 4


def new_codes() -> list[str]:
    """Returns codes of 80 random bits, in small letters and digits that are read without doubt."""
    return [base64.b32encode(secrets.token_bytes(_BYTES)).decode().lower() for _ in range(COUNT)]


def show_code(code: str) -> str:
    """Returns a code in groups, as a person writes it down."""
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def read_code(typed: str) -> str:
    """Returns what a person typed as the code that it may be."""
    return "".join(one for one in typed.lower() if one.isalnum())
