"""Publishes messages with properties that no client library would write, frame by frame."""

import socket
import struct
from typing import Final
from urllib.parse import unquote, urlsplit

from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Confirm, Connection

TIMESTAMP, HEADERS, MESSAGE_ID = 0x0040, 0x2000, 0x0080
"""Flags of the properties in a content header."""
_HEADER_FRAME: Final = 2


def _long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _short(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _nested(depth: int) -> bytes:
    table = _long(b"")
    for _ in range(depth):
        table = _long(_short(b"a") + b"F" + table)
    return table


FAULTY_PROPERTIES: Final = {
    "timestamp far in the future": (TIMESTAMP, struct.pack(">Q", 2**62)),
    "timestamp in microseconds": (TIMESTAMP, struct.pack(">Q", 1_790_000_000_000_000)),
    "timestamp of all ones": (TIMESTAMP, struct.pack(">Q", 2**64 - 1)),
    "header with a timestamp far in the future": (
        HEADERS, _long(_short(b"at") + b"T" + struct.pack(">Q", 2**62)),
    ),
    "header whose name is not UTF-8": (HEADERS, _long(_short(b"\xff\xfe") + b"t\x01")),
    "headers nested two thousand deep": (HEADERS, _nested(2_000)),
    "message id that is not UTF-8": (MESSAGE_ID, _short(b"\xff\xfe")),
}  # fmt: skip
"""name -> (flags, bytes)"""


def signature_property(signature: str) -> tuple[int, bytes]:
    """Returns the header of a signed message as flags and bytes; empty without a signature."""
    if not signature:
        return 0, b""
    return HEADERS, _long(_short(b"simpul-signature") + b"S" + _long(signature.encode()))


class RawPublisher:
    """A connection with publisher confirms."""

    def __init__(self, amqp_url: str) -> None:
        parts = urlsplit(amqp_url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5672), 10)
        self._read = self._socket.makefile("rb")
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(Connection.Start)
        login = f"\0{unquote(parts.username or '')}\0{unquote(parts.password or '')}"
        self._send(0, Connection.StartOk({}, "PLAIN", login, "en_US"))
        self._expect(Connection.Tune)
        self._send(0, Connection.TuneOk(10, 131_072, 0))
        self._send(0, Connection.Open(unquote(parts.path.strip("/")) or "/"))
        self._expect(Connection.OpenOk)
        self._send(1, Channel.Open())
        self._expect(Channel.OpenOk)
        self._send(1, Confirm.Select())
        self._expect(Confirm.SelectOk)

    def publish(self, body: bytes, exchange: str, routing_key: bytes, flags: int = 0, properties: bytes = b"") -> None:
        """Publishes a message and waits for the broker's confirm."""
        arguments = struct.pack(">HHH", 60, 40, 0) + _short(exchange.encode()) + _short(routing_key) + b"\0"
        self._socket.sendall(self._frame(1, arguments))
        header = struct.pack(">HHQH", 60, 0, len(body), flags) + properties
        self._socket.sendall(self._frame(_HEADER_FRAME, header))
        self._send(1, ContentBody(body))
        self._expect(Basic.Ack)

    def close(self) -> None:
        """Closes the socket without closing AMQP."""
        self._read.close()
        self._socket.close()

    def _send(self, channel: int, value: frame.FrameTypes) -> None:
        self._socket.sendall(frame.marshal(value, channel))

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"

    def _expect(self, kind: type) -> None:
        head = self._read.read(7)
        payload = self._read.read(struct.unpack(">I", head[3:])[0] + 1)
        _, _, found = frame.unmarshal(head + payload)
        assert isinstance(found, kind), found
