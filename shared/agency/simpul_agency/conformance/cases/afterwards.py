"""The last look at everything that was tried before."""

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial


@case("What was right stays right: nothing is answered late that must not be, and nothing a second time.", is_last=True)
async def nothing_was_said_later(trial: Trial) -> None:
    await trial.quiet()
    trial.stayed_as_it_was()
