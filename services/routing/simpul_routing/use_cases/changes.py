"""How a person changes a case: one transaction that loads its file, changes it and saves it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import CaseFiles
from simpul_runtime.transaction import Transactions


class CaseChanges:
    """Loads the files that a person changes, and saves them unless the change is refused."""

    def __init__(self, transactions: Transactions, files: CaseFiles) -> None:
        self._transactions = transactions
        self._files = files

    @asynccontextmanager
    async def change_files(self, ids: Collection[UUID], by: Actor) -> AsyncIterator[dict[UUID, CaseFile]]:
        """Loads the files of cases, and saves them when the block ends without an error.

        Cases of which the person may not know are left out, as if they did not exist.
        """
        async with self._transactions.begin() as transaction:
            loaded = await self._files.load_for_update(transaction, ids)
            files = {case_id: file for case_id, file in loaded.items() if file.is_visible_to(by)}
            for file in files.values():
                file.acting = by
            yield files
            await self._files.save(transaction, files.values())

    @asynccontextmanager
    async def change_file(self, case_id: UUID, by: Actor) -> AsyncIterator[CaseFile]:
        """Loads the file of a case in any state. Raises CaseUnknown."""
        async with self.change_files([case_id], by) as files:
            if case_id not in files:
                raise CaseUnknown
            yield files[case_id]

    @asynccontextmanager
    async def change_open_file(self, case_id: UUID, version: int, by: Actor) -> AsyncIterator[CaseFile]:
        """Loads the file of an open case as a person read it.

        Raises CaseUnknown, CaseChanged, CaseMerged, CaseEnded.
        """
        async with self.change_file(case_id, by) as file:
            file.check_version(version)
            file.check_open()
            yield file
