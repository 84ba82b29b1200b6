"""Does once what the version before an upgrade did not do.

It decides what agencies may hold that accepted before routing decided about dossiers, publishes whom people had
cleared before intake learned it, and withdraws questions from those who may be too close to the suspect. Intake
compares each decision with what it knows already, so one that it knows does no harm.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from simpul_routing import publisher, repository
from simpul_routing.domain.agency_questions import may_answer
from simpul_routing.domain.disclosure import list_disclosures
from simpul_routing.repository import CaseFiles
from simpul_runtime.database import is_data_error, utc_now
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions

BATCH_SIZE: Final = 50
"""Cases that are looked up at once."""
POLL_INTERVAL: Final = timedelta(minutes=1)
"""Time between two looks at the table, which is empty soon after an upgrade."""
POSTPONEMENT: Final = timedelta(minutes=10)
"""How long a case is postponed if it cannot be decided, for example because it cannot be decrypted."""

log = structlog.get_logger()


class DecideEarlierDisclosures:
    """Publishes the decisions, case by case; any number of processes may run at once."""

    def __init__(self, transactions: Transactions, files: CaseFiles) -> None:
        self._transactions = transactions
        self._files = files

    async def run(self) -> None:
        """Decides until cancelled."""
        await repeat(
            lambda: self.decide_due(utc_now()), POLL_INTERVAL, "earlier_disclosures_failed", batch_size=BATCH_SIZE
        )

    async def decide_due(self, now: datetime) -> int:
        """Decides about the cases that are due; returns their number."""
        async with self._transactions.begin() as transaction:
            found = await repository.find_earlier_disclosures(transaction, now, BATCH_SIZE)
        for case_id in found:
            try:
                await self._decide(case_id)
            except Exception as error:
                if not is_data_error(error):
                    raise
                # One case must not hold up the others.
                log.error("earlier_disclosure_postponed", case_id=case_id, exc_info=error)
                async with self._transactions.begin() as transaction:
                    await repository.postpone_earlier_disclosure(transaction, case_id, now + POSTPONEMENT)
        return len(found)

    async def _decide(self, case_id: UUID) -> None:
        async with self._transactions.begin() as transaction:
            # The case first, as everybody locks it first.
            files = await self._files.load_current_for_update(transaction, [case_id])
            if not await repository.take_earlier_disclosure(transaction, case_id) or case_id not in files:
                return
            file = files[case_id]
            for decided in list_disclosures(file):
                transaction.enqueue_event(publisher.disclosure_decided(decided, transaction.now))
            if not await repository.is_erased(transaction, file.case_id):
                file.publish_cleared()
            await repository.withdraw_questions(transaction, list(file.referrals), partial(may_answer, file))
            await self._files.save(transaction, [file])
