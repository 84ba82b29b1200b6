"""Opens the rights ledger of a decision: the state of each right of the child at triage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simpul_agreement.engine import Decision
from simpul_agreement.model import Phase, RightNotNeeded
from simpul_schema.vocabulary import Right, RightState


@dataclass(frozen=True, slots=True)
class Entry:
    """The state of a right, and its reason where the state needs one."""

    state: RightState
    reason: str = ""


Ledger = Mapping[Right, Entry]

BY_THE_AGREEMENT: Final = "agreement"
"""The reason is in a clause; its text reveals what happened to the child, so the ledger does not store it."""


def open_ledger(decision: Decision) -> Ledger:
    """The ledger at triage.

    `referred` where a service is offered at once, `planned` where all of them await the service plan, and
    `not_applicable` where a clause gives the reason.
    """
    waived = {
        clause.effect.right: Entry(
            RightState.UNANSWERED if clause.effect.reassess else RightState.NOT_APPLICABLE, BY_THE_AGREEMENT
        )
        for clause in decision.effective
        if isinstance(clause.effect, RightNotNeeded)
    }
    needed: dict[Right, Entry] = {}
    for assigned in decision.assignments:
        if assigned.lead and assigned.phase is Phase.IMMEDIATE:
            needed[assigned.right] = Entry(RightState.REFERRED)
        elif assigned.lead:
            needed.setdefault(assigned.right, Entry(RightState.PLANNED))
    return {right: needed.get(right) or waived.get(right, Entry(RightState.UNANSWERED)) for right in Right}
