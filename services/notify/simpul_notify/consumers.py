"""Messages in: hand to the use case."""

from collections.abc import Mapping, Sequence

from simpul_notify.use_cases import AlertOnDuty
from simpul_runtime.inbox import Handler
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import ReferralExclusionSuggestedV1, ReferralOfferedV1


def handlers(alert_on_duty: AlertOnDuty) -> Mapping[type[Event], Handler]:
    """What notify does with each message."""

    async def offered(transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
        await alert_on_duty.alert(transaction, events)

    async def exclusion_suggested(transaction: Transaction, events: Sequence[ReferralExclusionSuggestedV1]) -> None:
        await alert_on_duty.alert_deciders(transaction, events)

    return {ReferralOfferedV1: offered, ReferralExclusionSuggestedV1: exclusion_suggested}
