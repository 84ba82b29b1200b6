"""Warns before keys expire: in the readiness response, in a metric, and in the log once a day."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from simpul_runtime.database import utc_now
from simpul_runtime.metrics import KEY_EXPIRY
from simpul_runtime.signing import Keys

WARNING_PERIOD: Final = timedelta(days=60)
"""How long before a key expires the warnings start."""
POLL_INTERVAL: Final = 60.0
"""Seconds between two checks of the directory."""

log = structlog.get_logger()


class KeyWatch:
    """Watches the keys of this service and of the parties it exchanges events with."""

    def __init__(self, keys: Keys, agencies: Collection[str]) -> None:
        self._keys = keys
        self._agencies = frozenset(agencies)
        self.covers_agencies = False
        """Whether this service sends to agencies, so that their keys are watched too."""
        self._logged_on: date | None = None

    async def run(self) -> None:
        """Updates the metric and the log until cancelled."""
        while True:
            self.update_metric(utc_now())
            await asyncio.sleep(POLL_INTERVAL)

    def update_metric(self, now: datetime) -> None:
        """Updates the metric of every party, and logs the warnings of the day unless they were logged already."""
        expiries = self._find_expiries(now)
        for party, end in expiries.items():
            KEY_EXPIRY.labels(party).set(end.timestamp() if end else 0)
        if self._logged_on != now.date() and (self.find_problems(now) or self.find_warnings(now)):
            self._logged_on = now.date()
            self._log_warnings(expiries, now)

    def _log_warnings(self, expiries: Mapping[str, datetime | None], now: datetime) -> None:
        """Logs one line for each party, because a log line holds codes and numbers only, not a list in a sentence."""
        for party, end in expiries.items():
            if not self._keys.has_usable_key(party, now):
                log.error("keys_unusable", party=party)
            elif end and end - now < WARNING_PERIOD:
                log.warning("keys_need_renewal", party=party, days=(end - now).days)
        if self._find_keys_not_in_ring(now):
            log.error("keys_not_in_key_file", party=self._keys.party)

    def find_problems(self, now: datetime) -> list[str]:
        """Finds why this service cannot sign; nothing if it can."""
        if self._keys.can_sign(now):
            return []
        party = self._keys.party
        if self._keys.directory.valid_keys(party, now):
            return [f"keys: the key file of {party} lacks its valid key; install the newest key file and restart"]
        return [f"keys: those of {party} have expired, so its events wait; run `simpul keys rotate {party}`"]

    def find_warnings(self, now: datetime) -> list[str]:
        """Finds the parties whose keys have expired or expire soon, each with the remedy."""
        expiries = self._find_expiries(now)
        others = {party: end for party, end in expiries.items() if party != self._keys.party or end}
        unusable = sorted(party for party in others if not self._keys.has_usable_key(party, now))
        soon = sorted(party for party, end in expiries.items() if end and end - now < WARNING_PERIOD)
        found = [self._describe_unusable(unusable)] if unusable else []
        found += [self._describe_expiry(party, expiries[party], now) for party in soon]
        return found + self._find_keys_not_in_ring(now)

    def _find_expiries(self, now: datetime) -> Mapping[str, datetime | None]:
        directory = self._keys.directory
        enrolled = {entry.party for entry in directory.entries}
        parties = enrolled | self._agencies if self.covers_agencies else enrolled - self._agencies
        return {party: directory.usable_until(party, now) for party in sorted(parties | {self._keys.party})}

    def _describe_unusable(self, parties: Sequence[str]) -> str:
        return f"keys: {', '.join(parties)} have no usable key; {_remedy(parties, self._agencies)}"

    def _describe_expiry(self, party: str, end: datetime | None, now: datetime) -> str:
        days = (end - now).days if end else 0
        return f"keys: those of {party} end in {days} days; {_remedy([party], self._agencies)}"

    def _find_keys_not_in_ring(self, now: datetime) -> list[str]:
        """Finds keys in the directory that this process lacks; it could not open what is sealed to them."""
        party, ring = self._keys.party, self._keys.ring
        known = [entry for entry in self._keys.directory.entries if entry.party == party and entry.not_after > now]
        if all(ring.key(entry.keyid) for entry in known):
            return []
        return [f"keys: the directory has keys of {party} that this process lacks; restart it with its new key file"]


def _remedy(parties: Sequence[str], agencies: Collection[str]) -> str:
    services = [party for party in parties if party not in agencies]
    remedies = [f"run `simpul keys rotate {' '.join(services)}`"] if services else []
    if len(services) < len(parties):
        remedies.append("get an enrolment request from the agency, then run `simpul agency add` or `rotate-key`")
    return "; ".join(remedies)
