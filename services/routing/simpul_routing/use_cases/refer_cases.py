"""Decides reported cases and offers their services."""

from collections.abc import Sequence

from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.facts import read_report
from simpul_routing.repository import CaseFiles
from simpul_runtime.transaction import Transaction
from simpul_schema.messages.case import CaseReportedV1, TriageFacts


class ReferCases:
    """Decides cases by the active version of the agreement."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    async def refer_cases(
        self, transaction: Transaction, reports: Sequence[tuple[CaseReportedV1, TriageFacts]]
    ) -> None:
        """Opens the file of each reported case."""
        rules = await self._files.load_rules(transaction)
        opened = [
            CaseFile.open_case(
                event.data.case_id,
                read_report(triage, rules.city, rules.agreement, event.data.received_at),
                triage.suggested_exclusions,
                event.data.received_at,
                rules,
                event.id,
            )
            for event, triage in reports
        ]
        await self._files.save(transaction, opened)
