"""A person decides about an exclusion that an unverified source suggested."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import (
    CaseEnded,
    CaseMerged,
    CaseUnknown,
    OwnExclusion,
    ReasonMissing,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
)
from simpul_routing.use_cases.cases import check_version, decrypt_facts, encrypt_note, load_for_update
from simpul_routing.use_cases.replan_cases import ReplanCases, ReplanCause
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import ReplanReason

_REASON: Final[Mapping[SuggestionState, ReplanReason]] = MappingProxyType({
    SuggestionState.CONFIRMED: ReplanReason.AGENCY_EXCLUDED,
    SuggestionState.REJECTED: ReplanReason.EXCLUSION_REJECTED,
})  # fmt: skip


class DecideExclusions:
    """Confirms a suggestion, which excludes the agency, or rejects it, which offers the referrals that waited."""

    def __init__(self, transactions: Transactions, replan_cases: ReplanCases, versions: Versions, keys: Keys) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._versions = versions
        self._keys = keys

    async def decide_suggestion(
        self, case_id: UUID, version: int, agency: str, state: SuggestionState, *, by: str, reason: str
    ) -> None:
        """Decides about one agency; repeating a decision changes nothing, whatever the version.

        Raises CaseUnknown, CaseChanged, CaseMerged, CaseEnded, ReasonMissing, SuggestionUnknown, OwnExclusion, and
        SuggestionAlreadyDecided if it was decided the other way.
        """
        async with self._transactions.begin() as transaction:
            cases, referrals = await load_for_update(transaction, [case_id])
            case = cases.get(case_id)
            if case is None:
                raise CaseUnknown
            facts = decrypt_facts(self._keys, case)
            suggestion = facts.suggestions.get(agency)
            if suggestion is None:
                raise SuggestionUnknown
            if suggestion.state is state:
                return
            if suggestion.state is not SuggestionState.PENDING or agency not in facts.pending:
                raise SuggestionAlreadyDecided
            if case.merged_into:
                raise CaseMerged(case.merged_into)
            check_version(case, referrals, version)
            if case.has_ended:
                raise CaseEnded
            if self._decides_about_itself(by, agency, transaction.now):
                raise OwnExclusion
            if not reason:
                raise ReasonMissing
            # Only the encrypted note names the agency.
            note = encrypt_note(self._keys, case_id, f"{agency}: {reason}")
            cause = ReplanCause(_REASON[state], by, note=note)
            if state is SuggestionState.CONFIRMED:
                await self._replan_cases.exclude_agency(transaction, case, referrals, agency, cause)
            else:
                facts = facts.decide_suggestion(agency, state, by, transaction.now)
                await self._replan_cases.replan_case(transaction, case, referrals, facts, cause)

    def _decides_about_itself(self, by: str, agency: str, now: datetime) -> bool:
        """Whether a person decides about their own agency, or about the agency that their party is part of."""
        party = self._versions.active(now).agreement.party_of.get(by)
        return by == agency or (party is not None and party.part_of == agency)
