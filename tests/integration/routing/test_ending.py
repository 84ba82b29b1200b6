"""A case ends only when its rights are settled or somebody says why; and it can go on again."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.errors import CaseChanged, CaseHasEnded, CaseIsOpen, CaseUnknown, ReasonMissing, RightsLacking
from simpul_routing.use_cases import EndCases
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import CaseEnd, Right, RightState
from tests.integration.routing.conftest import Room


def manager(room: Room) -> EndCases:
    return EndCases(Transactions(room.engine, room.outbox, room.keep))


async def version(room: Room, case: UUID) -> int:
    return int((await room.rows("SELECT version FROM case_plan WHERE case_id = $1", case))[0]["version"])


async def settle_rights(room: Room, case: UUID) -> None:
    for right in Right:
        await manager(room).answer_right(
            case, await version(room, case), right, RightState.FULFILLED, by="uptd-ppa", reason=""
        )


async def test_a_case_is_not_completed_while_a_right_is_not_settled_and_the_list_says_which(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes", injured="no")

    with pytest.raises(RightsLacking) as refusal:
        await manager(room).close(case, 1, CaseEnd.COMPLETED, by="uptd-ppa", reason="")

    assert {Right.SOCIAL_AID, Right.EDUCATION} <= set(refusal.value.rights)
    assert Right.RESTITUTION not in refusal.value.rights
    assert room.of("case.closed.v1") == []


async def test_a_completed_case_cancels_what_was_still_open_and_stops_its_clocks(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    await settle_rights(room, case)

    await manager(room).close(case, await version(room, case), CaseEnd.COMPLETED, by="uptd-ppa", reason="")

    offered = {entry["referral_id"] for entry in room.of("referral.offered.v1")}
    assert {entry["referral_id"] for entry in room.of("referral.cancelled.v1")} == offered
    assert [entry["end"] for entry in room.of("case.closed.v1", case_id=str(case))] == ["completed"]
    assert await room.rows("SELECT 1 FROM clock WHERE next_at IS NOT NULL") == []


async def test_a_reply_after_the_end_is_refused(room: Room) -> None:
    case = await room.report()
    await manager(room).close(case, 1, CaseEnd.TRANSFERRED, by="uptd-ppa", reason="lives in the regency")
    await room.reply("accepted", room.offered(case, "intake"))

    assert [entry["reason"] for entry in room.of("referral.reply_refused.v1")] == ["already_ended"]


async def test_a_case_that_ended_can_go_on_and_says_who_and_why(room: Room) -> None:
    case = await room.report()
    await manager(room).close(case, 1, CaseEnd.CLOSED, by="uptd-ppa", reason="moved away")
    with pytest.raises(CaseHasEnded):
        await manager(room).close(case, 2, CaseEnd.CLOSED, by="uptd-ppa", reason="again")
    await manager(room).reopen(case, 2, by="uptd-ppa", reason="came back")

    made = await room.rows(
        "SELECT before, after, actor, reason FROM transition WHERE case_id = $1 AND referral_id IS NULL ORDER BY at",
        case,
    )
    assert [tuple(row.values()) for row in made] == [
        ("open", "closed", "uptd-ppa", "moved away"), ("closed", "open", "uptd-ppa", "came back"),
    ]  # fmt: skip
    assert len(room.of("case.reopened.v1")) == 1


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"version": 7}, CaseChanged),
        ({"case_id": uuid4()}, CaseUnknown),
        ({"reason": ""}, ReasonMissing),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    room: Room, change: dict[str, Any], refusal: type[Exception]
) -> None:
    case = await room.report()
    asked: dict[str, Any] = {"case_id": case, "version": 1, "reason": "moved away"} | change

    with pytest.raises(refusal):
        await manager(room).close(
            asked["case_id"], asked["version"], CaseEnd.CLOSED, by="uptd-ppa", reason=asked["reason"]
        )


async def test_only_a_case_that_ended_can_be_reopened(room: Room) -> None:
    case = await room.report()

    with pytest.raises(CaseIsOpen):
        await manager(room).reopen(case, 1, by="uptd-ppa", reason="why not")


async def test_a_right_is_refused_by_the_victim_only_with_a_reason(room: Room) -> None:
    case = await room.report()
    asked = (case, 1, Right.RESTITUTION, RightState.REFUSED_BY_VICTIM)

    with pytest.raises(ReasonMissing):
        await manager(room).answer_right(*asked, by="uptd-ppa", reason="")
    await manager(room).answer_right(*asked, by="uptd-ppa", reason="asked twice")

    assert room.of("right.changed.v1")[-1]["rights"] == [{"right": "restitution", "state": "refused_by_victim"}]
