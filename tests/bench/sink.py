"""A sink for messages to people: accepts every Kannel POST at once, and counts them.

`python -m tests.bench.sink PORT`; GET /count returns their number.
"""

import asyncio
import sys

import uvloop

from tests.bench.bare_http import listen, message

_TAKEN = message("HTTP/1.1 202 Accepted", b"0: Accepted for delivery", "content-type: text/plain")


class Sink:
    """The number of messages."""

    def __init__(self) -> None:
        self._count = 0

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Answers a POST with 202, and a GET with the number of messages."""
        if head.startswith(b"POST"):
            self._count += 1
            return _TAKEN
        return message("HTTP/1.1 200 OK", str(self._count).encode())


async def serve(port: int) -> None:
    """Serves until the process is stopped."""
    async with await listen(port, Sink().answer) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
