"""Assigns each consumed event to the query that updates the board."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from simpul_desk import repository
from simpul_desk.live import CITY, LiveChannels
from simpul_runtime.inbox import Handler
from simpul_runtime.topology import Binding
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import (
    AlertFailedV1,
    AlertSentV1,
    CaseMergedV1,
    OverlapDismissedV1,
    OverlapSuspectedV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralEscalatedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.names import EVENTS

BINDINGS: Final[tuple[Binding, ...]] = (
    (EVENTS, "referral.#"),
    (EVENTS, "alert.#"),
    (EVENTS, "overlap.#"),
    # The desk handles `case.merged.v1` only; without this queue some of the others would count as unrouted.
    (EVENTS, "case.#"),
    # Without a handler: no other queue receives `right.changed.v1`, which would count as unrouted.
    (EVENTS, "right.#"),
)
"""What the desk's queue is bound to: whole streams, because an event waits for its predecessor."""


def board_handlers() -> Mapping[type[Event], Handler]:
    """Message type -> handler."""
    return {
        ReferralOfferedV1: repository.record_offers,
        ReferralAcceptedV1: repository.record_acceptances,
        ReferralStartedV1: repository.record_starts,
        ReferralOverdueV1: repository.record_passed_deadlines,
        ReferralEscalatedV1: repository.record_passed_deadlines,
        ReferralReroutedV1: repository.record_endings,
        ReferralCompletedV1: repository.record_endings,
        ReferralCancelledV1: repository.record_endings,
        ReferralRevokedV1: repository.record_endings,
        ReferralAmendedV1: repository.record_offers,
        AlertSentV1: repository.record_alerts,
        AlertFailedV1: repository.record_alerts,
        OverlapSuspectedV1: repository.record_overlaps,
        OverlapDismissedV1: repository.close_overlaps,
        CaseMergedV1: repository.record_merges,
    }


def announcing(handlers: Mapping[type[Event], Handler], live: LiveChannels) -> Mapping[type[Event], Handler]:
    """Returns handlers that inform the open city boards after the commit."""

    def inform_after(handler: Handler) -> Handler:
        async def handle(transaction: Transaction, events: Sequence[Any]) -> None:
            await handler(transaction, events)
            transaction.after_commit.append(partial(live.announce, CITY))

        return handle

    return {message: inform_after(handler) for message, handler in handlers.items()}
