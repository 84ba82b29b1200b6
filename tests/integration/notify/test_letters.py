"""A referral is announced once, again for what is new, and as long as one of its services needs it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_dev.backends import Backends
from simpul_schema.references import referral_code
from tests.integration.notify.room import START, Referral, Room, a_room, requested
from tests.support.ledger import eventually

PIKET_RS = "+6283400111006"
EARLIER = START - timedelta(hours=1)


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


def of_two() -> Referral:
    return Referral(services=(uuid4(), uuid4()))


async def is_tried(room: Room) -> bool:
    return bool(await room.rows("SELECT FROM alert WHERE channel = 'sms' AND attempts > 0"))


async def amend(room: Room, referral: Referral, added: tuple[UUID, ...] = (), **deadlines: Any) -> None:
    """Receives an amendment after which the referral has these services, the first with another deadline."""
    first, *others = referral.services
    services = [requested(first, referral.urgency, **deadlines)]
    services += [requested(service, referral.urgency) for service in others]
    answer_by = min(service["answer_by"] for service in services)
    await room.receive("referral.amended.v1", referral, services=services, added=added, answer_by=answer_by)


async def test_a_referral_of_many_services_is_one_message_per_channel(room: Room) -> None:
    referral = Referral(services=tuple(uuid4() for _ in range(6)))
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()

    [text] = room.sms_to()
    assert text.startswith(f"Simpul: {referral_code(referral.referral_id)} menunggu jawaban Anda.")
    assert len(room.mailbox.recipients) == 1
    assert [alert["referral_id"] for alert in room.of("alert.sent.v1")] == [str(referral.referral_id)] * 2


async def test_an_alert_stays_while_one_service_awaits_an_answer(room: Room) -> None:
    referral = of_two()
    first, second = referral.services
    room.handset.is_failing = True
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: is_tried(room))
        await room.wait_until_none_is_pending(channel="mail")
        await room.receive("referral.accepted.v1", replace(referral, services=(first,)))
        after_one = await room.states(channel="sms")
        await room.receive(
            "referral.declined.v1", replace(referral, services=(second,)), reason="no_capacity", declined_at=START
        )
        after_both = await room.states(channel="sms")

    assert (after_one, after_both) == (["pending"], ["suppressed"])


async def test_the_message_names_the_deadline_of_what_still_awaits_an_answer(room: Room) -> None:
    referral = Referral(urgency="medium", services=(uuid4(), uuid4()))
    urgent, other = referral.services
    room.handset.is_failing = True
    async with room.running():
        await room.receive(
            "referral.offered.v1",
            replace(referral, urgency="high"),
            answer_by=EARLIER,
            services=[requested(urgent, "high", EARLIER), requested(other, "medium")],
        )
        await eventually(lambda: is_tried(room))
        await room.receive("referral.accepted.v1", replace(referral, services=(urgent,)))
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()

    [text] = room.sms_to()
    assert "SEDANG" in text
    assert "27/11 22.00" in text


async def test_added_services_are_announced_again_and_end_by_themselves(room: Room) -> None:
    referral = of_two()
    first, added = referral.services
    async with room.running():
        await room.offer(replace(referral, services=(first,)))
        await room.wait_until_none_is_pending()
        await room.receive("referral.accepted.v1", replace(referral, services=(first,)))
        room.handset.is_failing = True
        await amend(room, referral, added=(added,))
        await eventually(lambda: is_tried(room))
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()

    assert [text.partition(",")[0] for text in room.sms_to()][1:] == [
        f"Simpul: {referral_code(referral.referral_id)} berubah"
    ]
    [about] = await room.rows("SELECT services FROM alert WHERE step = 2 AND channel = 'sms'")
    assert about["services"] == [added]


@pytest.mark.parametrize(
    ("answer_by", "is_answered", "messages"),
    [(EARLIER, False, 2), (START, False, 1), (START + timedelta(hours=1), False, 1), (EARLIER, True, 1)],
    ids=["earlier", "as before", "later", "earlier but answered"],
)
async def test_an_earlier_answer_alone_is_announced_again(
    room: Room, answer_by: Any, is_answered: bool, messages: int
) -> None:
    referral = of_two()
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()
        if is_answered:
            await room.receive("referral.accepted.v1", referral)
        await amend(room, referral, answer_by=answer_by)
        await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_RS)) == messages


async def test_a_higher_urgency_is_announced_again(room: Room) -> None:
    referral = Referral(urgency="medium")
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()
        await amend(room, replace(referral, urgency="high"))
        await room.wait_until_none_is_pending()

    assert "TINGGI" in room.sms_to()[-1]
    assert len(room.sms_to()) == 2


async def test_an_amendment_before_the_first_message_left_is_one_message_with_its_deadline(room: Room) -> None:
    referral = Referral(urgency="medium")
    room.bundle_period = 60
    async with room.running():
        await room.offer(referral)
        await amend(room, replace(referral, urgency="high"), answer_by=EARLIER)
        await room.wait_until_none_is_pending(channel="sms")

    [text] = room.sms_to()
    assert "menunggu jawaban Anda" in text
    assert "TINGGI" in text
    assert "27/11 21.00" in text


async def test_a_step_of_several_services_is_one_message_until_the_last_has_started(room: Room) -> None:
    referral = of_two()
    room.handset.is_failing = True
    async with room.running():
        await room.step("overdue", referral, "service", "uptd-ppa")
        await eventually(lambda: is_tried(room))
        await room.receive("referral.started.v1", replace(referral, services=referral.services[:1]))
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()
        await room.receive("referral.started.v1", replace(referral, services=referral.services[1:]))
        await room.step("escalated", referral, "service", "uptd-ppa-head")
        await room.wait_until_none_is_pending()

    assert len(room.sms_to()) == 1


async def test_those_who_were_alerted_are_informed_that_services_were_revoked(room: Room) -> None:
    informed, unaware = of_two(), Referral("ylpa")
    # Longer than the test, so that what is deferred does not leave before it is revoked.
    room.first_retry_delay = 60
    async with room.running():
        await room.offer(informed)
        await room.wait_until_none_is_pending()
        room.handset.is_failing = True
        await room.offer(unaware)
        await eventually(lambda: _is_deferred(room, unaware))
        await room.rows(
            "UPDATE alert SET state = 'failed' WHERE referral_id = $1 AND channel = 'mail'", unaware.referral_id
        )
        room.handset.is_failing = False
        await room.revoke(informed, informed.services[0])
        await room.revoke(unaware)
        await room.wait_until_none_is_pending()

    assert "dicabut" in room.sms_to(PIKET_RS)[-1]
    assert len(room.sms_to()) == 2
    assert len(await room.rows("SELECT FROM alert WHERE step = 3")) == 1


async def _is_deferred(room: Room, referral: Referral) -> bool:
    found = await room.rows(
        "SELECT FROM alert WHERE referral_id = $1 AND channel = 'sms' AND attempts > 0 AND leased_until IS NULL",
        referral.referral_id,
    )
    return bool(found)


async def test_who_was_being_alerted_when_services_were_revoked_is_informed_only_if_the_message_left(
    room: Room,
) -> None:
    left, refused = Referral(), Referral("ylpa")
    room.bundle_period = 60
    async with room.running():
        for referral, state in ((left, "sent"), (refused, "suppressed")):
            await room.offer(referral)
            await room.wait_until_none_is_pending(channel="sms", referral_id=referral.referral_id)
            await room.rows(
                "UPDATE alert SET state = 'pending', leased_until = now() + interval '9 seconds'"
                " WHERE referral_id = $1",
                referral.referral_id,
            )
            await room.revoke(referral)
            # The attempt ends after the revocation.
            await room.rows(
                "UPDATE alert SET state = $2, leased_until = NULL WHERE referral_id = $1 AND step = 1",
                referral.referral_id,
                state,
            )
        await room.rows("UPDATE alert SET due_at = now() WHERE state = 'pending'")
        await room.wait_until_none_is_pending()

    assert [("dicabut" in text) for text in room.sms_to(PIKET_RS)] == [False, True]
    assert [row["reason"] for row in await room.rows("SELECT reason FROM alert WHERE step = 3 ORDER BY state")] == [
        None,
        "not_alerted_before",
    ]
