"""Answers a complaint centre, before a case is opened, whether the child may have been reported before."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_city import City
from simpul_intake import audit, repository
from simpul_intake.domain import DuplicateReason, Report
from simpul_intake.duplicates import BlindIndex, Overlap, find_overlaps, may_know
from simpul_intake.errors import MaybeReportedBefore
from simpul_intake.repository import StoredSearch
from simpul_intake.use_cases.suspect_overlaps import SuspectOverlaps
from simpul_runtime.transaction import Transactions

SEARCH_TIME: Final = timedelta(milliseconds=250)
"""A search takes this long or a multiple of it, so that its time reveals nothing about what was found."""
SEARCH_TIMEOUT: Final = timedelta(seconds=3)
BUDGET_PERIOD: Final = timedelta(hours=24)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Override:
    """Why a centre sends a report in spite of a search."""

    search_id: UUID
    reason: DuplicateReason


class SearchDuplicates:
    """Searches for the child of a report on behalf of a complaint centre; every search is counted and recorded.

    The answer is the agency to ask, or nothing: never how many cases, which, or whose. A case that is closed to the
    centre, and for a task force one outside its area, is passed over as if it did not exist; the coordinator learns of
    every overlap by `overlap.suspected.v1`.
    """

    def __init__(
        self,
        transactions: Transactions,
        overlaps: SuspectOverlaps,
        city: City,
        searches_per_day: int,
        list_parts: Callable[[str], Sequence[str]],
    ) -> None:
        """`list_parts` lists an agency and those that it is part of."""
        self._list_parts = list_parts
        self._transactions = transactions
        self._overlaps = overlaps
        self._city = city
        self._searches_per_day = searches_per_day

    async def check_report(self, report: Report, centre: str, override: Override | None) -> str:
        """Returns the agency to ask about the child, and an empty string when there is none.

        Raises MaybeReportedBefore instead when the report may wait and carries no reason. A search that fails or takes
        too long is logged, and the report is taken without it.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT.total_seconds()):
                search = await self._search(report, centre, override)
        except Exception as error:
            log.warning("duplicate_search_failed", agency=centre, exc_info=error)
            return ""
        finally:
            step = SEARCH_TIME.total_seconds()
            await asyncio.sleep(step - (loop.time() - started) % step)
        if search and search.agency and report.may_wait:
            raise MaybeReportedBefore(search.search_id, search.agency)
        return search.agency if search else ""

    async def _search(self, report: Report, centre: str, override: Override | None) -> StoredSearch | None:
        """Searches and records the search; None when the report is stored already, or its reason was recorded."""
        index, description = await self._overlaps.load_index(), self._overlaps.describe(report)
        async with self._transactions.begin() as transaction:
            connection = transaction.connection
            own = await repository.find_case_of_report(connection, report.report_id)
            if own and report.may_wait:
                return None
            if override and await repository.mark_reported(
                transaction, override.search_id, centre, report.report_id, override.reason.value
            ):
                return None
            is_over = (
                await repository.count_searches(connection, centre, transaction.now - BUDGET_PERIOD)
                >= self._searches_per_day
            )
            searched = own or report.report_id
            probes = {searched: index.make_probe(description)}
            candidates = (await repository.find_candidates(connection, index.version, probes))[searched]
            # Searched over the budget too, so that the time of an answer does not depend on it.
            excluded = await repository.find_excluded_agencies(connection, [one.case_id for one in candidates])
            agency = self._choose_agency(index, centre, find_overlaps(index, description, candidates), excluded)
            outcome = "over_budget" if is_over else "maybe" if agency else "none"
            agency = "" if is_over else agency
            search = StoredSearch(uuid4(), centre, report.report_id, transaction.now, outcome, agency)
            repository.add_search(transaction, search)
            transaction.record(audit.duplicates_searched(report.report_id, centre, outcome, agency))
        return search

    def _choose_agency(
        self, index: BlindIndex, centre: str, overlaps: Sequence[Overlap], excluded: Mapping[UUID, AbstractSet[str]]
    ) -> str:
        """Chooses whom the centre may ask: the hub, which manages cases, or an agency to which none is closed.

        `excluded` are the agencies that people excluded from cases; those that a report names are in its tokens.
        """

        def may_learn(overlap: Overlap, agency: str, wards: list[str] | None) -> bool:
            parts = self._list_parts(agency)
            is_known = [may_know(index, overlap, code, wards) for code in parts]
            return all(is_known) and excluded[overlap.case_id].isdisjoint(parts)

        wards = self._area_of(centre)
        known = [overlap for overlap in overlaps if may_learn(overlap, centre, wards)]
        if not known:
            return ""
        by_rank = sorted(self._city.agencies, key=lambda agency: agency.kind != "hub")
        for agency in by_rank:
            if all(may_learn(overlap, agency.code, None) for overlap in known):
                return agency.code
        return ""

    def _area_of(self, centre: str) -> list[str] | None:
        """Returns the codes of the wards of a task force; None for an agency of the whole city."""
        wards = [ward.code for ward in self._city.kelurahan if centre in (ward.satgas, ward.satgas_kecamatan)]
        return wards or None
