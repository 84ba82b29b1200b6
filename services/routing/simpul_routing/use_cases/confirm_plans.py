"""A case manager confirms the service plan of a case, as it is or edited."""

from uuid import UUID

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.service_plan import PlanChanges
from simpul_routing.use_cases.changes import CaseChanges


class ConfirmPlans:
    """Confirms service plans."""

    def __init__(self, changes: CaseChanges) -> None:
        self._changes = changes

    async def confirm_plan(self, case_id: UUID, version: int, edited: PlanChanges, *, by: Actor, reason: str) -> None:
        """Offers the services of the open plan as a person changed it.

        Raises CaseUnknown, CaseChanged, CaseMerged, CaseEnded, and what `confirm_plan` of the case file raises.
        """
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.confirm_plan(edited, by.code, reason)
