"""Faults of the agreement: none that decides, signatures missing, validity or holidays that end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

SOON: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """The version that decides and the newest one."""

    today: date
    problem: str = ""
    """Why no version can be read."""
    version: str = "1"
    """The one that decides; empty if there is none."""
    is_interim: bool = False
    unsigned_by: Sequence[str] = ()
    """Parties whose signature the newest version lacks."""
    newest: str = "1"
    is_newest_proven: bool = True
    valid_until: date | None = None
    last_holiday: date | None = None


def find_unreadable_agreement(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds an agreement that cannot be read."""
    if facts.problem:
        cause = _("The agreement cannot be read: {problem}", problem=facts.problem)
        yield critical("agreement_invalid", cause, "simpul agreement check VERSION")


def find_missing_agreement(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds a city in which routing decides nothing."""
    if not facts.problem and not facts.version:
        cause = _("No version of the agreement decides, so routing does not start.")
        yield critical("agreement_unsigned", cause, f"simpul agreement status city/agreement/{facts.newest}")


def find_interim_agreement(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds an agreement that decides on the hub's signature alone."""
    if facts.version and facts.is_interim:
        cause = _(
            "The agreement {version} is interim; these have not signed: {parties}",
            version=facts.version,
            parties=", ".join(facts.unsigned_by),
        )
        remedy = f"simpul agreement request city/agreement/{facts.version} --to FILE"
        yield warning("agreement_interim", cause, remedy)


def find_unproven_version(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds a newer version whose text was changed after its proof."""
    if facts.version and not facts.is_newest_proven:
        cause = _("The newest version {version} of the agreement is not proven.", version=facts.newest)
        yield warning("agreement_unproven", cause, f"simpul agreement check city/agreement/{facts.newest}")


def find_ending_validity(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds an agreement that ends within 60 days."""
    if facts.version and facts.valid_until and facts.valid_until - facts.today <= SOON:
        days = (facts.valid_until - facts.today).days
        make = critical if days <= 0 else warning
        cause = _("The agreement {version} is valid for {days} more days.", version=facts.version, days=days)
        yield make("agreement_ends", cause, "$EDITOR city/agreement  # copy it to a new version, prove and sign it")


def find_ending_holidays(facts: AgreementFacts) -> Iterator[Finding]:
    """Finds a list of holidays that ends within 60 days; deadlines in office hours would count holidays."""
    if facts.version and (facts.last_holiday is None or facts.last_holiday - facts.today <= SOON):
        day = facts.last_holiday or "-"
        cause = _("The last holiday that the agreement lists is {day}.", day=day)
        yield warning(
            "holidays_end", cause, "$EDITOR city/agreement  # add holidays to a new version, prove and sign it"
        )


CHECKS: Final = (
    find_unreadable_agreement,
    find_missing_agreement,
    find_interim_agreement,
    find_unproven_version,
    find_ending_validity,
    find_ending_holidays,
)
