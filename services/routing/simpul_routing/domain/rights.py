"""The ledger of a case: each right of the child is answered, or the case cannot be closed as completed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simpul_agreement.rights import BY_THE_AGREEMENT, Entry, Ledger
from simpul_routing.domain.lifecycle import ReferralState
from simpul_schema.vocabulary import ReferralOutcome, Right, RightState

BY_OUTCOME: Final = "outcome"
"""The agency that served the child said so."""
AWAITS_DECISION: Final = "awaits_decision"
"""Asked of an agency that waits until a person has decided about its suggested exclusion."""
BY_HAND: Final = "by_hand"
"""A person said so; the words are locked in the case's history."""
NEED_A_REASON: Final = frozenset({RightState.REFUSED_BY_VICTIM, RightState.NOT_APPLICABLE})
_NOT_COUNTED: Final = frozenset({
    ReferralState.REROUTED, ReferralState.CANCELLED, ReferralState.REVOKED, ReferralState.ENTERED_IN_ERROR,
})  # fmt: skip
BY_REFERRALS: Final = frozenset({RightState.UNANSWERED, RightState.REFERRED, RightState.IN_PROGRESS})
"""What follows from referrals alone."""
_SETTLED: Final = frozenset({RightState.FULFILLED, *NEED_A_REASON})


@dataclass(frozen=True, slots=True)
class Served:
    """A lead referral of a right, and how it ended if it has.

    A manual triage counts for the service that was raised with it.
    """

    state: ReferralState
    outcome: ReferralOutcome | None = None
    has_begun: bool = False


_OUTCOME: Final[Mapping[ReferralOutcome, RightState]] = {
    ReferralOutcome.SERVED: RightState.FULFILLED,
    ReferralOutcome.SERVED_IN_PART: RightState.IN_PROGRESS,
    ReferralOutcome.REFUSED_BY_VICTIM: RightState.REFUSED_BY_VICTIM,
    ReferralOutcome.NOT_NEEDED: RightState.NOT_APPLICABLE,
}
_BEST_FIRST: Final = (
    RightState.FULFILLED, RightState.REFUSED_BY_VICTIM, RightState.NOT_APPLICABLE,
)  # fmt: skip


def after(entry: Entry, referrals: Iterable[Served]) -> Entry:
    """Where a right stands after one of its referrals moved; handed-over ones count through their successors.

    What a person said by hand stays. A right whose services were all taken back is unanswered again.
    """
    if entry.reason == BY_HAND:
        return entry
    counting = [served for served in referrals if served.state not in _NOT_COUNTED]
    if not counting:
        stays_without = (BY_THE_AGREEMENT, AWAITS_DECISION)
        is_taken_back = entry.state in BY_REFERRALS and entry.reason not in stays_without
        return Entry(RightState.UNANSWERED) if is_taken_back else entry
    ended = [_OUTCOME[served.outcome] for served in counting if served.outcome is not None]
    if len(ended) == len(counting) and RightState.IN_PROGRESS not in ended:
        state = next(state for state in _BEST_FIRST if state in ended)
        return Entry(state, BY_OUTCOME if state in NEED_A_REASON else "")
    begun = any(
        served.outcome is not None or (served.has_begun and served.state is not ReferralState.DECLINED)
        for served in counting
    )
    return Entry(RightState.IN_PROGRESS if begun else RightState.REFERRED)


def replanned(ledger: Ledger, decided: Ledger, served: Mapping[Right, Sequence[Served]]) -> Ledger:
    """The ledger after a case was decided again: what the new facts say, unless a person or a service said more."""
    return {
        right: after(entry if entry.reason == BY_HAND else _as_decided(decided[right]), served.get(right, ()))
        for right, entry in ledger.items()
    }


def awaiting(ledger: Ledger, held: frozenset[Right]) -> Ledger:
    """The ledger where services of these rights wait for a decision: nobody else was asked, but somebody decides."""
    unasked = (RightState.UNANSWERED, RightState.REFERRED)
    return {
        right: Entry(RightState.REFERRED, AWAITS_DECISION) if right in held and entry.state in unasked else entry
        for right, entry in ledger.items()
    }


def inherited(ledger: Ledger, twin: Ledger) -> Ledger:
    """What a person said of a right in a twin's case counts, unless one has said something here."""
    return {
        right: twin[right] if twin[right].reason == BY_HAND and entry.reason != BY_HAND else entry
        for right, entry in ledger.items()
    }


def _as_decided(entry: Entry) -> Entry:
    # Referred is what referrals make it, not what a plan asks for.
    return Entry(RightState.UNANSWERED) if entry.state is RightState.REFERRED else entry


def unanswered(ledger: Ledger) -> list[Right]:
    """What still keeps a case from being closed as completed."""
    return [right for right in Right if right not in ledger or ledger[right].state not in _SETTLED]
