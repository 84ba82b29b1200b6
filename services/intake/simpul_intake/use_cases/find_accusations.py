"""Finds what a centre may still know of a report that it filed, when it may be too close to the suspect.

Whoever is warned can hurt the child or destroy evidence. So the centre, and whoever has the words of a receipt that it
gave out, see how far the report had come before: nothing that follows shows that something has changed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from simpul_intake import audit, repository
from simpul_intake.domain import Progress
from simpul_intake.vault import Vault, WrappedKey, case_key_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import CaseAgencyClearedV1
from simpul_schema.messages.case import ClearedAgency
from simpul_schema.names import subject_of_case


class Naming(NamedTuple):
    """How often the report of a case names an agency, and since when it does."""

    times: int
    since: datetime


class FindAccusations:
    """Finds cases whose reports name an agency, or from which people excluded it."""

    def __init__(self, vault: Vault, keys: Keys, list_parts: Callable[[str], Sequence[str]]) -> None:
        """`list_parts` lists an agency and those that it is part of."""
        self._vault = vault
        self._keys = keys
        self._list_parts = list_parts

    async def record_clearings(self, transaction: Transaction, events: Sequence[CaseAgencyClearedV1]) -> None:
        """Stores that people decided about what reports say of agencies."""
        for event in events:
            cleared = self._keys.open_section(event, "cleared_agency", ClearedAgency)
            await repository.record_clearing(transaction, event.data.case_id, cleared.agency, cleared.namings)

    async def find(self, transaction: Transaction, case_ids: Sequence[UUID], agency: str) -> dict[UUID, datetime]:
        """Finds those of the cases from which an agency is, or may have to be, kept away, and since when.

        The reports of one child count together, and so do an agency and those that it is part of. A naming about which
        a person decided counts no longer; an exclusion by a person does.
        """
        parts = frozenset(self._list_parts(agency))
        relatives = await repository.list_relatives(transaction, case_ids)
        known = list({one.relative for one in relatives})
        namings = await self._count_namings(transaction, known, parts)
        cleared = await repository.find_cleared_namings(transaction, known, parts)
        # A report of which a person decided about every naming accuses nobody.
        decided = {case_id: sum(cleared.get((case_id, part), 0) for part in parts) for case_id in namings}
        since = {case_id: one.since for case_id, one in namings.items() if one.times > decided[case_id]}
        excluded = await repository.find_exclusions(transaction, known, parts)
        found: dict[UUID, datetime] = {}
        for case_id in case_ids:
            own = [one for one in relatives if one.case_id == case_id]
            # What a report of another case says counts from the moment at which both became one.
            moments = [
                max(dates[one.relative], one.joined_at or dates[one.relative])
                for one in own
                for dates in (excluded, since)
                if one.relative in dates
            ]
            if moments:
                found[case_id] = min(moments)
        return found

    async def _count_namings(
        self, transaction: Transaction, case_ids: Sequence[UUID], parts: frozenset[str]
    ) -> dict[UUID, Naming]:
        """Counts how often the report of each case names an agency, and finds since when it does."""
        facts = await repository.load_facts(transaction, case_ids)
        wrapped = {one.case_id: WrappedKey(one.key_id, one.wrapped, case_key_context(one.case_id)) for one in facts}
        keys = dict(zip(wrapped, await self._vault.unwrap_all(list(wrapped.values())), strict=True))
        since, count = dict[UUID, datetime](), Counter[UUID]()
        for one in facts:
            content = self._vault.decrypt_section(
                keys[one.case_id], one.ciphertext, one.case_id, "triage", one.revision
            )
            listed = (*content["excluded_agencies"], *content.get("suggested_exclusions", ()))
            # The newest revision has every naming.
            count[one.case_id] = sum(code in parts for code in listed)
            if count[one.case_id]:
                since.setdefault(one.case_id, one.stored_at)
        return {case_id: Naming(count[case_id], moment) for case_id, moment in since.items() if count[case_id]}

    async def find_progress(self, transaction: Transaction, case_id: UUID) -> tuple[Progress, datetime | None]:
        """Finds how far a report has come, as the holder of its receipt may know it, and since when that stands still.

        It stands still where the centre that gave out the receipt is, or may have to be, kept away from the case.
        """
        since = await self.find_since(transaction, case_id)
        if since is None:
            return await repository.find_progress(transaction, case_id), None
        return await repository.find_progress_before(transaction, case_id, subject_of_case(case_id), since), since

    async def find_since(self, transaction: Transaction, case_id: UUID) -> datetime | None:
        """Finds since when the centre that filed the report is, or may have to be, kept away; None if it is not."""
        centre = await repository.find_filing_centre(transaction, subject_of_case(case_id), audit.CENTRE)
        return (await self.find(transaction, [case_id], centre)).get(case_id) if centre else None
