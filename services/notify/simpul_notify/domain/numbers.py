"""Phone numbers as people, offices and gateways write them."""

import re
from typing import Final

import phonenumbers

_SEPARATORS: Final = re.compile(r"[\s().+/-]")


def bare_digits(written: str) -> str:
    """Returns a number without what people write between its digits."""
    return _SEPARATORS.sub("", written)


def written_forms(address: str) -> frozenset[str]:
    """Returns how a number in international form (`+62812…`) may be written: `62812…`, `0812…` and `0062812…`.

    A mail address has one form: in small letters.
    """
    if "@" in address:
        return frozenset({address.strip().lower()})
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return frozenset({bare_digits(address)})
    national = phonenumbers.national_significant_number(number)
    return frozenset({f"{number.country_code}{national}", f"0{national}", f"00{number.country_code}{national}"})


def is_same_number(written: str, number: str) -> bool:
    """Whether `0812…`, `62812…` or `+62812…`, with spaces or hyphens, is a number in international form."""
    return bare_digits(written) in written_forms(number)


def mask_address(address: str) -> str:
    """Returns a number or mail address by which its owner can recognise it, and nobody else can use it."""
    name, at, host = address.partition("@")
    return f"{name[:1]}…@{host}" if at else f"…{address[-3:]}"
