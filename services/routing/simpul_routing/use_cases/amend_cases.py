"""Replans cases after the facts of their reports were amended."""

from collections.abc import Sequence

from simpul_routing.domain.facts import read_report
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import CaseFiles
from simpul_runtime.transaction import Transaction
from simpul_schema.messages.case import CaseAmendedV1, TriageFacts


class AmendCases:
    """Replans cases by the active version of the agreement."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    async def amend_cases(
        self, transaction: Transaction, amendments: Sequence[tuple[CaseAmendedV1, TriageFacts]]
    ) -> None:
        """Replans each case, or the one that it was merged into; reopens it if it had ended.

        Raises CaseUnknown if a report has not been decided.
        """
        ids = {event.data.case_id for event, _ in amendments}
        files = await self._files.load_current_for_update(transaction, ids)
        for event, triage in amendments:
            file = files.get(event.data.case_id)
            if file is None:
                raise CaseUnknown
            agreement = self._files.rules_at(event.data.amended_at).agreement
            # The time from the event to the report does not grow because the report is corrected later.
            received_at = file.facts.find_received_at(event.data.case_id, event.data.amended_at)
            report = read_report(triage, self._files.city, agreement, received_at)
            file.amend_report(event.data.case_id, report, triage.suggested_exclusions, event.id)
        await self._files.save(transaction, files.values())
