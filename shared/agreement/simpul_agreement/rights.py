"""The rights ledger as a decision opens it: each right of the child and what the agreement says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simpul_agreement.engine import Decision
from simpul_agreement.model import RightNotNeeded
from simpul_schema.vocabulary import Right, RightState


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a right stands, and why where that needs a reason."""

    state: RightState
    reason: str = ""


Ledger = Mapping[Right, Entry]

BY_THE_AGREEMENT: Final = "agreement"
"""The reason stands in a clause; its words tell what happened to the child, so they are not kept in clear."""


def open_ledger(decision: Decision) -> Ledger:
    """The ledger at triage: referred where a service is asked, not applicable where the agreement says why."""
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
