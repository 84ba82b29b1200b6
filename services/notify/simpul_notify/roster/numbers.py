"""Reads phone numbers as people write them."""

import re
from typing import Final

import phonenumbers

from simpul_notify.errors import NumberInvalid

_WRITTEN: Final = re.compile(r"\+?[0-9 .-]+")
"""How a phone number may be written; the parser would take letters and what follows them for digits."""
_MOBILE: Final = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


def normalize_mobile_number(written: str, country: str) -> str:
    """Normalizes `08…`, `62…` and `+62…` to `+62…`.

    Raises NumberInvalid for anything but a mobile number of the country. The reason does not repeat the number,
    because it is logged.
    """
    if not written.strip():
        msg = "has no phone number"
        raise NumberInvalid(msg)
    if not _WRITTEN.fullmatch(written.strip()):
        msg = "has a phone number with something else in it: write digits, spaces and hyphens only"
        raise NumberInvalid(msg)
    calling_code = str(phonenumbers.country_code_for_region(country))
    international = f"+{written.strip()}" if written.strip().startswith(calling_code) else written.strip()
    try:
        number = phonenumbers.parse(international, country)
    except phonenumbers.NumberParseException:
        msg = "has a phone number that cannot be read"
        raise NumberInvalid(msg) from None
    if not phonenumbers.is_valid_number_for_region(number, country):
        msg = f"has a phone number that does not exist in {country}: write 08…, {calling_code}… or +{calling_code}…"
        raise NumberInvalid(msg)
    if phonenumbers.number_type(number) not in _MOBILE:
        msg = "has a phone number that is not a mobile number, so no SMS reaches it"
        raise NumberInvalid(msg)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
