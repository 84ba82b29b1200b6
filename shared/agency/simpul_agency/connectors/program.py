"""Starts a command for each event, which reads the event from its input and may write replies to its output."""

import asyncio
import json
import os
import shlex
from collections.abc import Sequence
from typing import Any, Final

from simpul_agency.connectors.connector import DeliveryFailed, PushConnector
from simpul_agency.connectors.event_document import event_document
from simpul_agency.connectors.reply_command import ReplyCommand
from simpul_agency.received_event import ReceivedEvent

PROGRAM_TIMEOUT: Final = 60.0
"""Seconds until a command that does not end is killed."""


class ProgramConnector(PushConnector):
    """Runs the command again later unless its exit code is 0."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    async def deliver(self, received: ReceivedEvent[Any]) -> Sequence[ReplyCommand]:
        """Runs the command; raises DeliveryFailed when it fails or does not end in time."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The command must not see the broker's password and the paths of the keys.
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
        running = process.communicate(json.dumps(event_document(received)).encode())
        try:
            output, _ = await asyncio.wait_for(running, PROGRAM_TIMEOUT)
        except asyncio.TimeoutError as error:
            process.kill()
            await process.wait()
            msg = f"the command did not end within {PROGRAM_TIMEOUT:.0f} s"
            raise DeliveryFailed(msg) from error
        if process.returncode:
            msg = f"the command ended with exit code {process.returncode}"
            raise DeliveryFailed(msg)
        return ReplyCommand.parse_all(output) if output.strip() else ()
