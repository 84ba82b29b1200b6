"""Makes pamqp read deliveries with invalid AMQP properties.

One invalid property breaks pamqp's frame reader: the connection is lost, the broker delivers the message again, and no
message behind it is ever delivered. A client that writes its timestamp in microseconds causes this by accident. Invalid
properties are left out instead. Only the signature among the headers matters, and headers come before the timestamp; a
message whose headers are invalid is parked as unsigned.

Needs the extra `amqp`, as `amqp_channels` does; no other module of this package imports an AMQP library.
"""

import contextlib
from typing import Any, Final

from pamqp import decode
from pamqp.commands import Basic

_UNMARSHAL: Final = Basic.Properties.unmarshal
_VALID_DELIVERY_MODES: Final = (None, 1, 2)


def tolerate_invalid_properties() -> None:
    """Patches pamqp in this process; calling it again changes nothing."""
    Basic.Properties.unmarshal = _unmarshal_valid  # type: ignore[method-assign]
    decode.METHODS["shortstr"] = _decode_short_string


def _unmarshal_valid(self: Any, flags: int, data: bytes) -> None:
    # Among the errors are RecursionError for nested tables, and OverflowError and OSError for times out of range. The
    # length of an invalid property is unknown, so those after it are lost.
    with contextlib.suppress(Exception):
        _UNMARSHAL(self, flags, data)
    # aio-pika refuses a message with an invalid value in one of these.
    if self.delivery_mode not in _VALID_DELIVERY_MODES:
        self.delivery_mode = None
    if not (self.expiration or "0").isdecimal():
        self.expiration = None


def _decode_short_string(value: bytes) -> tuple[int, str]:
    """Decodes a routing key or a name; a broker accepts any bytes in it, not only UTF-8."""
    try:
        length = value[0]
    except IndexError as error:
        msg = "a short string is missing"
        raise ValueError(msg) from error
    return length + 1, value[1 : length + 1].decode("utf-8", "backslashreplace")
