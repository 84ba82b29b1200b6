"""What the pages about accounts say when something does not work, and how they write times."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from simpul_desk.access.emergency_access import MIN_REASON
from simpul_desk.access.errors import (
    CaseUnknown,
    CodeWrong,
    LoginBlocked,
    LoginNameInvalid,
    LoginNameTaken,
    LoginRefused,
    NameInvalid,
    PasskeyRefused,
    ReasonMissing,
)
from simpul_desk.access.password import MAX_LENGTH, MIN_LENGTH, PasswordFault, PasswordUnsuitable
from simpul_schema.translations import gettext_noop, load_translations

_LOGIN_REFUSED: Final = gettext_noop("Login name or password are not right. Check both and try again.")
_WRONG_PASSWORD: Final = gettext_noop("The current password is not right.")
_WAIT: Final = gettext_noop("Too many attempts failed. Wait {minutes} minutes and try again.")
_CODE_WRONG: Final = gettext_noop(
    "That code is not right, or it was used already. Wait for the next one, and check that the phone's clock is right."
)
_PASSKEY_REFUSED: Final = gettext_noop("The passkey was not taken. Try again, or sign in with your password and code.")
_REASON_MISSING: Final = gettext_noop("Write in at least {minimum} characters why you cannot wait.")
_OTHERS: Final[Mapping[type[Exception], str]] = {
    CodeWrong: _CODE_WRONG,
    PasskeyRefused: _PASSKEY_REFUSED,
    CaseUnknown: gettext_noop("No case that you may ask for has this reference. Check it."),
    LoginNameInvalid: gettext_noop(
        "A login name has 3 to 60 small letters, digits, dots, hyphens, underscores or an @."
    ),
    LoginNameTaken: gettext_noop("Somebody has this login name already; choose another."),
    NameInvalid: gettext_noop("A name has 2 to 100 characters."),
}
_PASSWORDS: Final = {
    PasswordFault.TOO_SHORT: gettext_noop("The password is too short: write at least {minimum} characters."),
    PasswordFault.TOO_LONG: gettext_noop("The password is too long: write at most {maximum} characters."),
    PasswordFault.EASY_TO_GUESS: gettext_noop(
        "This password is guessed quickly: it is common, or follows a pattern or your name. Choose several words that "
        "only you put together."
    ),
}


def describe_error(language: str, error: Exception, *, is_signed_in: bool = False) -> str:
    """Returns what a person reads about an error of access."""
    if isinstance(error, PasswordUnsuitable):
        return _say(language, _PASSWORDS[error.fault], minimum=MIN_LENGTH, maximum=MAX_LENGTH)
    if isinstance(error, LoginBlocked):
        return _say(language, _WAIT, minutes=ceil(error.wait.total_seconds() / 60))
    if isinstance(error, ReasonMissing):
        return _say(language, _REASON_MISSING, minimum=MIN_REASON)
    if isinstance(error, LoginRefused):
        return _say(language, _WRONG_PASSWORD if is_signed_in else _LOGIN_REFUSED)
    return _say(language, _OTHERS[type(error)])


def moment_formatter(language: str, zone: ZoneInfo) -> Callable[[datetime], str]:
    """Returns what writes a time in words, in the city's zone."""

    def write(moment: datetime) -> str:
        return format_datetime(moment.astimezone(zone), "d MMMM yyyy HH.mm z", locale=language)

    return write


def _say(language: str, message: str, **values: object) -> str:
    return load_translations("simpul_desk")[language].gettext(message).format(**values)
