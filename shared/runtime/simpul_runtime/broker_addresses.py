"""The addresses of a broker: of one server, or of the nodes of a cluster."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError

_BETWEEN: Final = re.compile(r"\s*,\s*(?=amqps?://)")


class BrokerAddresses:
    """Addresses that are tried in turn, so that each attempt after a failure is at the next node."""

    def __init__(self, setting: str) -> None:
        """Takes `amqp://user:password@host:port/vhost`, or several of them with a comma between."""
        self.all: Sequence[str] = tuple(_BETWEEN.split(setting.strip()))
        self._tried = 0

    async def connect(self) -> AbstractConnection:
        """Connects to the first node that answers; raises the error of the last one if none does."""
        for address in self.all[:-1]:
            with suppress(AMQPError, OSError):
                return await aio_pika.connect(address)
        return await aio_pika.connect(self.all[-1])

    def next(self) -> str:
        """Returns the address for the next attempt."""
        address = self.all[self._tried % len(self.all)]
        self._tried += 1
        return address
