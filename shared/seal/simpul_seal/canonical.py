"""The RFC 8785 form of the JSON that Simpul exchanges: strings, booleans, null, whole numbers, arrays, objects."""

import json
from typing import Any

_MAX_SAFE_INTEGER = 2**53 - 1


class NotCanonical(ValueError):
    """The value has something the contract never uses: a fraction, a huge number or a key outside ASCII."""


def canonical(value: Any) -> bytes:
    """The bytes that are signed.

    Events hold no fractions and only ASCII keys, and for these the standard library's encoder writes exactly
    RFC 8785; anything else is refused. (The tests compare it with an independent implementation.)
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Any) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is dict:
        for key, item in value.items():
            if not key.isascii():
                msg = "object keys must be ASCII"
                raise NotCanonical(msg)
            _check(item)
    elif kind is list or kind is tuple:
        for item in value:
            _check(item)
    elif kind is not int or abs(value) > _MAX_SAFE_INTEGER:
        msg = f"{kind.__name__} has no canonical form here"
        raise NotCanonical(msg)
