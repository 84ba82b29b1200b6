"""What other software may write as a reply."""

import json
from uuid import uuid4

import pytest

from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, ReplyKind

ONE, OTHER = uuid4(), uuid4()


def test_one_reply_or_a_list_of_replies_is_read() -> None:
    accepted = {"reply": "accepted", "service_ids": [str(ONE)]}
    declined = {"reply": "declined", "service_ids": [str(OTHER)], "reason": "no_capacity"}

    [single] = ReplyCommand.parse_all(json.dumps(accepted).encode())
    both = ReplyCommand.parse_all(json.dumps([accepted, declined]).encode())

    assert (single.reply, single.service_ids) == (ReplyKind.ACCEPTED, (ONE,))
    assert [(one.reply, one.service_ids) for one in both] == [
        (ReplyKind.ACCEPTED, (ONE,)),
        (ReplyKind.DECLINED, (OTHER,)),
    ]


def test_a_column_joins_several_services() -> None:
    assert ReplyCommand.parse({"reply": "started", "service_ids": f"{ONE}+{OTHER}"}).service_ids == (ONE, OTHER)
    assert ReplyCommand.parse({"reply": "started"}).service_ids is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        # A program that found none of its services must not answer for all of them.
        ({"reply": "accepted", "service_ids": []}, "service_ids"),
        ({"reply": "accepted", "service_ids": ""}, "service_ids"),
        ({"reply": "accepted", "service_ids": ["shelter"]}, "service_ids"),
        ({"reply": "seen", "service_ids": [str(ONE)]}, "whole referral"),
        ({"reply": "withdrawal_acknowledged", "service_ids": [str(ONE)]}, "whole referral"),
        ({"reply": "declined", "service_ids": [str(ONE)]}, "needs reason"),
        ({"reply": "accepted", "services": [str(ONE)]}, "services"),
    ],
)
def test_a_reply_that_cannot_be_sent_is_refused_with_the_field(content: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidReply, match=problem):
        ReplyCommand.parse_all(json.dumps([content]).encode())


@pytest.mark.parametrize("content", [b"{", b"\xff", b"accepted"])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidReply, match="not JSON"):
        ReplyCommand.parse_all(content)
