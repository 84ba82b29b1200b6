"""A person decides about an exclusion that a source suggested whom nobody knows."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import (
    CaseHasEnded,
    CaseMerged,
    CaseUnknown,
    DecidesAboutItself,
    ReasonMissing,
    SuggestionDecided,
    SuggestionUnknown,
)
from simpul_routing.use_cases.cases import check_version, locked, note_of
from simpul_routing.use_cases.replan_cases import ReplanCases, Why
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import ReplanReason

_REASON: Final[Mapping[SuggestionState, ReplanReason]] = MappingProxyType({
    SuggestionState.CONFIRMED: ReplanReason.AGENCY_EXCLUDED,
    SuggestionState.REJECTED: ReplanReason.EXCLUSION_REJECTED,
})  # fmt: skip


class DecideExclusions:
    """Confirms a suggestion, which excludes the agency, or rejects it, which lets what waited go out."""

    def __init__(self, transactions: Transactions, replan_cases: ReplanCases, versions: Versions, keys: Keys) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._versions = versions
        self._keys = keys

    async def decide(
        self, case_id: UUID, version: int, agency: str, state: SuggestionState, *, by: str, reason: str
    ) -> None:
        """Decide about one agency; the same decision again changes nothing, whatever version it names.

        Raises CaseUnknown, CaseChanged, CaseMerged, CaseHasEnded, ReasonMissing, SuggestionUnknown, SuggestionDecided
        when it was decided otherwise, and DecidesAboutItself.
        """
        async with self._transactions.begin() as transaction:
            cases, referrals = await locked(transaction, [case_id])
            case = cases.get(case_id)
            if case is None:
                raise CaseUnknown
            facts = self._replan_cases.facts_of(case)
            suggestion = facts.suggestions.get(agency)
            if suggestion is None:
                raise SuggestionUnknown
            if suggestion.state is state:
                return
            if suggestion.state is not SuggestionState.PENDING or agency not in facts.pending:
                raise SuggestionDecided
            if case.merged_into:
                raise CaseMerged(case.merged_into)
            check_version(case, referrals, version)
            if case.has_ended:
                raise CaseHasEnded
            if self._is_of(by, agency, transaction.now):
                raise DecidesAboutItself
            if not reason:
                raise ReasonMissing
            # Which agency it is stands with the words of the person, locked.
            note = note_of(self._keys, case_id, f"{agency}: {reason}")
            why = Why(_REASON[state], by, note=note)
            if state is SuggestionState.CONFIRMED:
                await self._replan_cases.exclude(transaction, case, referrals, agency, why)
            else:
                facts = facts.decided(agency, state, by, transaction.now)
                await self._replan_cases.decide_again(transaction, case, referrals, facts, why)

    def _is_of(self, by: str, agency: str, now: datetime) -> bool:
        """Whether somebody decides about the own agency, or about the one to which the own party belongs."""
        party = self._versions.active(now).agreement.party_of.get(by)
        return by == agency or (party is not None and party.part_of == agency)
