"""Checks everything again after the other cases."""

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial


@case("Replies are final: no event gets a late reply that it must not get, and none is answered twice.", is_last=True)
async def replies_are_unchanged_at_the_end(trial: Trial) -> None:
    await trial.wait_until_quiet()
    trial.expect_unchanged()
