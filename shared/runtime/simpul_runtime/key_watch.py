"""Warns before keys end: in readiness, in a metric, and in the log once a day."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from simpul_runtime.database import utc_now
from simpul_runtime.metrics import KEY_EXPIRY
from simpul_runtime.signing import Keys

WARNING_PERIOD: Final = timedelta(days=60)
"""How long before the end of a key its renewal is asked for."""
POLL_INTERVAL: Final = 60.0
"""Seconds between looks at the directory."""

log = structlog.get_logger()


class KeyWatch:
    """Looks at this service's own keys and at those of the parties it deals with."""

    def __init__(self, keys: Keys, agencies: Collection[str]) -> None:
        self._keys = keys
        self._agencies = frozenset(agencies)
        self.covers_agencies = False
        """Whether this service sends to agencies, so that their keys are its concern."""
        self._logged_on: date | None = None

    async def run(self) -> None:
        """Measure and log until cancelled."""
        while True:
            self.measure(utc_now())
            await asyncio.sleep(POLL_INTERVAL)

    def measure(self, now: datetime) -> None:
        """Set the metric of every party, and log today's warnings if that was not done yet."""
        ends = self._ends(now)
        for party, end in ends.items():
            KEY_EXPIRY.labels(party).set(end.timestamp() if end else 0)
        if self._logged_on != now.date() and (self.problems(now) or self.warnings(now)):
            self._logged_on = now.date()
            self._log_warnings(ends, now)

    def _log_warnings(self, ends: Mapping[str, datetime | None], now: datetime) -> None:
        """One line for each party: a log holds codes and numbers, so a sentence about all of them would be redacted."""
        for party, end in ends.items():
            if not self._keys.has_usable_key(party, now):
                log.error("keys_unusable", party=party)
            elif end and end - now < WARNING_PERIOD:
                log.warning("keys_need_renewal", party=party, days=(end - now).days)
        if self._not_in_ring(now):
            log.error("keys_not_in_key_file", party=self._keys.party)

    def problems(self, now: datetime) -> list[str]:
        """Why this service cannot sign; empty when it can."""
        if self._keys.can_sign(now):
            return []
        party = self._keys.party
        if self._keys.directory.valid_keys(party, now):
            return [f"keys: the directory has other keys of {party} than its key file; give it the newest, and restart"]
        return [f"keys: those of {party} have ended, so its events wait; run `simpul keys rotate {party}`"]

    def warnings(self, now: datetime) -> list[str]:
        """Whose keys have ended or end soon, each with what to do."""
        ends = self._ends(now)
        others = {party: end for party, end in ends.items() if party != self._keys.party or end}
        unusable = sorted(party for party in others if not self._keys.has_usable_key(party, now))
        soon = sorted(party for party, end in ends.items() if end and end - now < WARNING_PERIOD)
        found = [self._unusable(unusable)] if unusable else []
        found += [self._ends_soon(party, ends[party], now) for party in soon]
        return found + self._not_in_ring(now)

    def _ends(self, now: datetime) -> Mapping[str, datetime | None]:
        directory = self._keys.directory
        enrolled = {entry.party for entry in directory.entries}
        parties = enrolled | self._agencies if self.covers_agencies else enrolled - self._agencies
        return {party: directory.usable_until(party, now) for party in sorted(parties | {self._keys.party})}

    def _unusable(self, parties: Sequence[str]) -> str:
        return f"keys: none is usable of {', '.join(parties)}; {_remedy(parties, self._agencies)}"

    def _ends_soon(self, party: str, end: datetime | None, now: datetime) -> str:
        days = (end - now).days if end else 0
        return f"keys: those of {party} end in {days} days; {_remedy([party], self._agencies)}"

    def _not_in_ring(self, now: datetime) -> list[str]:
        """A newer key that the directory announces and this process has not read: it would not open what is sealed."""
        party, ring = self._keys.party, self._keys.ring
        known = [entry for entry in self._keys.directory.entries if entry.party == party and entry.not_after > now]
        if all(ring.key(entry.keyid) for entry in known):
            return []
        return [f"keys: the directory has keys of {party} that this process has not; restart it with its new key file"]


def _remedy(parties: Sequence[str], agencies: Collection[str]) -> str:
    services = [party for party in parties if party not in agencies]
    remedies = [f"run `simpul keys rotate {' '.join(services)}`"] if services else []
    if len(services) < len(parties):
        remedies.append("the agency sends an enrolment, then `simpul agency add` or `rotate-key`")
    return "; ".join(remedies)
