"""Messages in: open, hand to the use case."""

from collections.abc import Mapping, Sequence

from simpul_routing.use_cases import ReferCases, Reply, record_accepted, record_delivered
from simpul_runtime.inbox import Handler
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import CaseReportedV1, ReplyReferralAcceptedV1, ReplyReferralDeliveredV1
from simpul_schema.messages.case import TriageFacts


def handlers(keys: Keys, refer_cases: ReferCases) -> Mapping[type[Event], Handler]:
    """What routing does with each message."""

    async def case_reported(transaction: Transaction, events: Sequence[CaseReportedV1]) -> None:
        opened = [(event, keys.open(event, "triage", TriageFacts)) for event in events]
        await refer_cases.refer(transaction, opened)

    async def delivered(transaction: Transaction, events: Sequence[ReplyReferralDeliveredV1]) -> None:
        await record_delivered(transaction, [Reply(event, event.data) for event in events])

    async def accepted(transaction: Transaction, events: Sequence[ReplyReferralAcceptedV1]) -> None:
        await record_accepted(transaction, [Reply(event, event.data) for event in events])

    return {
        CaseReportedV1: case_reported,
        ReplyReferralDeliveredV1: delivered,
        ReplyReferralAcceptedV1: accepted,
    }
