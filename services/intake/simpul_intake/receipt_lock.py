"""Locks out clients that guess receipts, each client for each case, so that nobody else is locked out."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from simpul_intake.errors import ReceiptLocked
from simpul_intake.networks import network_of

FREE_ATTEMPTS: Final = 5
"""Wrong receipts before the first lock; a person mistypes words."""
FIRST_LOCK: Final = timedelta(minutes=1)
"""Doubles with each wrong receipt after it."""
LONGEST_LOCK: Final = timedelta(hours=24)
MAX_ENTRIES: Final = 10_000
"""Above it the entry that was used least recently is forgotten, so that a flood cannot fill the memory."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    locked_until: datetime | None = None


class ReceiptLock:
    """Wrong receipts since the last right one, in the memory of one process; addresses are stored nowhere else."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[UUID, str], _Failures] = OrderedDict()

    def check(self, case_id: UUID, address: str, now: datetime) -> None:
        """Raises ReceiptLocked while this client has to wait before it may try this case again."""
        failures = self._failures.get((case_id, network_of(address)))
        if failures and failures.locked_until and failures.locked_until > now:
            raise ReceiptLocked(failures.locked_until - now)

    def record_failure(self, case_id: UUID, address: str, now: datetime) -> None:
        """Counts a wrong receipt."""
        key = (case_id, network_of(address))
        failures = self._failures.setdefault(key, _Failures())
        self._failures.move_to_end(key)
        failures.count += 1
        if failures.count >= FREE_ATTEMPTS:
            doublings = min(failures.count - FREE_ATTEMPTS, 30)
            failures.locked_until = now + min(FIRST_LOCK * 2**doublings, LONGEST_LOCK)
        while len(self._failures) > MAX_ENTRIES:
            self._failures.popitem(last=False)

    def record_success(self, case_id: UUID, address: str) -> None:
        """Forgets the wrong receipts of a client that has the right one."""
        self._failures.pop((case_id, network_of(address)), None)
