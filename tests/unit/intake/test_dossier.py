"""The dossier: what its sections contain, and what is sent so that an agency holds what it may hold."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.model import Basis, Section
from simpul_intake.api import ReportIn
from simpul_intake.domain import Report, combine_reports
from simpul_intake.dossier import Disclosure, HeldSection, build_dossier, plan_release
from simpul_runtime.database import utc_now
from simpul_schema.messages.dossier import (
    DOSSIER_SECTIONS,
    DossierIdentity,
    DossierLegal,
    DossierLogistics,
    DossierMedical,
    DossierNarrative,
)
from simpul_schema.vocabulary import DisclosureBasis, DossierSection, Relation

IDENTITY = {"child_name": "Wenthilora Paksibumi", "guardian_phone": "+62 812 0000 0001", "address": "Jalan Contoh 1"}
SECTIONS = st.sampled_from(list(DossierSection))


def a_report(**changes: Any) -> Report:
    known = {"report_id": uuid4(), "channel": "phone", "violence": ["physical"], "identity": IDENTITY}
    return ReportIn.model_validate(known | changes).to_report(utc_now(), "uptd-ppa")


def test_the_contract_names_the_sections_and_bases_of_the_agreement() -> None:
    assert [one.value for one in DossierSection] == [one.value for one in Section]
    assert [one.value for one in DisclosureBasis] == [one.value for one in Basis]
    assert {one.SECTION for one in DOSSIER_SECTIONS.values()} == {one.value for one in DossierSection}


def test_each_section_has_what_the_report_says_and_an_unknown_one_is_left_out() -> None:
    dossier = build_dossier(a_report(narrative={"chronology": "She spoke to her teacher."}))

    assert dossier[DossierSection.IDENTITY] == DossierIdentity(child_name="Wenthilora Paksibumi")
    assert dossier[DossierSection.NARRATIVE] == DossierNarrative(chronology="She spoke to her teacher.")
    assert dossier[DossierSection.LOGISTICS] == DossierLogistics(
        guardian_phone="+62 812 0000 0001", address="Jalan Contoh 1"
    )
    assert dossier.keys() == {DossierSection.IDENTITY, DossierSection.NARRATIVE, DossierSection.LOGISTICS}


def test_who_may_contact_the_child_learns_at_which_hours_that_is_safe() -> None:
    identity = {"safe_contact": "bibi 080000077744", "safe_hours": "08.00-11.00, saat ia bekerja"}
    dossier = build_dossier(a_report(identity=identity))

    assert dossier == {
        DossierSection.LOGISTICS: DossierLogistics(
            safe_contact="bibi 080000077744", safe_hours="08.00-11.00, saat ia bekerja"
        )
    }


@pytest.mark.parametrize("unsafe", ["suspect_has_phone", "guardian_is_suspect"])
def test_a_number_that_reaches_the_suspect_is_given_to_nobody(unsafe: str) -> None:
    dossier = build_dossier(a_report(**{unsafe: "yes"}))

    assert "812" not in repr(dossier)
    assert dossier[DossierSection.LOGISTICS] == DossierLogistics(address="Jalan Contoh 1")


def test_a_section_that_becomes_empty_is_withdrawn_so_that_nobody_calls_the_number_of_a_suspect() -> None:
    number = {"guardian_phone": "+62 812 0000 0001"}
    known = build_dossier(a_report(identity=number))
    amended = build_dossier(a_report(identity=number, guardian_is_suspect="yes"))
    held = [HeldSection(name, 1, b"x") for name in known]

    plan = plan_release({DossierSection.LOGISTICS}, dict.fromkeys(amended, b"x"), held)

    assert list(known) == [DossierSection.LOGISTICS]
    assert (plan.released, plan.withdrawn) == ({}, (DossierSection.LOGISTICS,))


@pytest.mark.parametrize(
    ("facts", "terms", "is_frozen"),
    [
        ({}, {}, False),
        ({}, {"is_suspected": True}, True),
        ({"suggested_exclusions": ("ylpa",)}, {}, True),
        ({"suggested_exclusions": ("ylpa",)}, {"cleared_namings": 1}, False),
        # It was named again after it was cleared.
        ({"suggested_exclusions": ("ylpa", "ylpa")}, {"cleared_namings": 1}, True),
        ({"suggested_exclusions": ("ylpa", "ylpa")}, {"cleared_namings": 2}, False),
        ({"suggested_exclusions": ("rs-rujukan",)}, {}, False),
        # A centre that proved itself excludes the agency, whatever was decided before.
        ({"excluded_agencies": ("ylpa",)}, {"cleared_namings": 1}, True),
    ],
)
def test_an_agency_that_a_report_names_gets_nothing_new_until_it_is_cleared(
    facts: dict[str, Any], terms: dict[str, Any], *, is_frozen: bool
) -> None:
    disclosure = replace(Disclosure(uuid4(), uuid4(), "ylpa"), **terms)

    # Of two reports of one child, either may name it.
    assert disclosure.is_frozen([a_report(), replace(a_report(), **facts)]) is is_frozen


def test_a_dossier_of_two_reports_has_the_later_time_and_both_relations() -> None:
    first = a_report(
        happened_at="2026-11-20",
        perpetrator_relation="parent",
        guardian_relation="parent",
        identity={"guardian_name": "Ruminta Sekarlaut"},
        narrative={"perpetrator_description": "a tall man"},
    )
    second = a_report(
        happened_at="2026-11-21T20",
        perpetrator_relation="neighbour",
        guardian_relation="unknown",
        identity={"guardian_name": "Ruminta Sekarlaut"},
    )
    third = a_report(perpetrator_relation="parent", guardian_relation="relative", identity={"guardian_name": "Bu Tari"})

    dossier = build_dossier(combine_reports([first, second, third]))

    assert dossier[DossierSection.MEDICAL] == DossierMedical(happened_at="2026-11-21T20")
    assert dossier[DossierSection.LEGAL] == DossierLegal(
        perpetrator_relation=Relation.PARENT, perpetrator_description="a tall man\n\n(Tetangga)"
    )
    assert dossier[DossierSection.IDENTITY] == DossierIdentity(
        guardian_relation=Relation.PARENT, guardian_name="Ruminta Sekarlaut; Bu Tari (Kerabat)"
    )


@given(steps=st.lists(st.tuples(st.frozensets(SECTIONS), st.dictionaries(SECTIONS, st.binary(max_size=1))), max_size=8))
def test_after_any_decisions_and_changes_an_agency_holds_the_newest_of_what_it_may_hold_and_nothing_else(
    steps: list[tuple[frozenset[DossierSection], dict[DossierSection, bytes]]],
) -> None:
    held: dict[DossierSection, HeldSection] = {}
    known: dict[DossierSection, bytes] = {}
    for allowed, changes in steps:
        # What is known of a child changes, and an amendment may leave a section empty.
        known = {name: digest for name, digest in (known | changes).items() if digest}
        plan = plan_release(allowed, known, list(held.values()))
        for name, revision in plan.released.items():
            before = held.get(name)
            assert revision == (before.revision + 1 if before else 1)
            assert before is None or before.is_withdrawn or before.digest != known[name], "sent without need"
            held[name] = HeldSection(name, revision, known[name])
        for name in plan.withdrawn:
            assert not held[name].is_withdrawn, "withdrawn twice"
            held[name] = HeldSection(name, held[name].revision, b"", is_withdrawn=True)

        holding = {name: one.digest for name, one in held.items() if not one.is_withdrawn}
        assert holding == {name: digest for name, digest in known.items() if name in allowed}
        assert plan_release(allowed, known, list(held.values())).is_empty


def test_a_unit_gets_nothing_new_while_the_agency_that_it_is_part_of_is_accused() -> None:
    unit = Disclosure(uuid4(), uuid4(), "unit")
    accused = replace(a_report(), suggested_exclusions=("owner",))
    excluded = replace(a_report(), excluded_agencies=("owner",))
    parts = ("unit", "owner")

    assert unit.is_frozen([accused], parts)
    assert unit.is_frozen([excluded], parts)
    assert not unit.is_frozen([accused], ("unit",))
    assert not replace(unit, cleared_namings=1).is_frozen([accused], parts)
    assert replace(unit, cleared_namings=1).is_frozen([accused, accused], parts)
