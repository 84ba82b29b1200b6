"""A network operator that speaks SMPP 3.4 and fails as a test wants: late, missing, failed and repeated reports."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import Final

_HEADER: Final = struct.Struct(">IIII")
_RESPONSE: Final = 0x80000000
_BINDS: Final = (0x01, 0x02, 0x09)
_SUBMIT, _DELIVER, _UNBIND, _ENQUIRE = 0x04, 0x05, 0x06, 0x15
_IS_RECEIPT: Final = 0x04
_HAS_HEADER: Final = 0x40


class Status(IntEnum):
    """What the operator answers to an SMS; numbers of SMPP 3.4, section 5.1.3."""

    TAKEN = 0x00
    INVALID_NUMBER = 0x0B
    QUEUE_FULL = 0x14
    THROTTLED = 0x58


@dataclass(frozen=True)
class Script:
    """What the operator does with an SMS: its answers one after the other, then its reports, such as `DELIVRD`."""

    answers: tuple[Status, ...] = ()
    """Before it takes the SMS."""
    reports: tuple[str, ...] = ("DELIVRD",)


@dataclass
class Smsc:
    """The operator: what it was given, by number as it was dialled."""

    port: int
    scripts: dict[str, Script] = field(default_factory=dict)
    taken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Number -> texts."""
    submissions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Number -> how often the gateway tried."""
    _ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _numbers: "count[int]" = field(default_factory=lambda: count(1000))
    _sequence: "count[int]" = field(default_factory=lambda: count(1))
    _gateways: list[asyncio.StreamWriter] = field(default_factory=list)

    async def report(self, number: str, state: str) -> None:
        """Reports what came of the last SMS to a number."""
        message_id = self._ids[number][-1]
        text = (
            f"id:{message_id} sub:001 dlvrd:001 submit date:2611271500 done date:2611271501 stat:{state} err:000 text:"
        )
        await self._deliver(number, "Simpul", text, _IS_RECEIPT)

    async def send(self, number: str, text: str) -> None:
        """Delivers an SMS that a phone has sent."""
        await self._deliver(number, "98000", text, 0)

    async def send_in_parts(self, number: str, *parts: str) -> None:
        """Delivers the parts of one long SMS that a phone has sent, the last one first."""
        for place in range(len(parts), 0, -1):
            # 3GPP TS 23.040, 9.2.3.24.1: reference, number of parts, place.
            header = bytes((5, 0, 3, 7, len(parts), place))
            await self._deliver(number, "98000", parts[place - 1], _HAS_HEADER, header)

    async def _deliver(self, source: str, destination: str, text: str, esm_class: int, header: bytes = b"") -> None:
        content = header + text.encode()
        addresses = b"\1\1" + source.encode() + b"\0" + b"\0\1" + destination.encode() + b"\0"
        options = bytes((esm_class, 0, 0)) + b"\0\0" + bytes(4)
        body = b"\0" + addresses + options + bytes((len(content),)) + content
        await _write(self._gateways[-1], _DELIVER, 0, next(self._sequence), body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talks with one gateway."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, command, _, sequence = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                body = await reader.readexactly(length - _HEADER.size)
                if command in _BINDS:
                    await _write(writer, command | _RESPONSE, 0, sequence, b"operator\0")
                    self._gateways.append(writer)
                elif command == _SUBMIT:
                    await self._take(writer, sequence, body)
                elif command in (_ENQUIRE, _UNBIND):
                    await _write(writer, command | _RESPONSE, 0, sequence, b"")

    async def _take(self, writer: asyncio.StreamWriter, sequence: int, body: bytes) -> None:
        number, text = _read_submission(body)
        script = self.scripts.get(number, Script())
        tried = self.submissions[number]
        self.submissions[number] += 1
        status = script.answers[tried] if tried < len(script.answers) else Status.TAKEN
        if status is not Status.TAKEN:
            await _write(writer, _SUBMIT | _RESPONSE, status, sequence, b"\0")
            return
        self.taken[number].append(text)
        self._ids[number].append(str(next(self._numbers)))
        await _write(writer, _SUBMIT | _RESPONSE, 0, sequence, self._ids[number][-1].encode() + b"\0")
        for state in script.reports:
            await self.report(number, state)

    def disconnect(self) -> None:
        """Ends the connections, as an operator does at night."""
        while self._gateways:
            self._gateways.pop().close()


def _read_submission(body: bytes) -> tuple[str, str]:
    """Reads the number and text of a submit_sm (SMPP 3.4, section 4.4.1)."""
    rest = body.partition(b"\0")[2][2:].partition(b"\0")[2]
    number, _, rest = rest[2:].partition(b"\0")
    rest = rest[3:].partition(b"\0")[2].partition(b"\0")[2]
    length = rest[4]
    return number.decode(), rest[5 : 5 + length].decode("latin-1")


async def _write(writer: asyncio.StreamWriter, command: int, status: int, sequence: int, body: bytes) -> None:
    writer.write(_HEADER.pack(_HEADER.size + len(body), command, status, sequence) + body)
    await writer.drain()


@asynccontextmanager
async def serving_smsc(port: int) -> AsyncIterator[Smsc]:
    """Runs an operator; a gateway connects to it by itself."""
    smsc, talks = Smsc(port), set[asyncio.Task[None]]()

    async def talk_with(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await smsc.serve(reader, writer)
        finally:
            # A gateway that had connected and not logged in yet would wait for the answer for ever.
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk_with(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield smsc
    finally:
        server.close()
        smsc.disconnect()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
