"""Opens the rights ledger of a decision: the state of each right of the child at triage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simpul_agreement.engine import Decision
from simpul_agreement.model import RightNotNeeded
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
    """The ledger at triage: `referred` where a service is needed, `not_applicable` where a clause gives the reason."""
    waived = {
        clause.effect.right: Entry(
            RightState.UNANSWERED if clause.effect.ask_again else RightState.NOT_APPLICABLE, BY_THE_AGREEMENT
        )
        for clause in decision.effective
        if isinstance(clause.effect, RightNotNeeded)
    }
    referred = {assigned.right for assigned in decision.assignments if assigned.lead}
    return {
        right: Entry(RightState.REFERRED) if right in referred
        else waived.get(right, Entry(RightState.UNANSWERED))
        for right in Right
    }  # fmt: skip
