"""A person answers a message by its link or by SMS; that stops or hurries what waits for others, and nothing else."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from simpul_dev.backends import Backends
from simpul_notify.domain.reach_checks import WeeklyTime
from simpul_notify.domain.responders import Responder
from simpul_notify.use_cases import CheckReach
from simpul_notify.use_cases.record_answers import REPEATED_WITHIN
from simpul_runtime.database import utc_now
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, Referral, Room, a_room, zone_at

SMS = AlertChannel.SMS
FIRST = Responder("rs-1", "id", {SMS: "+6283400111006"})
SECOND = Responder("rs-2", "en", {SMS: "+6283400111007"})
THIRD = Responder("rs-3", "id", {SMS: "+6283400111008"})
FOURTH = Responder("rs-4", "id", {SMS: "+6283400111009"})
SCANNER_FORMS = [
    {},
    {"answer": "on_it"},
    {"answer": "on_it", "number": ""},
    {"number": "on"},
    {"answer": "on_it", "number": "test"},
    {"answer": "accept", "number": "{number}"},
]


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    """A hospital with two people; the second one is alerted when the first one does not react."""
    async with a_room(backends, tmp_path) as prepared:
        prepared.bundle_period = 3600
        prepared.roster = replace(
            ROSTER,
            on_duty={"rs-rujukan": (FIRST, SECOND)},
            channels=dict.fromkeys(ROSTER.channels, (SMS,)),
            responders={"rs-1": FIRST, "rs-2": SECOND},
        )
        yield prepared


async def offer_to_first(room: Room, referral: Referral) -> None:
    """Offers a referral; only the first person is alerted now."""
    await room.offer(referral)
    await room.rows("UPDATE alert SET due_at = now() WHERE responder = 'rs-1'")


async def state_of(room: Room, responder: str) -> tuple[str, str | None, bool, bool]:
    [row] = await room.rows("SELECT * FROM alert WHERE responder = $1", responder)
    return row["state"], row["reason"], row["acknowledged_at"] is not None, row["passed_on_at"] is not None


async def escalations(room: Room) -> list[str]:
    return [row["state"] for row in await room.rows("SELECT state FROM escalation")]


@pytest.fixture
def referral() -> Referral:
    return Referral(urgency="medium")


@pytest.fixture(params=["link", "sms"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


ANSWERS = {"TERIMA": "on_it", "BANTU": "needs_help", "ALIH": "passes_on"}


async def answer(room: Room, way: str, word: str) -> int:
    message = await room.phone("+6283400111006").expect_sms("menunggu jawaban Anda")
    await room.wait_until_none_is_pending(responder="rs-1")
    return await (message.press(ANSWERS[word]) if way == "link" else message.reply(word, "083400111006"))


async def test_terima_stops_the_alerts_of_others(room: Room, referral: Referral, way: str) -> None:
    async with room.running():
        await offer_to_first(room, referral)

        assert await answer(room, way, "TERIMA") == 200

    assert await state_of(room, "rs-1") == ("sent", None, True, False)
    assert await escalations(room) == ["ended"]
    assert room.sms_to("+6283400111007") == []


async def test_terima_of_one_party_leaves_the_alerts_of_another(room: Room, referral: Referral) -> None:
    room.roster = replace(room.roster, on_duty={"uptd-ppa-head": (FIRST,), "city-board": (SECOND,)})
    async with room.running():
        await room.step("escalated", referral, "answer", "uptd-ppa-head", "city-board")
        await room.rows("UPDATE alert SET due_at = now() WHERE responder = 'rs-1'")
        message = await room.phone("+6283400111006").expect_sms()
        await room.wait_until_none_is_pending(responder="rs-1")

        await message.reply("TERIMA")

    assert await state_of(room, "rs-1") == ("sent", None, True, False)
    assert await state_of(room, "rs-2") == ("pending", None, False, False)
    ended = await room.rows("SELECT party, state FROM escalation ORDER BY party")
    assert [(row["party"], row["state"]) for row in ended] == [("city-board", "open"), ("uptd-ppa-head", "ended")]


async def test_terima_of_the_coordinator_ends_what_the_party_did_not_answer(room: Room) -> None:
    room.roster = replace(room.roster, on_duty={"rs-rujukan": (FIRST,), ROSTER.coordinator: (SECOND,)})
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        await room.pass_time(timedelta(minutes=5))
        message = await room.phone("+6283400111007").expect_sms()
        await room.wait_until_none_is_pending()

        await message.reply("TERIMA")

    assert await state_of(room, "rs-2") == ("sent", None, True, False)
    assert await escalations(room) == ["ended"]


async def test_terima_of_the_coordinator_leaves_a_party_for_which_it_was_not_alerted(room: Room) -> None:
    both = {"uptd-ppa-head": (FIRST,), "city-board": (THIRD,), ROSTER.coordinator: (SECOND,)}
    room.roster = replace(room.roster, on_duty=both, responders={one.reference: one for (one,) in both.values()})
    referral = Referral()
    async with room.running():
        await room.step("escalated", referral, "answer", "uptd-ppa-head", "city-board")
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE escalation SET due_at = NULL WHERE party = 'city-board'")
        await room.pass_time(timedelta(minutes=5))
        message = await room.phone("+6283400111007").expect_sms()
        await room.wait_until_none_is_pending()

        await message.reply("TERIMA")
        assert await states_of_parties(room) == {"uptd-ppa-head": "ended", "city-board": "open"}

        # When the other party does not react either, the coordinator takes care of it already.
        await room.rows("UPDATE escalation SET due_at = now() WHERE party = 'city-board'")
        await room.pass_time(timedelta(minutes=1))
        assert await states_of_parties(room) == {"uptd-ppa-head": "ended", "city-board": "open"}
        await room.pass_time(timedelta(minutes=2))

    assert await states_of_parties(room) == {"uptd-ppa-head": "ended", "city-board": "ended"}
    assert len(room.sms_to("+6283400111007")) == 1
    assert room.of("alert.exhausted.v1") == []


async def states_of_parties(room: Room) -> dict[str, str]:
    return {row["party"]: row["state"] for row in await room.rows("SELECT party, state FROM escalation")}


@pytest.mark.parametrize("word", ["BANTU", "ALIH"])
async def test_a_call_for_others_calls_those_of_the_same_party_only(room: Room, word: str) -> None:
    others = {"uptd-ppa-head": (FIRST, SECOND), "city-board": (THIRD, FOURTH)}
    room.bundle_period = 0
    room.roster = replace(
        room.roster, on_duty=others, responders={one.reference: one for two in others.values() for one in two}
    )
    async with room.running():
        await room.step("escalated", Referral(), "answer", "uptd-ppa-head", "city-board")
        await room.wait_until_none_is_pending()
        message = await room.phone("+6283400111006").expect_sms()

        await message.reply(word)
        await room.phone("+6283400111007").expect_sms()
        await room.pass_time(timedelta(minutes=1))
        await room.wait_until_none_is_pending()

    assert await room.alerted("rs-4") == set()


async def test_a_late_failure_alerts_nobody_else_after_terima_of_a_colleague(room: Room) -> None:
    everybody = (FIRST, SECOND, THIRD)
    room.roster = replace(
        room.roster, on_duty={"rs-rujukan": everybody}, responders={one.reference: one for one in everybody}
    )
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        await room.pass_time(timedelta(minutes=5))
        message = await room.phone("+6283400111007").expect_sms()
        await room.wait_until_none_is_pending()
        await message.reply("TERIMA")

        await room.report(room.handset.arrivals[0], 16)

    assert await state_of(room, "rs-1") == ("failed", "undelivered", False, False)
    assert await room.states(responder="rs-3") == []


@pytest.mark.parametrize("word", ["BANTU", "ALIH"])
async def test_bantu_and_alih_alert_others_at_once(room: Room, referral: Referral, way: str, word: str) -> None:
    async with room.running():
        await offer_to_first(room, referral)

        await answer(room, way, word)
        await room.phone("+6283400111007").expect_sms("awaits your answer")
        await room.wait_until_none_is_pending()

    assert await state_of(room, "rs-1") == ("sent", None, word == "BANTU", word == "ALIH")


async def test_alih_after_terima_alerts_others_after_all(room: Room, referral: Referral) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        await answer(room, "sms", "TERIMA")

        await answer(room, "sms", "ALIH")
        await room.phone("+6283400111007").expect_sms("awaits your answer")

    assert await state_of(room, "rs-1") == ("sent", None, False, True)


async def test_an_answer_accepts_reads_and_closes_nothing(room: Room, referral: Referral, way: str) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        await answer(room, way, "TERIMA")

    assert {event["type"] for event in room.announced} == {"alert.sent.v1"}
    [service] = await room.rows("SELECT progress FROM referral_service")
    assert service["progress"] == 0


async def test_opening_a_link_or_posting_it_without_a_person_is_no_answer(room: Room, referral: Referral) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone("+6283400111006").expect_sms()
        await room.wait_until_none_is_pending(responder="rs-1")
        number = re.findall(r"<strong>(\d\d)</strong>", await message.open())[0]
        statuses = [await room.call(method, message.link) for method in ("GET", "HEAD")]
        for form in SCANNER_FORMS:
            filled = {name: value.format(number=number) for name, value in form.items()}
            statuses.append(await room.call("POST", message.link, data=filled))
            statuses.append(await room.call("POST", f"{message.link}?{'&'.join(filled)}"))

    assert statuses == [200, 200] + [400] * 12
    assert await state_of(room, "rs-1") == ("sent", None, False, False)
    assert await escalations(room) == ["open"]


@pytest.mark.parametrize(
    ("language", "button"),
    [("id", "Saya tangani"), ("jv", "Kula tangani"), ("en", "I take care of it"), ("su", "Saya tangani")],
)
async def test_the_page_opens_in_the_language_of_the_person_and_offers_the_others(
    room: Room, referral: Referral, language: str, button: str
) -> None:
    person = replace(FIRST, language=language)
    room.roster = replace(room.roster, on_duty={"rs-rujukan": (person,)}, responders={"rs-1": person})
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone("+6283400111006").expect_sms()
        page, chosen = await message.open(), await message.open("en")
        mistyped = await room.call("POST", message.link, data={"number": "no", "answer": "on_it"})

    assert f">{button}<" in page
    assert ">I take care of it<" in chosen
    assert mistyped == 400
    shown = "id" if language == "su" else language
    assert f'<html lang="{shown}">' in page
    assert set(re.findall(r'href="\?lang=(\w+)"', page)) == {"id", "jv", "en"} - {shown}


@pytest.mark.parametrize("language", ["id", "en", "jv"])
async def test_the_page_is_the_same_for_every_link_and_reveals_nothing(
    room: Room, referral: Referral, language: str
) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone("+6283400111006").expect_sms()
        page = await message.open(language)
        unknown = await replace(message, text="https://x.example/a/222222222222").open(language)

    known = re.sub(r"<strong>\d\d</strong>", "", page)
    assert known == re.sub(r"<strong>\d\d</strong>", "", unknown)
    assert [word for word in ("<script", referral_code(referral.referral_id), "rs-", "83400") if word in page] == []
    assert ("Saya tangani" in page) is (language == "id")
    assert len(page) < 3000


async def test_an_expired_or_unknown_link_changes_nothing(room: Room, referral: Referral) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone("+6283400111006").expect_sms()
        await room.wait_until_none_is_pending(responder="rs-1")
        await room.rows("UPDATE notification SET created_at = created_at - interval '8 days'")
        statuses = [
            await message.press("on_it"),
            await replace(message, text="https://x.example/a/222222222222").press("on_it"),
        ]

    assert statuses == [404, 404]
    assert await escalations(room) == ["open"]


@pytest.mark.parametrize(
    ("text", "sender"),
    [("terima", "083400999999"), ("siapa ini?", "083400111006"), ("terima R-000000", "083400111006")],
)
async def test_a_reply_that_is_uncertain_or_of_a_stranger_changes_nothing(
    room: Room, referral: Referral, text: str, sender: str
) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone("+6283400111006").expect_sms()
        await room.wait_until_none_is_pending(responder="rs-1")

        assert await message.reply(text, sender) == 200

    assert await state_of(room, "rs-1") == ("sent", None, False, False)


async def test_a_code_chooses_the_message_and_the_last_one_is_meant_without(room: Room) -> None:
    older, newer = Referral(urgency="medium"), Referral(urgency="medium")
    async with room.running():
        for one in (older, newer):
            await offer_to_first(room, one)
            message = await room.phone("+6283400111006").expect_sms(referral_code(one.referral_id))
            await room.wait_until_none_is_pending(responder="rs-1")

        await message.reply(f"TERIMA {referral_code(older.referral_id)}")
        first = await _acknowledged(room)
        await message.reply("TERIMA")
        both = await _acknowledged(room)

    assert first == {older.referral_id}
    assert both == {older.referral_id, newer.referral_id}


async def _acknowledged(room: Room) -> set[object]:
    found = await room.rows("SELECT referral_id FROM alert WHERE acknowledged_at IS NOT NULL")
    return {row["referral_id"] for row in found}


def a_check(room: Room) -> CheckReach:
    """The weekly test, due now and at an hour of work."""
    zone = zone_at(12)
    room.rules = replace(room.rules, zone=zone)
    now = utc_now().astimezone(zone)
    time = WeeklyTime(now.weekday(), now.time().replace(microsecond=0))
    return CheckReach(room.transactions, lambda: room.roster, room.dispatch, "https://simpul.example", time, zone)


async def answered(room: Room) -> list[str]:
    """By which numbers something was answered."""
    return [row["channel"] for row in await room.rows("SELECT channel FROM notification WHERE answer = 'on_it'")]


async def test_a_reply_proves_the_number_that_it_comes_from(room: Room) -> None:
    person = replace(FIRST, further_methods={SMS: ("+6283400111007",)})
    room.roster = replace(room.roster, on_duty={"rs-rujukan": (person,)}, responders={"rs-1": person})
    async with room.running():
        await a_check(room).check()
        message = await room.phone("+6283400111006").expect_sms("tes mingguan")
        await room.phone("+6283400111007").expect_sms("tes mingguan")
        await message.reply("TERIMA")
        await message.reply("TERIMA")

    assert await answered(room) == ["sms"]


async def test_a_reply_is_about_what_its_number_got_wherever_it_stands_in_the_roster_now(
    room: Room, referral: Referral
) -> None:
    [number] = FIRST.contact_methods.values()
    async with room.running():
        await offer_to_first(room, referral)
        message = await room.phone(number).expect_sms()
        await room.wait_until_none_is_pending(responder="rs-1")
        corrected = replace(FIRST, contact_methods={SMS: "+6283400111999"}, further_methods={SMS: (number,)})
        room.roster = replace(room.roster, responders={"rs-1": corrected, "rs-2": SECOND})
        await message.reply("TERIMA", sender="+6283400111999")
        before = await escalations(room)
        await message.reply("TERIMA")

    assert before == ["open"]
    assert await escalations(room) == ["ended"]


@pytest.mark.parametrize("is_test_first", [True, False])
async def test_terima_while_a_test_is_open_acknowledges_an_alert_only_by_its_code(
    room: Room, referral: Referral, is_test_first: bool
) -> None:
    room.roster = replace(room.roster, on_duty={"rs-rujukan": (FIRST,)}, responders={"rs-1": FIRST})
    async with room.running():
        check = a_check(room)
        if is_test_first:
            await check.check()
        await offer_to_first(room, referral)
        alert = await room.phone("+6283400111006").expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending(responder="rs-1")
        if not is_test_first:
            await check.check()
        await room.phone("+6283400111006").expect_sms("tes mingguan")

        await alert.reply("TERIMA")
        await alert.reply("TERIMA")
        after_the_test = (await answered(room), await _acknowledged(room), await escalations(room))
        await alert.reply(f"TERIMA {referral_code(referral.referral_id)}")

    assert after_the_test == (["sms"], set(), ["open"])
    assert await _acknowledged(room) == {referral.referral_id}
    assert await escalations(room) == ["ended"]


async def test_a_later_terima_is_about_the_alert_and_alih_at_once(room: Room, referral: Referral) -> None:
    room.roster = replace(room.roster, on_duty={"rs-rujukan": (FIRST,)}, responders={"rs-1": FIRST})
    async with room.running():
        await offer_to_first(room, referral)
        alert = await room.phone("+6283400111006").expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending(responder="rs-1")
        await a_check(room).check()
        await alert.reply("ALIH")
        passed_on = await state_of(room, "rs-1")
        await room.rows("UPDATE notification SET answered_at = answered_at - $1::interval", REPEATED_WITHIN)
        await alert.reply("TERIMA")

    assert passed_on == ("sent", None, False, True)
    assert await state_of(room, "rs-1") == ("sent", None, True, False)


async def test_terima_twice_is_about_two_alerts_only_if_it_is_not_one_reply_repeated(room: Room) -> None:
    async with room.running():
        for one in (older := Referral(urgency="medium"), newer := Referral(urgency="medium")):
            await offer_to_first(room, one)
            message = await room.phone("+6283400111006").expect_sms(referral_code(one.referral_id))
            await room.wait_until_none_is_pending(responder="rs-1")
        await message.reply("TERIMA")
        await message.reply("TERIMA")
        at_once = await _acknowledged(room)
        await room.rows("UPDATE notification SET answered_at = answered_at - $1::interval", REPEATED_WITHIN)
        await message.reply("TERIMA")

    assert at_once == {newer.referral_id}
    assert await _acknowledged(room) == {older.referral_id, newer.referral_id}


async def test_replies_without_the_gateways_token_find_nothing(room: Room) -> None:
    async with room.running():
        statuses = [
            await room.call("POST", f"{room.web_url}/gateway/replies/{path}", headers={"X-Kannel-From": "0834"})
            for path in ("wrong/kannel", "only-the-gateway-knows/smtp", "/kannel")
        ]

    assert statuses == [404, 404, 404]


async def test_a_second_answer_of_the_same_kind_changes_nothing(room: Room, referral: Referral) -> None:
    async with room.running():
        await offer_to_first(room, referral)
        await answer(room, "link", "TERIMA")
        before = await room.rows("SELECT answered_at FROM notification WHERE answer IS NOT NULL")
        assert await answer(room, "link", "TERIMA") == 200
        after = await room.rows("SELECT answered_at FROM notification WHERE answer IS NOT NULL")

    assert len(before) == 1
    assert before == after
