"""Faults of agencies: silent, suspended with open referrals, without an account, with a wrong key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MAX_MISSED: Final = 40
"""Manifests without a sign of life after which an agency counts as silent; a kit without work reports every 30."""
WRONG_KEY_REASONS: Final = frozenset({"unknown_key", "forged", "unsigned", "cannot_open"})
"""Why a message is parked when its sender's key is not the enrolled one."""


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency as broker and routing see it."""

    code: str
    account: str = "active"
    """As `simpul agency list` shows it; empty where the broker does not answer."""
    is_enrolled: bool = True
    waiting: int = 0
    """Messages in its queue."""
    consumers: int = 1
    missed_manifests: int = 0
    open_referrals: int = 0
    parked_for_key: int = 0
    """Its messages that were parked because their key is not the enrolled one."""


@dataclass(frozen=True, slots=True)
class AgencyFacts:
    """All agencies of the city."""

    agencies: Sequence[Agency] = field(default_factory=tuple)


def find_silent_agencies(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds agencies that answer nothing although referrals are open."""
    for agency in facts.agencies:
        if agency.missed_manifests >= MAX_MISSED and agency.open_referrals and agency.account != "suspended":
            cause = _(
                "{agency} has been silent for {count} manifests and has {open} open referrals: phone it.",
                agency=agency.code,
                count=agency.missed_manifests,
                open=agency.open_referrals,
            )
            yield critical("agency_silent", cause, f"simpul agency show {agency.code}")


def find_suspended_agencies(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds suspended agencies for which children wait."""
    for agency in facts.agencies:
        if agency.account == "suspended" and agency.open_referrals:
            cause = _(
                "{agency} is suspended and has {open} open referrals.", agency=agency.code, open=agency.open_referrals
            )
            yield critical("agency_suspended", cause, f"simpul agency add {agency.code}")


def find_missing_accounts(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds enrolled agencies without a broker user, as after the loss of the broker's volume."""
    for agency in facts.agencies:
        if agency.account == "missing" and agency.is_enrolled:
            cause = _("{agency} is enrolled and has no broker user.", agency=agency.code)
            yield critical("agency_without_account", cause, "deploy/up")


def find_altered_accounts(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds broker users with other permissions than the declared ones."""
    for agency in facts.agencies:
        if agency.account == "altered":
            cause = _("Somebody has changed the permissions of the broker user of {agency}.", agency=agency.code)
            yield critical("agency_altered", cause, f"simpul agency add {agency.code}")


def find_unread_queues(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds agencies whose messages wait while no consumer runs."""
    for agency in facts.agencies:
        if agency.waiting and not agency.consumers:
            cause = _(
                "{count} messages wait for {agency}, whose consumer does not run.",
                count=agency.waiting,
                agency=agency.code,
            )
            yield warning("agency_not_consuming", cause, f"simpul agency show {agency.code}")


def find_wrong_keys(facts: AgencyFacts) -> Iterator[Finding]:
    """Finds agencies that sign with another key than the enrolled one."""
    for agency in facts.agencies:
        if agency.parked_for_key:
            cause = _(
                "{count} replies of {agency} carry a key that is not enrolled.",
                count=agency.parked_for_key,
                agency=agency.code,
            )
            remedy = f"simpul agency rotate-key {agency.code} --enrolment FILE --to FILE"
            yield critical("agency_wrong_key", cause, remedy)


CHECKS: Final = (
    find_silent_agencies,
    find_suspended_agencies,
    find_missing_accounts,
    find_altered_accounts,
    find_unread_queues,
    find_wrong_keys,
)
