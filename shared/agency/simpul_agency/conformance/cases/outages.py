"""Networks and brokers fail: nothing is lost, and the consumer reconnects by itself."""

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect

RECONNECT_TIMEOUT = 60.0
"""Seconds within which a consumer must reconnect and answer; tests of broken consumers shorten it."""


@case("A consumer whose connection is cut reconnects by itself.")
async def reconnects_after_cut(trial: Trial) -> None:
    await trial.expect_answered(await trial.send_offer())
    cut = await trial.city.broker.cut_connections()
    expect(cut > 0, "the agency had no connection to the broker")
    await trial.expect_answered(await trial.send_offer(2), timeout=RECONNECT_TIMEOUT)
    expect(trial.is_running, "the consumer ended instead of reconnecting")


@case("A consumer whose connection is cut during its work answers every offer once.")
async def cut_during_work_loses_nothing(trial: Trial) -> None:
    before = len(trial.city.reply_log.replies)
    offers = [await trial.send_offer(number % 5 + 1) for number in range(12)]
    await trial.city.reply_log.wait_until(lambda: len(trial.city.reply_log.replies) > before, 5)
    await trial.city.broker.cut_connections()
    offers += [await trial.send_offer(number % 5 + 1) for number in range(4)]
    await trial.expect_answered(*offers, timeout=RECONNECT_TIMEOUT)


@case("When the broker restarts during the work, nothing is lost or repeated.")
async def broker_restart_loses_nothing(trial: Trial) -> None:
    offers = [await trial.send_offer(number % 5 + 1) for number in range(12)]
    await trial.restart_broker()
    offers.append(await trial.send_offer())
    await trial.expect_answered(*offers, timeout=RECONNECT_TIMEOUT)
    expect(trial.is_running, "the consumer ended instead of reconnecting")
