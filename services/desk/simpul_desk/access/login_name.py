"""Names with which people sign in."""

import re
from typing import Final

from simpul_desk.access.errors import LoginNameInvalid, NameInvalid

_LOGIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,58}[a-z0-9]")
_NAME_LENGTHS: Final = range(2, 101)


def normalize_login_name(typed: str) -> str:
    """Returns the login name that somebody typed; empty for what cannot be one, which no account has."""
    name = typed.strip().lower()
    return name if _LOGIN_NAME.fullmatch(name) else ""


def check_login_name(typed: str) -> str:
    """Returns a new login name; raises LoginNameInvalid."""
    name = normalize_login_name(typed)
    if not name:
        raise LoginNameInvalid
    return name


def check_name(typed: str) -> str:
    """Returns the name of a person as it is shown; raises NameInvalid."""
    name = " ".join(typed.split())
    if len(name) not in _NAME_LENGTHS or not name.isprintable():
        raise NameInvalid
    return name
