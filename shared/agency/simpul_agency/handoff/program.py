"""Starts a command for each event, which reads it from its input and may write a reply to its output."""

import asyncio
import json
import os
import shlex
from typing import Any, Optional

from simpul_agency.handoff.document import document
from simpul_agency.handoff.said import Said, Say
from simpul_agency.handoff.webhook import NotTaken
from simpul_agency.received import Received

END_WITHIN = 60.0
"""Seconds until a command that does not end is ended."""


class Program:
    """Exit code 0 takes the event; anything else has it started again later."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    async def open(self) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing was kept."""

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """Start it; NotTaken when it fails or does not end."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The keys and the broker's password are none of its business.
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
        talking = process.communicate(json.dumps(document(received)).encode())
        try:
            words, _ = await asyncio.wait_for(talking, END_WITHIN)
        except asyncio.TimeoutError as error:
            process.kill()
            await process.wait()
            msg = f"did not end within {END_WITHIN:.0f} s"
            raise NotTaken(msg) from error
        if process.returncode:
            msg = f"ended with {process.returncode}"
            raise NotTaken(msg)
        return Said.read(words) if words.strip() else None

    async def listen(self, say: Say) -> None:
        """Later replies come by another way."""
