"""Reads `never-contact.txt`: the numbers and mail addresses that a city never uses."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from simpul_notify.domain.numbers import bare_digits
from simpul_notify.errors import NeverContactInvalid

FILE_NAME: Final = "never-contact.txt"
"""Its name in the folder of a city."""
POLL_INTERVAL: Final = 10.0
"""Seconds between two checks for a change."""
_MIN_DIGITS: Final = 6

log = structlog.get_logger()


def read_never_contact(path: Path) -> frozenset[str]:
    """Reads a file with one number or mail address a line; `#` begins a comment; a missing file lists nothing.

    Raises NeverContactInvalid with the number of a line that is neither; the line itself is not repeated.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(
        _read_entry(path, number, entry)
        for number, line in enumerate(lines, 1)
        if (entry := line.partition("#")[0].strip())
    )


def _read_entry(path: Path, number: int, entry: str) -> str:
    digits = bare_digits(entry)
    if "@" in entry and " " not in entry:
        return entry.lower()
    if digits.isdecimal() and len(digits) >= _MIN_DIGITS:
        return digits
    msg = f"{path}:{number}: neither a phone number nor a mail address"
    raise NeverContactInvalid(msg)


class WatchedNeverContact:
    """The list of a city's folder, read again when it changes; after a fault the last list stays in use."""

    def __init__(self, path: Path) -> None:
        """Reads the list; raises NeverContactInvalid."""
        self._path = path
        self.current = read_never_contact(path)
        self._fault = ""

    def find_warnings(self) -> list[str]:
        """Finds what is wrong in the file."""
        return [self._fault] if self._fault else []

    async def watch(self) -> None:
        """Reads the list again and again, until cancelled; it is short."""
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            await asyncio.to_thread(self.read_again)

    def read_again(self) -> None:
        """Reads the list; a fault is logged once and named among the warnings."""
        try:
            self.current, fault = read_never_contact(self._path), ""
        except (NeverContactInvalid, OSError, UnicodeDecodeError) as error:
            fault = str(error) if isinstance(error, NeverContactInvalid) else f"{self._path} cannot be read"
        if fault and fault != self._fault:
            log.error("never_contact_refused")
        self._fault = fault
