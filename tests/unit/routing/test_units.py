"""A unit of an agency shares its people and files: it waits, and is excluded, together with the agency."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from simpul_agreement.engine import Engines
from simpul_agreement.model import Agreement
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.disclosure import find_disclosure
from simpul_routing.domain.exclusions import SuggestionState, find_units
from simpul_routing.domain.facts import read_report
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.published import ReferralAmended
from simpul_routing.domain.referral import Referral
from simpul_routing.domain.rules import Rules
from simpul_schema.vocabulary import ActorRole, Service
from tests.support.actors import acting
from tests.support.agreements import CITY, in_one_wave, kediri
from tests.unit.routing.test_case_file import NOW, published, read_facts

WHOLE, UNIT = "ylpa", "dinsos-peksos"
CALM: dict[str, Any] = {"violence": ["neglect"], "safe_now": "yes", "perpetrator_lives_with_child": "no"}
"""Facts for which the unit is asked to help, and nothing protects life or body."""


def with_unit() -> Agreement:
    """An agreement in which one agency is a unit of another."""
    agreement = in_one_wave(kediri())
    parties = tuple(replace(one, part_of=WHOLE) if one.code == UNIT else one for one in agreement.parties)
    return replace(agreement, parties=parties)


class OfUnits:
    """The versions of a city with this agreement."""

    engines = Engines(with_unit())

    def active(self, _: object) -> Engines:
        return self.engines

    def of(self, _: object) -> Engines:
        return self.engines


def open_file(excluded: tuple[str, ...] = (), **facts: Any) -> CaseFile:
    triage = read_facts(**CALM, **facts).model_copy(update={"excluded_agencies": excluded})
    rules = Rules(OfUnits(), CITY, NOW)
    report = read_report(triage, CITY, rules.agreement, NOW)
    return CaseFile.open_case(uuid4(), report, triage.suggested_exclusions, NOW - timedelta(hours=2), rules, uuid4())


def offered(file: CaseFile) -> set[str]:
    return {one.agency for one in file.services if one.is_with_agency}


def test_a_unit_waits_with_the_agency_whose_exclusion_is_suggested() -> None:
    assert UNIT in offered(open_file())

    file = open_file(suggested_exclusions=(WHOLE,))

    assert not offered(file) & {WHOLE, UNIT}
    decider = acting("uptd-ppa", ActorRole.COORDINATOR)
    file.decide_suggestion(WHOLE, SuggestionState.REJECTED, decider, "checked", file.version)
    assert UNIT in offered(file)


def test_a_unit_that_serves_learns_no_new_facts_before_a_person_has_decided() -> None:
    file = open_file()
    file.pending.clear()
    amended = read_report(read_facts(**CALM, place="school"), CITY, file.rules.agreement, NOW)

    file.amend_report(file.case_id, amended, [WHOLE], uuid4())

    assert not {one.referral.agency for one in published(file, ReferralAmended)} & {WHOLE, UNIT}
    file.pending.clear()
    decider = acting("uptd-ppa", ActorRole.COORDINATOR)
    file.decide_suggestion(WHOLE, SuggestionState.REJECTED, decider, "checked", file.version)
    assert UNIT in {one.referral.agency for one in published(file, ReferralAmended)}


def test_a_unit_that_accepts_meanwhile_gets_no_dossier() -> None:
    file = open_file()
    service = next(one for one in file.services if one.agency == UNIT)
    referral = Referral(uuid4(), file.case_id, UNIT, {})
    taken = replace(service, referral_id=referral.referral_id, service=Service.PSYCHOLOGIST)

    def sections(minutes: int) -> object:
        accepted = taken.in_state(ServiceState.ACCEPTED, NOW + timedelta(minutes=minutes))
        return find_disclosure(referral.with_service(accepted), file.case, file.rules).sections

    known = sections(1)
    assert known
    facts = file.facts.add_suggestions([WHOLE], NOW)
    file.change_case(read_facts=lambda: facts)
    # What it worked with before stays.
    assert (sections(-1), sections(1)) == (known, frozenset())


def test_an_exclusion_of_an_agency_excludes_its_units() -> None:
    file = open_file()
    file.exclude_agency_by_hand(WHOLE, "uptd-ppa", "its head is the suspect's brother")

    assert not offered(file) & {WHOLE, UNIT}
    assert {WHOLE, UNIT} <= file.facts.origin.excluded
    assert not offered(open_file(excluded=(WHOLE,))) & {WHOLE, UNIT}
    # The agency of which an excluded one is a unit has other people.
    assert WHOLE not in open_file(excluded=(UNIT,)).facts.origin.excluded
    # The head of an agency receives escalations only, so no case is withdrawn from it.
    assert find_units({"uptd-ppa"}, kediri()) == {"uptd-ppa", "uptd-ppa-head"}
    by_hand = open_file()
    by_hand.exclude_agency_by_hand("uptd-ppa", "city-board", "its head is the suspect's brother")
    assert by_hand.facts.origin.excluded == {"uptd-ppa"}
