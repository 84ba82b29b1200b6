"""Networks and brokers fail; nothing is lost and the consumer comes back by itself."""

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect

BACK_WITHIN = 60.0


@case("Cut off from the broker, the consumer comes back by itself.")
async def comes_back_after_cut(trial: Trial) -> None:
    await trial.answered(await trial.offered())
    cut = await trial.city.cut_connections()
    expect(cut > 0, "the broker knew no connection of the agency")
    await trial.answered(await trial.offered(2), within=BACK_WITHIN)
    expect(trial.is_running, "the consumer ended instead of coming back")


@case("Cut off in the middle of its work, it answers everything, each once.")
async def cut_in_mid_handler_loses_nothing(trial: Trial) -> None:
    before = len(trial.city.heard)
    offers = [await trial.offered(number % 5 + 1) for number in range(12)]
    await trial.city.until(lambda: len(trial.city.heard) > before, 5)
    await trial.city.cut_connections()
    offers += [await trial.offered(number % 5 + 1) for number in range(4)]
    await trial.answered(*offers, within=BACK_WITHIN)


@case("A broker that restarts in the middle of the work loses and doubles nothing.")
async def broker_restart_loses_nothing(trial: Trial) -> None:
    offers = [await trial.offered(number % 5 + 1) for number in range(12)]
    await trial.restart_broker()
    offers.append(await trial.offered())
    await trial.answered(*offers, within=BACK_WITHIN)
    expect(trial.is_running, "the consumer ended instead of coming back")
