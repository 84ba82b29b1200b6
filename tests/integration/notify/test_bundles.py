"""What waits for the same person is one message, and an urgent alert waits for nothing less urgent."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from simpul_dev.backends import Backends
from simpul_schema.references import referral_code
from tests.integration.notify.room import START, Referral, Room, a_room, a_step
from tests.integration.notify.test_smtp import plain_text
from tests.support.ledger import eventually

COORDINATOR, HEAD = "+6283400111002", "+6283400113001"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        prepared.bundle_period = 60
        yield prepared


async def let_the_period_pass(room: Room) -> None:
    await room.rows("UPDATE alert SET due_at = now() WHERE state = 'pending'")


async def count_pending(room: Room) -> int:
    return len(await room.rows("SELECT FROM alert WHERE state = 'pending'"))


async def test_the_referrals_of_several_cases_within_a_minute_are_one_message(room: Room) -> None:
    case_id = uuid4()
    referrals = [Referral(urgency="medium", case_id=case_id) for _ in range(3)]
    referrals += [Referral(urgency="medium"), Referral(urgency="low")]
    async with room.running():
        await room.offer(*referrals)
        waiting = await count_pending(room)
        await let_the_period_pass(room)
        await room.wait_until_none_is_pending()

    assert waiting == 9
    [text] = room.sms_to()
    assert text.startswith("Simpul: 2 kasus, 4 rujukan menunggu. Kegentingan SEDANG. Batas jawab 27/11 22.00 WIB. ")
    assert len(room.mailbox.recipients) == 1
    assert len({alert["notification_id"] for alert in room.of("alert.sent.v1")}) == 2
    assert await room.alerted("rs-rujukan-1", "mail") == {referral.referral_id for referral in referrals}


async def test_an_urgent_alert_leaves_at_once_and_takes_the_others_of_its_recipient_along(room: Room) -> None:
    ordinary, urgent, elsewhere = Referral(urgency="medium"), Referral(), Referral("ylpa", urgency="medium")
    async with room.running():
        await room.offer(ordinary, elsewhere)
        before = len(room.sms_to())
        await room.offer(urgent)
        await eventually(lambda: _has_sms(room, 1))

        assert before == 0
        assert await room.alerted("rs-rujukan-1") == {ordinary.referral_id, urgent.referral_id}
        assert await room.alerted("ylpa-1") == set()
    assert room.sms_to()[0].startswith("Simpul: 2 kasus, 2 rujukan menunggu. Kegentingan TINGGI.")


async def test_what_follows_an_urgent_message_within_seconds_is_one_message_of_every_kind(room: Room) -> None:
    room.pause = 3600
    first, second, late = (Referral("uptd-ppa", case_id=uuid4()) for _ in range(3))
    async with room.running():
        await room.offer(first)
        await eventually(lambda: _has_sms(room, 1))
        await room.offer(second)
        await room.step("overdue", replace(late, agency="ylpa"), "answer", "uptd-ppa")
        await room.offer(Referral("uptd-ppa", urgency="medium"))
        # Nobody else waits for that.
        await room.offer(Referral("ylpa"))
        await eventually(lambda: _has_sms(room, 2))
        while_paused = room.sms_to(COORDINATOR)
        await room.rows("UPDATE delivery SET accepted_at = accepted_at - interval '2 hours'")
        await eventually(lambda: _has_sms(room, 3))

    assert len(while_paused) == 1
    _, text = room.sms_to(COORDINATOR)
    assert text.startswith("Simpul: 3 kasus: 1 lewat batas, 2 menunggu jawaban. Kegentingan TINGGI, batas 27/11 22.00")


async def test_an_urgent_alert_waits_for_no_pause_after_what_was_not_urgent(room: Room) -> None:
    room.pause = 3600
    async with room.running():
        await room.offer(Referral(urgency="medium"))
        await let_the_period_pass(room)
        await eventually(lambda: _has_sms(room, 1))
        await room.offer(Referral())
        await eventually(lambda: _has_sms(room, 2))


async def _has_sms(room: Room, count: int) -> bool:
    sent = await room.rows("SELECT DISTINCT notification_id FROM alert WHERE channel = 'sms' AND state = 'sent'")
    return len(sent) >= count


async def test_the_other_channels_follow_within_the_period_or_at_once_when_the_first_fails(room: Room) -> None:
    first, second = Referral(), Referral()
    async with room.running():
        await room.offer(first)
        await eventually(lambda: _has_sms(room, 1))
        mails_while_sms_works = len(room.mailbox.recipients)
        room.handset.is_failing = True
        await room.offer(second)
        await room.wait_until_none_is_pending(channel="mail")

    assert mails_while_sms_works == 0
    assert await room.alerted("rs-rujukan-1", "mail") == {first.referral_id, second.referral_id}
    assert room.mailbox.recipients == ["igd@rs-rujukan.example"]


async def test_the_late_referrals_of_one_case_are_one_message_to_the_level_above(room: Room) -> None:
    case_id = uuid4()
    referrals = [Referral(agency, case_id=case_id) for agency in ("rs-rujukan", "ylpa", "polres-ppa")]
    async with room.running():
        await room.take_in(
            "referral.escalated.v1",
            *(
                (referral, a_step("escalated", clock, "uptd-ppa-head"))
                for referral in referrals
                for clock in ("answer", "contact")
            ),
        )
        await let_the_period_pass(room)
        await room.wait_until_none_is_pending()

    [text] = room.sms_to(HEAD)
    assert text.startswith("Simpul: 1 kasus: 3 sudah 2x lewat batas. Kegentingan TINGGI, batas 27/11 22.00 WIB. http")
    [mail] = [plain_text(mail) for mail in room.mailbox.mails]
    named = [line.partition(" ")[0] for line in mail.splitlines() if line.startswith("R-")]
    assert sorted(named) == sorted(referral_code(referral.referral_id) for referral in referrals)


async def test_what_is_due_for_a_person_while_a_message_leaves_is_the_next_message(room: Room) -> None:
    room.first_retry_delay = 60
    referrals = [Referral() for _ in range(20)]
    async with room.running():
        room.handset.is_failing = True
        await room.offer(referrals[0])
        await eventually(lambda: _is_deferred(room))
        room.handset.is_failing = False
        await room.take_in("referral.offered.v1", *((referral, {"answer_by": START}) for referral in referrals[1:]))
        await room.wait_until_none_is_pending(channel="sms")

    assert await room.alerted("rs-rujukan-1") == {referral.referral_id for referral in referrals}
    assert len(room.sms_to()) == 1


async def _is_deferred(room: Room) -> bool:
    return bool(await room.rows("SELECT FROM alert WHERE attempts > 0 AND leased_until IS NULL"))


async def test_nothing_leaves_for_what_was_answered_while_it_waited(room: Room) -> None:
    answered, waits = Referral(urgency="medium"), Referral(urgency="medium")
    async with room.running():
        await room.offer(answered, waits)
        # As if the acceptance were recorded by another process at this moment.
        await room.rows(
            "INSERT INTO referral_service (service_id, progress) VALUES ($1, 1) ON CONFLICT (service_id)"
            " DO UPDATE SET progress = 1",
            answered.services[0],
        )
        await let_the_period_pass(room)
        await room.wait_until_none_is_pending()

    [text] = room.sms_to()
    assert referral_code(waits.referral_id) in text
    assert await room.states(referral_id=answered.referral_id) == ["suppressed", "suppressed"]


async def test_a_message_leaves_no_earlier_because_of_what_is_no_longer_needed(room: Room) -> None:
    answered, waits = Referral(), Referral(urgency="medium")
    async with room.running():
        await room.offer(waits)
        await room.receive("referral.accepted.v1", answered)
        await room.offer(answered)
        await eventually(lambda: _is_suppressed(room, answered))

        assert await room.states(referral_id=waits.referral_id) == ["pending", "pending"]
    assert room.sms_to() == []


async def _is_suppressed(room: Room, referral: Referral) -> bool:
    return "suppressed" in await room.states(referral_id=referral.referral_id, channel="sms")


async def test_revocations_wait_for_one_message(room: Room) -> None:
    referrals = [Referral(case_id=uuid4()) for _ in range(2)]
    async with room.running():
        await room.offer(*referrals)
        await eventually(lambda: _are_all_alerted(room, 2))
        for referral in referrals:
            await room.revoke(referral)
        before = len(room.sms_to())
        await let_the_period_pass(room)
        await room.wait_until_none_is_pending()

    assert [text.partition(",")[2] for text in room.sms_to()[before:]] == [
        " 2 dicabut, seluruhnya atau sebagian. Tidak perlu dijawab lagi; lihat aplikasi lembaga."
    ]


async def _are_all_alerted(room: Room, count: int) -> bool:
    return len(await room.alerted("rs-rujukan-1")) == count


async def test_two_processes_send_no_message_twice(room: Room) -> None:
    referrals = [Referral(agency, urgency="medium") for agency in ("rs-rujukan", "ylpa", "uptd-ppa") for _ in range(10)]
    other = replace(room, announced=[])
    async with room.running(), other.running():
        await room.offer(*referrals)
        await let_the_period_pass(room)
        await room.wait_until_none_is_pending()

    sent = [alert["alert_id"] for alert in room.of("alert.sent.v1") + other.of("alert.sent.v1")]
    assert len(sent) == len(set(sent)) == 60
