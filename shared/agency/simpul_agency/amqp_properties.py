"""Reads deliveries whose AMQP properties cannot be read.

One such property breaks pamqp's frame reader: the connection is lost, the broker delivers the message again, and
nothing behind it ever arrives. A client that writes its timestamp in microseconds does this by accident. What cannot be
read is left out. Of all properties only the signature among the headers counts, and headers come before the timestamp;
a message whose headers cannot be read is parked as unsigned. The services and the kit have each a copy of this file,
for they share no package that knows AMQP.
"""

import contextlib
from typing import Any, Final

from pamqp import decode
from pamqp.commands import Basic

_READ: Final = Basic.Properties.unmarshal
_PERSISTENCE: Final = (None, 1, 2)


def read_deliveries_with_faulty_properties() -> None:
    """Make pamqp tolerant in this process; doing it again changes nothing."""
    Basic.Properties.unmarshal = _read_what_can_be_read  # type: ignore[method-assign]
    decode.METHODS["shortstr"] = _short_text


def _read_what_can_be_read(self: Any, flags: int, data: bytes) -> None:
    # RecursionError, for a table may hold a table; OverflowError and OSError, for a moment may lie far out. After one
    # that cannot be read, the length of which is unknown, the others cannot be found.
    with contextlib.suppress(Exception):
        _READ(self, flags, data)
    # aio-pika refuses the message for these.
    if self.delivery_mode not in _PERSISTENCE:
        self.delivery_mode = None
    if not (self.expiration or "0").isdecimal():
        self.expiration = None


def _short_text(value: bytes) -> tuple[int, str]:
    """A routing key or a name; a broker takes any bytes there, also such as are not UTF-8."""
    try:
        length = value[0]
    except IndexError as error:
        msg = "a short string is missing"
        raise ValueError(msg) from error
    return length + 1, value[1 : length + 1].decode("utf-8", "backslashreplace")
