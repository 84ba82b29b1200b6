"""A case manager closes, voids, reopens or merges cases, and answers rights by hand."""

from uuid import UUID

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.errors import CaseUnknown
from simpul_routing.use_cases.changes import CaseChanges
from simpul_schema.vocabulary import CaseEnd, Right, RightState


class EndCases:
    """Actions of the case manager on a case as a whole.

    All raise CaseUnknown and CaseChanged. Those on an open case raise CaseEnded and CaseMerged, and those that need a
    reason raise ReasonMissing.
    """

    def __init__(self, changes: CaseChanges) -> None:
        self._changes = changes

    async def close_case(self, case_id: UUID, version: int, end: CaseEnd, *, by: Actor, reason: str) -> None:
        """Terminates a case and cancels its open services."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.close(end, by.code, reason)

    async def void_case(self, case_id: UUID, version: int, *, by: Actor, reason: str) -> None:
        """Marks a case and its open services as entered in error."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.void(by.code, reason)

    async def reopen_case(self, case_id: UUID, version: int, *, by: Actor, reason: str) -> None:
        """Reopens a case and offers again the services that ended with it."""
        async with self._changes.change_file(case_id, by) as file:
            file.check_version(version)
            file.reopen(by.code, reason)

    async def merge_cases(self, case_id: UUID, version: int, into: UUID, *, by: Actor, reason: str) -> None:
        """Merges a duplicate into another case of the same child, which takes over its facts and exclusions."""
        async with self._changes.change_files([case_id, into], by) as files:
            duplicate, other = _check_mergeable(files.get(case_id), files.get(into))
            duplicate.check_version(version)
            duplicate.merge_into(other, by.code, reason)

    async def answer_right(
        self, case_id: UUID, version: int, right: Right, state: RightState, *, by: Actor, reason: str
    ) -> None:
        """Sets the state of a right by hand."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.answer_right(right, state, by.code, reason)


def _check_mergeable(duplicate: CaseFile | None, other: CaseFile | None) -> tuple[CaseFile, CaseFile]:
    if duplicate is None or other is None or duplicate is other:
        raise CaseUnknown
    for file in (duplicate, other):
        file.check_open()
    return duplicate, other
