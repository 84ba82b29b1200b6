"""What an agency may hold of the dossier: what its accepted services need, and nothing of anybody's else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpul_agreement.model import Basis, ClockName, Disclosure, Section
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.consents import ConsentGiver, ConsentTerms, ConsentWay
from simpul_routing.domain.disclosure import NOTHING, find_changed_disclosures, find_disclosure
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.domain.lifecycle import NOT_ACCEPTED, TERMINAL, ReplyKind, ServiceState
from simpul_routing.domain.published import ConsentWithdrawn
from simpul_routing.domain.referral import Referral
from simpul_routing.domain.replanning import Cause
from simpul_routing.errors import ConsentFromSuspect, ExclusionUndecided, GuardianRelationMissing
from simpul_routing.stored_facts import decode_facts, encode_facts
from simpul_schema.vocabulary import (
    CaseEnd,
    DeclineReason,
    ReferralOutcome,
    ReferralRole,
    Relation,
    ReplanReason,
    Right,
    Service,
)
from tests.support.actors import UPTD
from tests.support.agreements import CITY, kediri
from tests.unit.routing.test_case_file import find_lead, open_file, published, reply
from tests.unit.routing.test_referrals import referral_to, reply_about

NEEDS = {
    clause.effect.service: clause.effect.sections
    for clause in kediri().clauses
    if isinstance(clause.effect, Disclosure)
}
"""The matrix of the agreement."""


def disclosed(file: CaseFile, agency: str) -> frozenset[Section]:
    """Returns what an agency may hold now."""
    return find_disclosure(referral_to(file, agency), file.case, file.rules).sections


def accept(file: CaseFile, agency: str, *services: Service) -> None:
    assert file.record_replies([reply_about(referral_to(file, agency), ReplyKind.ACCEPTED, *services)]) == []


def reload(file: CaseFile) -> None:
    """Forgets what changed, as if the file had been saved and loaded again."""
    file.__post_init__()


def test_nothing_is_disclosed_before_an_agency_accepts() -> None:
    file = open_file(violence=["sexual"])

    assert list(find_changed_disclosures(file)) == []
    assert {disclosed(file, one.agency) for one in file.referrals.values()} == {frozenset()}


def test_services_accepted_in_steps_disclose_what_each_needs() -> None:
    file = open_file(violence=["sexual"])

    accept(file, "uptd-ppa", Service.ACCOMPANY_REPORT)
    first = disclosed(file, "uptd-ppa")
    accept(file, "uptd-ppa", Service.PSYCHOLOGIST)

    assert first == NEEDS[Service.ACCOMPANY_REPORT]
    assert disclosed(file, "uptd-ppa") == first | NEEDS[Service.PSYCHOLOGIST]
    assert disclosed(file, "dinsos-peksos") == frozenset()


def test_the_basis_and_the_clauses_are_named() -> None:
    file = open_file(violence=["neglect"], perpetrator_relation="parent", safe_now="yes")
    accept(file, "uptd-ppa", Service.CASE_MANAGEMENT)

    found = find_disclosure(referral_to(file, "uptd-ppa"), file.case, file.rules)

    # A parent is the suspect, so no consent of a parent is asked.
    assert set(found.bases.values()) == {Basis.PUBLIC_TASK}
    assert found.services == (Service.CASE_MANAGEMENT,)
    assert found.clauses == ("DIS-1", "BAS-T1", "BAS-T3")
    assert found.agreement == kediri().version


@pytest.mark.parametrize(
    "end",
    [
        lambda file: file.record_replies(
            [reply(find_lead(file, Service.SHELTER), ReplyKind.COMPLETED, outcome=ReferralOutcome.SERVED)]
        ),
        lambda file: file.record_replies(
            [reply(find_lead(file, Service.SHELTER), ReplyKind.DECLINED, reason=DeclineReason.NO_CAPACITY)]
        ),
        lambda file: file.exclude_agency("dinsos-peksos", Cause(ReplanReason.AGENCY_EXCLUDED, "x")),
        lambda file: file.close(CaseEnd.CLOSED, "x", "moved away"),
        lambda file: file.void("x", "entered twice"),
    ],
    ids=["completed", "rerouted", "excluded", "closed", "voided"],
)
def test_every_end_of_the_service_ends_the_disclosure(end) -> None:  # type: ignore[no-untyped-def]
    file = open_file()
    accept(file, "dinsos-peksos")
    for service in list(referral_to(file, "dinsos-peksos").services.values()):
        if service.service is not Service.SHELTER:
            file.set_service(service.in_state(ServiceState.CANCELLED, file.rules.now))
    reload(file)
    assert disclosed(file, "dinsos-peksos")

    end(file)

    ended = [one for one in find_changed_disclosures(file) if one.agency == "dinsos-peksos"]
    assert [one.disclosure for one in ended] == [NOTHING]


CALM = {"safe_now": "yes", "perpetrator_lives_with_child": "no", "perpetrator_relation": "neighbour"}
OWN = {
    clause.effect.service: clause.effect.without_consent
    for clause in kediri().clauses
    if isinstance(clause.effect, Disclosure)
}
"""What each service discloses on a basis of its own."""


def terms(given_by: ConsentGiver, relation: Relation = Relation.PARENT) -> ConsentTerms:
    return ConsentTerms(
        given_by, relation, ConsentWay.SPOKEN, "2026-11", "jv", "0" * 64, datetime(2026, 11, 26, tzinfo=UTC)
    )


def open_by_consent(age_band: str = "from_6_to_11", **facts: object) -> CaseFile:
    """A case in which identity is disclosed on a consent, accepted by the case manager for two purposes."""
    file = open_file(violence=["physical"], age_band=age_band, **(CALM | facts))
    accept(file, "uptd-ppa")
    reload(file)
    return file


def test_without_a_recorded_consent_the_case_manager_sees_the_contact_section_only() -> None:
    file = open_by_consent()

    found = find_disclosure(referral_to(file, "uptd-ppa"), file.case, file.rules)

    assert found.bases == {Section.LOGISTICS: Basis.LEGAL_DUTY}
    assert found.clauses == ("DIS-1", "BAS-C1")


def test_a_recorded_consent_discloses_what_its_purpose_needs_and_its_withdrawal_ends_that() -> None:
    file = open_by_consent()

    file.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.GUARDIAN), UPTD, "the mother came")
    [changed] = [one for one in find_changed_disclosures(file) if one.agency == "uptd-ppa"]
    reload(file)
    file.withdraw_consent("x", "the mother called", [Right.EDUCATION])
    kept = disclosed(file, "uptd-ppa")
    file.withdraw_consent("x", "the mother called", [Right.PROMPT_RESPONSE])

    assert changed.disclosure.bases == {
        Section.IDENTITY: Basis.GUARDIAN_CONSENT,
        Section.NARRATIVE: Basis.GUARDIAN_CONSENT,
        Section.LOGISTICS: Basis.LEGAL_DUTY,
    }
    assert kept == NEEDS[Service.CASE_MANAGEMENT]
    assert disclosed(file, "uptd-ppa") == OWN[Service.CASE_MANAGEMENT]
    [consent] = file.case.facts.consents
    assert (consent.terms.language, consent.recorded_for, consent.withdrawn_by) == ("jv", "uptd-ppa", "x")


def test_a_consent_to_one_purpose_discloses_nothing_for_another() -> None:
    file = open_by_consent()

    file.record_consent([Right.EDUCATION, Right.SOCIAL_AID], terms(ConsentGiver.GUARDIAN), UPTD, "")

    assert disclosed(file, "uptd-ppa") == OWN[Service.CASE_MANAGEMENT]


def test_from_twelve_years_on_the_child_assents_and_from_fifteen_it_consents_alone() -> None:
    younger, older = open_by_consent("from_12_to_14"), open_by_consent("from_15_to_17")
    for file in (younger, older):
        file.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.GUARDIAN), UPTD, "")
        assert disclosed(file, "uptd-ppa") == OWN[Service.CASE_MANAGEMENT]

        file.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.CHILD, Relation.OTHER), UPTD, "")

        assert disclosed(file, "uptd-ppa") == NEEDS[Service.CASE_MANAGEMENT]


@pytest.mark.parametrize(
    ("suspect", "relation", "may"),
    [
        ({"perpetrator_relation": "step_parent"}, Relation.PARENT, False),
        ({"perpetrator_relation": "relative"}, Relation.RELATIVE, False),
        ({"perpetrator_relation": "relative"}, Relation.PARENT, True),
        ({"perpetrator_relation": "neighbour", "guardian_is_suspect": "yes"}, Relation.PARENT, False),
    ],
)
def test_nobody_who_may_be_the_suspect_consents_for_the_child(
    suspect: dict[str, str], relation: Relation, *, may: bool
) -> None:
    file = open_file(violence=["physical"], safe_now="yes", **suspect)

    if may:
        file.record_consent([Right.EDUCATION], terms(ConsentGiver.GUARDIAN, relation), UPTD, "")
    else:
        with pytest.raises(ConsentFromSuspect):
            file.record_consent([Right.EDUCATION], terms(ConsentGiver.GUARDIAN, relation), UPTD, "")
    file.record_consent([Right.EDUCATION], terms(ConsentGiver.CHILD, Relation.OTHER), UPTD, "")

    assert len(file.case.facts.consents) == 1 + may


def test_a_guardian_whose_relation_to_the_child_nobody_recorded_consents_to_nothing() -> None:
    file = open_file(violence=["physical"], safe_now="yes", perpetrator_relation="step_parent")

    with pytest.raises(GuardianRelationMissing):
        file.record_consent([Right.EDUCATION], terms(ConsentGiver.GUARDIAN, Relation.UNKNOWN), UPTD, "")

    assert file.case.facts.consents == ()


def test_what_protects_the_child_needs_no_consent_and_ends_with_none() -> None:
    file = open_file(violence=["physical"], age_band="from_6_to_11", injured="yes", **CALM)
    accept(file, "rs-rujukan", Service.MEDICAL_CARE)
    needed = NEEDS[Service.MEDICAL_CARE]
    assert find_disclosure(referral_to(file, "rs-rujukan"), file.case, file.rules).bases == dict.fromkeys(
        needed, Basis.VITAL_INTEREST
    )

    file.withdraw_consent("x", "the father called")

    assert disclosed(file, "rs-rujukan") == needed


def accept_letter(file: CaseFile, agency: str, *services: Service) -> None:
    """Offers these services by hand, and the agency accepts them."""
    for service in services:
        file.offer_by_hand(service, agency, ReferralRole.SUPPORT, "x", "asked for")
    accept(file, agency)


def find_withdrawn(file: CaseFile) -> dict[str, set[Service]]:
    """Returns the services that each agency has to stop, and checks that a clock runs for these alone."""
    to_stop = {
        one.referral.agency: {service.service for service in one.services} for one in published(file, ConsentWithdrawn)
    }
    running: dict[str, set[Service]] = {}
    for one in file.services:
        if ClockName.WITHDRAWAL in one.clocks:
            running.setdefault(one.agency, set()).add(one.service)
    assert running == to_stop
    return to_stop


LETTER = (Service.EMERGENCY_PROTECTION, Service.PSYCHOLOGIST)


def test_a_withdrawal_for_one_purpose_leaves_the_other_services_of_the_letter() -> None:
    file = open_by_consent()
    accept_letter(file, "uptd-ppa", *LETTER)
    assert {Service.CASE_MANAGEMENT, *LETTER} <= {
        one.service for one in referral_to(file, "uptd-ppa").services.values()
    }

    file.withdraw_consent("x", "the mother called", [kediri().right_of[Service.PSYCHOLOGIST]])

    to_stop = find_withdrawn(file)["uptd-ppa"]
    assert Service.PSYCHOLOGIST in to_stop
    assert to_stop.isdisjoint({Service.CASE_MANAGEMENT, Service.EMERGENCY_PROTECTION})


def test_protection_continues_when_every_consent_is_withdrawn() -> None:
    file = open_by_consent()
    accept_letter(file, "uptd-ppa", *LETTER)
    accept_letter(file, "polres-ppa", Service.POLICE_REPORT)
    accept_letter(file, "rs-rujukan", Service.MEDICAL_CARE)

    file.withdraw_consent("x", "the mother called")

    to_stop = find_withdrawn(file)
    assert {Service.CASE_MANAGEMENT, Service.PSYCHOLOGIST} <= to_stop["uptd-ppa"]
    assert Service.EMERGENCY_PROTECTION not in to_stop["uptd-ppa"]
    assert Service.POLICE_REPORT not in to_stop.get("polres-ppa", ())
    assert Service.MEDICAL_CARE not in to_stop.get("rs-rujukan", ())


@pytest.mark.parametrize("is_withdrawn_in_duplicate", [True, False])
def test_a_merge_ends_a_consent_that_was_withdrawn_in_the_other_case(*, is_withdrawn_in_duplicate: bool) -> None:
    case, duplicate = open_by_consent(), open_by_consent()
    withdrawn, other = (duplicate, case) if is_withdrawn_in_duplicate else (case, duplicate)
    for file in (case, duplicate):
        file.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.GUARDIAN), UPTD, "")
    withdrawn.withdraw_consent("x", "the mother called")
    other.record_consent([Right.EDUCATION], terms(ConsentGiver.GUARDIAN), UPTD, "")

    duplicate.merge_into(case, "x", "the same child")

    active = {one.purpose for one in case.case.facts.consents if one.is_active}
    assert active == {Right.EDUCATION}
    assert {one.withdrawn_by for one in case.case.facts.consents if not one.is_active} == {"x"}
    assert disclosed(case, "uptd-ppa") == OWN[Service.CASE_MANAGEMENT]


def test_a_consent_that_was_given_after_a_withdrawal_survives_a_merge() -> None:
    case, duplicate = open_by_consent(), open_by_consent()
    duplicate.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.GUARDIAN), UPTD, "")
    duplicate.withdraw_consent("x", "the mother called")
    later = replace(terms(ConsentGiver.GUARDIAN), given_at=case.rules.now + timedelta(hours=1))
    case.record_consent([Right.PROMPT_RESPONSE], later, UPTD, "")

    duplicate.merge_into(case, "x", "the same child")

    assert disclosed(case, "uptd-ppa") == NEEDS[Service.CASE_MANAGEMENT]


def test_recorded_consents_are_stored_with_the_facts() -> None:
    file = open_by_consent()
    file.record_consent([Right.PROMPT_RESPONSE], terms(ConsentGiver.GUARDIAN), UPTD, "")
    file.withdraw_consent("x", "")

    assert decode_facts(encode_facts(file.case.facts)).consents == file.case.facts.consents


def test_a_suggested_exclusion_withholds_the_dossier_until_a_person_decides_but_not_from_protection() -> None:
    file = open_file(safe_now="yes", perpetrator_lives_with_child="no", suggested_exclusions=["uptd-ppa"])
    offered = [one for one in file.services if one.agency == "uptd-ppa"]
    assert offered == []

    facts = file.facts.decide_suggestion("uptd-ppa", SuggestionState.PENDING, "", file.rules.now)
    file.change_case(read_facts=lambda: facts)
    management = next(iter(open_file().services))
    referral = Referral(uuid4(), file.case_id, "uptd-ppa", {})
    taken = replace(management, agency="uptd-ppa", referral_id=referral.referral_id, service=Service.PSYCHOLOGIST)
    before = taken.in_state(ServiceState.ACCEPTED, file.rules.now - timedelta(hours=1))
    after = taken.in_state(ServiceState.ACCEPTED, file.rules.now + timedelta(hours=1))

    def sections(service) -> frozenset[Section]:  # type: ignore[no-untyped-def]
        return find_disclosure(referral.with_service(service), file.case, file.rules).sections

    assert sections(after) == frozenset()
    # An anonymous suggestion takes nothing away that an agency works with.
    assert sections(before) == NEEDS[Service.PSYCHOLOGIST]
    protective = replace(after, service=Service.MEDICAL_CARE)
    assert sections(protective) == NEEDS[Service.MEDICAL_CARE]


def test_a_merge_ends_the_disclosure_to_an_agency_that_the_other_case_excludes() -> None:
    duplicate, other = open_file(), open_file(excluded_agencies=["dinsos-peksos"])
    accept(duplicate, "dinsos-peksos")
    referral = referral_to(duplicate, "dinsos-peksos")
    for file in (duplicate, other):
        reload(file)
    assert disclosed(duplicate, "dinsos-peksos")

    duplicate.merge_into(other, "x", "the same child")

    ended = [one for file in (duplicate, other) for one in find_changed_disclosures(file)]
    assert [(one.referral_id, one.disclosure) for one in ended if one.agency == "dinsos-peksos"] == [
        (referral.referral_id, NOTHING)
    ]
    reload(other)
    assert list(find_changed_disclosures(other)) == []


@pytest.mark.parametrize("accuses", ["duplicate", "other"])
def test_cases_are_merged_only_when_it_is_decided_whether_an_agency_that_serves_one_is_too_close(accuses: str) -> None:
    accusing, serving = open_file(suggested_exclusions=["dinsos-peksos"], **CALM), open_file()
    duplicate, other = (accusing, serving) if accuses == "duplicate" else (serving, accusing)
    accept(serving, "dinsos-peksos")

    with pytest.raises(ExclusionUndecided):
        duplicate.merge_into(other, "x", "the same child")
    accusing.decide_suggestion("dinsos-peksos", SuggestionState.REJECTED, UPTD, "a namesake", accusing.version)
    duplicate.merge_into(other, "x", "the same child")

    assert duplicate.case.merged_into == other.case_id


def test_cases_are_merged_while_a_suggested_agency_serves_neither() -> None:
    duplicate, other = open_file(suggested_exclusions=["dinsos-peksos"], **CALM), open_file()

    duplicate.merge_into(other, "x", "the same child")

    assert other.facts.pending == {"dinsos-peksos"}


def test_the_end_of_a_service_ends_the_disclosure_even_when_the_facts_cannot_be_read() -> None:
    file = open_file()
    for agency in ("dinsos-peksos", "uptd-ppa"):
        accept(file, agency)
    reload(file)
    ending = referral_to(file, "dinsos-peksos")

    def fail() -> NoReturn:
        raise LookupError

    # The other agency serves on, and whether it may hold anything is unknown.
    file.case = file.loaded_case = replace(file.case, read_facts=fail)
    file.case = replace(file.case)
    for service in list(ending.services.values()):
        file.set_service(service.in_state(ServiceState.COMPLETED, file.rules.now))

    changed = find_changed_disclosures(file)
    ended = next(changed)
    assert (ended.referral_id, ended.disclosure) == (ending.referral_id, NOTHING)
    with pytest.raises(LookupError):
        next(changed)


AGENCIES = st.sampled_from(["polres-ppa", "uptd-ppa", "ylpa", "dinsos-peksos", "rs-rujukan", "klinik-pendidikan"])
STATES = st.sampled_from(sorted(ServiceState, key=str))


@settings(max_examples=60, deadline=None)
@given(
    violence=st.sampled_from([["sexual"], ["physical"], ["neglect", "psychological"]]),
    safe=st.sampled_from(["yes", "no"]),
    states=st.lists(STATES, min_size=1, max_size=12),
    excluded=st.sets(AGENCIES, max_size=3),
    conflicted=st.sets(AGENCIES, max_size=2),
    relation=st.sampled_from(["unknown", "neighbour"]),
    consented=st.booleans(),
)
def test_no_agency_holds_what_no_accepted_service_of_its_own_needs(
    violence: list[str],
    safe: str,
    states: list[ServiceState],
    excluded: set[str],
    conflicted: set[str],
    relation: str,
    *,
    consented: bool,
) -> None:
    """R6 and R7: whatever the services went through, whoever is excluded, and whoever consented."""
    file = open_file(
        violence=violence,
        safe_now=safe,
        excluded_agencies=sorted(excluded),
        perpetrator_relation=relation,
        age_band="under_6",
        perpetrator_lives_with_child="no",
    )
    if consented:
        file.record_consent(list(Right), terms(ConsentGiver.GUARDIAN), UPTD, "")
    needs_consent = relation == "neighbour" and safe == "yes" and violence != ["sexual"]
    matrix = OWN if needs_consent and not consented else NEEDS
    for number, service in enumerate(file.services):
        file.set_service(service.in_state(states[number % len(states)], file.rules.now))
    # A conflict that an agency declares excludes it, like an exclusion by hand.
    facts = replace(file.facts, excluded=file.facts.excluded | conflicted)
    file.change_case(read_facts=lambda: facts)

    for referral in file.referrals.values():
        found = find_disclosure(referral, file.case, file.rules)
        serving = {
            one.service
            for one in referral.services.values()
            if one.standing.state not in NOT_ACCEPTED | TERMINAL | {ServiceState.DECLINED}
        }
        if referral.agency in excluded | conflicted or not serving:
            assert found == NOTHING
        else:
            assert found.sections == frozenset().union(*(matrix[service] for service in serving))
            if matrix is OWN:
                assert Basis.GUARDIAN_CONSENT not in found.bases.values()
    assert excluded | conflicted <= CITY.agency_codes
