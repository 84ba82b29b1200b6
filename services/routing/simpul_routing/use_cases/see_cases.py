"""Which cases a person may read; one that is not theirs is as unknown as one that does not exist."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_agreement.model import Agreement
from simpul_routing import repository
from simpul_routing.domain.actors import Actor, has_access, is_excluded, sees_every_case
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.exclusions import Suggestion, SuggestionState
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import CaseFiles, Scope
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys

_OF_REVIEWS: Final = frozenset({CaseEventKind.EXCLUSION_SUGGESTED, CaseEventKind.EXCLUSION_STEP_TAKEN})


class SeeCases:
    """Decides which cases a person may read."""

    def __init__(self, files: CaseFiles, keys: Keys) -> None:
        self._files = files
        self._keys = keys
        self._closed_to: dict[UUID, tuple[int, frozenset[str], frozenset[str]]] = {}
        """Case -> its version, and the agencies that its facts exclude, and those whose exclusion is undecided.

        Facts are decrypted once per version.
        """

    async def find_case(self, connection: AsyncConnection, case_id: UUID, by: Actor) -> Case:
        """Finds a case for a person. Raises CaseUnknown, also for a case of which they may not know."""
        found = (await repository.find_cases(connection, self._keys, [case_id])).get(case_id)
        if found is None:
            raise CaseUnknown
        excluded = found.facts.origin.excluded
        if found.merged_into:
            # The case continues under the exclusions of the other one.
            others = await repository.find_cases(connection, self._keys, [found.merged_into])
            excluded = excluded.union(*(other.facts.origin.excluded for other in others.values()))
        involved = await repository.list_involved_agencies(connection, case_id)
        if not has_access(by, excluded, involved, self._agreement):
            raise CaseUnknown
        return found

    def may_know_of_suggestions(self, by: Actor, pending: AbstractSet[str], decides: str = "") -> bool:
        """Whether a person may know that agencies are called too close to the suspect while that is undecided.

        The people of such an agency learn nothing of it: they would be warned. Only where it has to decide about others
        (`decides`), because every agency is suggested, do they know of the review, and of the suggestions about others.
        """
        return not is_excluded(by.agency, pending, self._agreement) or self._belongs_to(by, decides)

    def list_known_suggestions(self, by: Actor, facts: CaseFacts, decides: str = "") -> list[tuple[str, Suggestion]]:
        """Lists the suggestions of which a person may know; never an undecided one about their own agency."""
        may_know = self.may_know_of_suggestions(by, facts.pending, decides)
        return [
            (code, one)
            for code, one in facts.suggestions.items()
            if code not in facts.pending or (may_know and not self._belongs_to(by, code))
        ]

    def is_reporter_cut_off(self, by: Actor, case: Case, decides: str = "") -> bool:
        """Whether the words of the receipt may show no new question, as far as the person may know of the reason.

        Intake shows nothing new where the centre that filed the report is excluded, or was called too close to the
        suspect: it may have kept the words that it gave out.
        """
        report = case.facts.reports.get(str(case.case_id))
        centre = report.origin.centre if report else ""
        known = self.list_known_suggestions(by, case.facts, decides)
        named = {code for code, one in known if one.state is not SuggestionState.REJECTED}
        return bool(centre) and is_excluded(centre, case.facts.origin.excluded | named, self._agreement)

    def find_hidden_events(self, by: Actor, facts: CaseFacts) -> frozenset[CaseEventKind]:
        """Finds the kinds of events in the history of a case that would warn a person's suspected agency."""
        return frozenset() if self.may_know_of_suggestions(by, facts.pending) else _OF_REVIEWS

    def _belongs_to(self, by: Actor, agency: str) -> bool:
        return is_excluded(by.agency, {agency}, self._agreement)

    async def find_scope(self, connection: AsyncConnection, by: Actor, without: Collection[UUID] = ()) -> Scope:
        """Finds the cases that lists may show to a person, and that their totals count.

        `without` are cases that the caller keeps from the person, such as after a conflict of interest.
        """
        hidden = [*await self._find_hidden(connection, by), *without]
        unaware = await self._find_unaware(connection, by)
        return Scope(None if sees_every_case(by, self._agreement) else by.agency, hidden, unaware)

    async def _find_hidden(self, connection: AsyncConnection, by: Actor) -> list[UUID]:
        """Finds the cases from which the agency of a person is excluded."""
        versions = await repository.list_cases_with_exclusions(connection)
        await self._learn_facts(connection, versions)
        agreement, known = self._agreement, self._closed_to
        hidden = [case_id for case_id in versions if is_excluded(by.agency, known[case_id][1], agreement)]
        return await _add_merged(connection, hidden)

    async def _find_unaware(self, connection: AsyncConnection, by: Actor) -> list[UUID]:
        """Finds the cases with an open review of which a person must not know."""
        reviewed = await repository.list_reviewed_cases(connection)
        await self._learn_facts(connection, {case_id: version for case_id, (version, _) in reviewed.items()})
        unaware = [
            case_id
            for case_id, (_, decides) in reviewed.items()
            if not self.may_know_of_suggestions(by, self._closed_to[case_id][2], decides)
        ]
        return await _add_merged(connection, unaware)

    async def _learn_facts(self, connection: AsyncConnection, versions: Mapping[UUID, int]) -> None:
        known = self._closed_to
        changed = [case_id for case_id, version in versions.items() if known.get(case_id, (0,))[0] != version]
        if changed:
            found = await repository.find_situations(connection, changed)
            for case_id, (version, situation) in found.items():
                facts = decode_facts(self._keys.decrypt(situation, associated_data=case_context(case_id)))
                known[case_id] = version, facts.origin.excluded, facts.pending

    @property
    def _agreement(self) -> Agreement:
        return self._files.rules_at(utc_now()).agreement


async def _add_merged(connection: AsyncConnection, ids: list[UUID]) -> list[UUID]:
    """Returns the cases with those that were merged into them, as both are about one child."""
    return [*ids, *await repository.list_merged_cases(connection, ids)] if ids else []
