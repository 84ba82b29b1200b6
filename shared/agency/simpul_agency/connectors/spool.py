"""Exchanges files with other software: each event as JSON, the services of all in one CSV file, and replies as JSON."""

import asyncio
import csv
import json
import os
import threading
from collections.abc import Sequence
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, Final

import structlog

from simpul_agency.connectors.event_document import COLUMNS, event_document, flat_rows, without_sections
from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, SubmitReply
from simpul_agency.received_event import ReceivedEvent
from simpul_schema.messages import DossierWithdrawnV1

_FORMULA_SIGNS: Final = ("=", "+", "-", "@")

log = structlog.get_logger()


class SpoolConnector:
    """Writes `new/<event id>.json` and `referrals.csv`; reads `replies/*.json`, and moves invalid ones to `rejected/`.

    The CSV file has a row for each service of an event. A file in `replies/` has one reply or a list of replies. Each
    rejected file has a `.reason.txt` next to it.
    """

    def __init__(self, folder: Path) -> None:
        self._new = folder / "new"
        self._replies = folder / "replies"
        self._rejected = self._replies / "rejected"
        self._table = folder / "referrals.csv"
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Creates the folders; only their owner can read them unless the agency changes that."""
        for path in (self._new, self._rejected):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(self._set_aside_earlier_columns)

    async def close(self) -> None:
        """Releases nothing."""

    async def deliver(self, received: ReceivedEvent[Any]) -> Sequence[ReplyCommand]:
        """Writes the files; writing the same event again changes nothing."""
        await asyncio.to_thread(self._write, received)
        return ()

    async def poll_replies(self, submit: SubmitReply) -> None:
        """Submits the files in `replies/`, each once."""
        for path in await asyncio.to_thread(lambda: sorted(self._replies.glob("*.json"))):
            try:
                for command in ReplyCommand.parse_all(path.read_bytes()):
                    await submit(command, f"spool/{path.name}/{command.digest}")
                path.unlink()
            except InvalidReply as error:
                log.error("reply_rejected", error=type(error).__name__)
                path.replace(self._rejected / path.name)
                (self._rejected / f"{path.name}.reason.txt").write_text(f"{error}\n", encoding="utf-8")
            except OSError as error:
                log.error("reply_unreadable", error=type(error).__name__)

    def _write(self, received: ReceivedEvent[Any]) -> None:
        path = self._new / f"{received.event.id}.json"
        with self._lock:
            if not path.exists():
                # The rows first: after a crash they may be there twice, but are never missing.
                self._append(flat_rows(received))
            self._replace(path, json.dumps(event_document(received), indent=1, ensure_ascii=False))
            if isinstance(received.event, DossierWithdrawnV1):
                self._delete_withdrawn(received.event)

    def _delete_withdrawn(self, event: DossierWithdrawnV1) -> None:
        """Removes withdrawn sections from the files of the referral that are still there."""
        for path in self._new.glob("*.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["data"].get("referral_id") == str(event.data.referral_id):
                remaining = without_sections(document, event.data.sections)
                if remaining != document:
                    self._replace(path, json.dumps(remaining, indent=1, ensure_ascii=False))

    def _replace(self, path: Path, content: str) -> None:
        # A program that watches the folder must see complete files only.
        partial = path.with_suffix(".part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        partial.replace(path)

    def _set_aside_earlier_columns(self) -> None:
        """Renames a file with the columns of an earlier version, because its rows would not fit those of this one."""
        header = self._table.read_text(encoding="utf-8").partition("\n")[0].strip() if self._table.exists() else ""
        if header and header != ",".join(COLUMNS):
            names = (self._table.with_name(f"referrals.{number}.csv") for number in count(1))
            self._table.rename(next(name for name in names if not name.exists()))

    def _append(self, rows: Sequence[dict[str, str]]) -> None:
        lines = StringIO()
        writer = csv.DictWriter(lines, COLUMNS)
        if not self._table.exists():
            writer.writeheader()
        for row in rows:
            # A spreadsheet would run a cell that begins like a formula.
            writer.writerow(
                {name: f"'{value}" if value.startswith(_FORMULA_SIGNS) else value for name, value in row.items()}
            )
        with os.fdopen(os.open(self._table, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", newline="") as file:
            file.write(lines.getvalue())
