"""The far end of the alerts: takes every Kannel POST at once and notes when which code came.

`python -m tests.bench.sink PORT`; GET /arrivals?FROM gives what arrived after the first FROM, as JSON.
"""

import asyncio
import json
import re
import sys
import time

import uvloop

from tests.bench.bare_http import listen, message

_CODE = re.compile(rb"R-[0-9A-Z]{6}")
_TAKEN = message("HTTP/1.1 202 Accepted", b"0: Accepted for delivery", "content-type: text/plain")


class Sink:
    """What arrived, in order."""

    def __init__(self) -> None:
        self._arrivals: list[tuple[float, str]] = []

    def answer(self, head: bytes, body: bytes) -> bytes:
        """202 to a POST, the arrivals or their number to a GET."""
        if head.startswith(b"POST"):
            found = _CODE.search(body)
            self._arrivals.append((time.time(), found[0].decode() if found else ""))
            return _TAKEN
        if head.startswith(b"GET /arrivals"):
            start = int(head.split(b" ", 2)[1].partition(b"?")[2] or 0)
            return message("HTTP/1.1 200 OK", json.dumps(self._arrivals[start:]).encode())
        return message("HTTP/1.1 200 OK", str(len(self._arrivals)).encode())


async def serve(port: int) -> None:
    """Until ended."""
    async with await listen(port, Sink().answer) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
