"""Keeps the signed heads of the city's audits, and notices when the city's history was rewritten.

Nobody in the city can change what agencies keep. So whoever rewrites an audit, even with the service's own key,
contradicts them: at once when the service states an earlier head again, and in any case when the city's auditor
compares the audit with the heads that `simpul-agency audit export` wrote.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Optional

import structlog

from simpul_agency.store import Store
from simpul_schema.catalog import SERVICES
from simpul_seal import ContradictedHead, Contradiction, SignedHead, find_contradictions

RETRY_DELAY: Final = 60.0
"""Seconds until the store is read again after a failure."""
MAX_AGE: Final = timedelta(hours=4)
"""A service states its head each hour; without one for so long the history since then is not witnessed."""
_PROBLEMS: Final = {
    Contradiction.OTHER_HISTORY: "the city's {service} has signed two histories of the time before {before}",
    Contradiction.SHORTER: "the city's {service} has deleted the end of its history by {before}",
}

log = structlog.get_logger()


def explain_contradiction(one: ContradictedHead) -> str:
    """Explains a contradiction to whoever runs the agency's consumer."""
    return _PROBLEMS[one.contradiction].format(service=one.service, before=one.before.isoformat())


def find_silent(heads: Iterable[SignedHead], now: datetime) -> list[str]:
    """Lists the services whose heads are withheld: none came for hours, or ever."""
    newest = {head.service: head.before for head in sorted(heads, key=lambda one: one.before)}
    return [name for name in SERVICES if name not in newest or now - newest[name] > MAX_AGE]


class Witness:
    """Compares the kept heads whenever new ones came, and reports contradictions that no person has acknowledged."""

    def __init__(self, store: Store, *, agency: str) -> None:
        self._store = store
        self._agency = agency
        self._wakeup = asyncio.Event()
        self._contradictions: Sequence[ContradictedHead] = ()
        self._newest: Optional[Sequence[SignedHead]] = None
        """The newest head of each service; None before the store was read."""

    def check_soon(self) -> None:
        """Compares the heads, because new ones came."""
        self._wakeup.set()

    async def run(self) -> None:
        """Compares at the start and after new heads, until cancelled."""
        while True:
            self._wakeup.clear()
            try:
                await self._check()
            except Exception as error:
                log.error("store_failed", agency=self._agency, error=type(error).__name__)
                await asyncio.sleep(RETRY_DELAY)
                continue
            await self._wakeup.wait()

    async def _check(self) -> None:
        heads = await self._store.list_heads()
        found = find_contradictions(heads)
        acknowledged = await self._store.list_acknowledged()
        for one in found:
            if one not in self._contradictions and one.compute_id() not in acknowledged:
                log.error("audit_contradicted", agency=self._agency, party=one.service, reason=one.contradiction.value)
        self._contradictions = found
        self._newest = list({head.service: head for head in heads}.values())

    async def find_problems(self) -> list[str]:
        """Lists the contradictions that no person has acknowledged, each with what to do."""
        # Read each time, because another process acknowledges.
        acknowledged = await self._store.list_acknowledged() if self._contradictions else frozenset()
        return [
            f"audit: {explain_contradiction(one)}; keep this store, send what `simpul-agency audit export` writes to "
            "the other agencies and to whoever supervises the city, then run `simpul-agency audit acknowledge`"
            for one in self._contradictions
            if one.compute_id() not in acknowledged
        ]

    def find_warnings(self, now: datetime) -> list[str]:
        """Lists the services whose heads are withheld, so that nobody witnesses their history."""
        if self._newest is None:
            return []
        hours = MAX_AGE // timedelta(hours=1)
        return [
            f"audit: no signed head of the city's {service} came for {hours} hours; ask the city"
            for service in find_silent(self._newest, now)
        ]
