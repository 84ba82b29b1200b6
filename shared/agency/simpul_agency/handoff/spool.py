"""Files for software that knows files: each event as JSON, a table as CSV, and replies put beside them."""

import asyncio
import csv
import json
import os
import threading
from io import StringIO
from pathlib import Path
from typing import Any, Optional

import structlog

from simpul_agency.handoff.document import COLUMNS, document, flat
from simpul_agency.handoff.said import NotUnderstood, Said, Say
from simpul_agency.received import Received

log = structlog.get_logger()


class Spool:
    """`new/<event id>.json`, `referrals.csv`, `replies/*.json`; what is no reply moves to `replies/wrong/`."""

    def __init__(self, folder: Path) -> None:
        self._new = folder / "new"
        self._replies = folder / "replies"
        self._wrong = self._replies / "wrong"
        self._table = folder / "referrals.csv"
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Make the folders; who may see them is the agency's to say, by default their owner alone."""
        for path in (self._new, self._wrong):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def close(self) -> None:
        """Nothing was kept."""

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """Write the files; the same event written again changes nothing."""
        await asyncio.to_thread(self._write, received)
        return None

    async def listen(self, say: Say) -> None:
        """Say what was put into the folder, each file once."""
        for path in await asyncio.to_thread(lambda: sorted(self._replies.glob("*.json"))):
            try:
                said = Said.read(path.read_bytes())
                await say(said, f"spool/{path.name}/{said.digest}")
                path.unlink()
            except NotUnderstood as error:
                log.error("reply_not_understood", error=type(error).__name__)
                path.replace(self._wrong / path.name)
                (self._wrong / f"{path.name}.why.txt").write_text(f"{error}\n", encoding="utf-8")
            except OSError as error:
                log.error("reply_not_read", error=type(error).__name__)

    def _write(self, received: Received[Any]) -> None:
        path = self._new / f"{received.event.id}.json"
        with self._lock:
            if not path.exists():
                # The row first: after a crash it may stand twice, and is never missing.
                self._append(flat(received))
            self._put(path, json.dumps(document(received), indent=1, ensure_ascii=False))

    def _put(self, path: Path, content: str) -> None:
        # Whoever watches the folder sees whole files only.
        beside = path.with_suffix(".part")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        beside.replace(path)

    def _append(self, row: dict[str, str]) -> None:
        lines = StringIO()
        writer = csv.DictWriter(lines, COLUMNS)
        if not self._table.exists():
            writer.writeheader()
        # A cell that begins like a formula would be one in a spreadsheet.
        writer.writerow({name: f"'{value}" if value[:1] in tuple("=+-@") else value for name, value in row.items()})
        with os.fdopen(os.open(self._table, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", newline="") as file:
            file.write(lines.getvalue())
