"""What a page says about the child."""

import pytest

from simpul_agency.connectors.texts import DOSSIER
from simpul_desk.work_pages.texts import describe_dossier, describe_event_time, describe_facts
from simpul_schema.messages.dossier import DOSSIER_SECTIONS, DossierIdentity, DossierLogistics
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import section_sample
from simpul_schema.vocabulary import Answer, DossierSection


def test_every_field_of_a_dossier_has_a_label() -> None:
    assert {name for content in DOSSIER_SECTIONS.values() for name in content.model_fields} == DOSSIER.keys()


def test_what_is_not_known_is_left_out() -> None:
    dossier = {
        DossierSection.IDENTITY: DossierIdentity(child_name="Wenthilora Paksibumi"),
        DossierSection.LOGISTICS: DossierLogistics(address="Gang 7", is_suspect_at_home=Answer.YES),
    }

    assert describe_dossier(dossier, "id") == [
        ("Identitas", [("Nama anak", "Wenthilora Paksibumi")]),
        ("Kontak/logistik", [("Alamat", "Gang 7"), ("Terduga pelaku tinggal di alamat ini", "Ya")]),
    ]


@pytest.mark.parametrize(
    ("happened_at", "language", "text"),
    [
        ("2026-11-26T21", "id", "Kamis, 26 November 2026, sekitar pukul 21.00"),
        ("2026-11-26T21", "en", "Thursday, 26 November 2026, about 21.00"),
        ("2026-11-26", "id", "Kamis, 26 November 2026"),
        ("2026-02-30T21", "id", ""),
    ],
)
def test_the_time_of_the_event_is_written_as_people_say_it(happened_at: str, language: str, text: str) -> None:
    assert describe_event_time(happened_at, language) == text


def test_the_facts_show_the_written_time_of_the_event() -> None:
    facts = ReferralFacts.read_json(section_sample("facts")).model_copy(update={"happened_at": "2026-11-26T21"})

    known, _ = describe_facts(facts, "id")

    assert "Kamis, 26 November 2026, sekitar pukul 21.00" in dict(known).values()
