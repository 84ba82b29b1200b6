"""Names agree however they are spelled."""

import pytest

from simpul_intake.duplicates.spelling import Rarity, deletions, rarity, short_forms, skeleton, spell, split_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Soekarno", "Sukarno"), ("Djatmiko", "Jatmiko"), ("Tjokro", "Cokro"), ("Sjarifah", "Syarifah"),
        ("Syarifah", "Sharifa"), ("Njoman", "Nyoman"), ("Choirul", "Khoirul"), ("Khairul", "Khoirul"),
        ("Achmad", "Ahmad"), ("Akhmad", "Ahmat"), ("Rizki", "Rizky"), ("Rizqi", "Riski"), ("Zainal", "Zaenal"),
        ("Annisa", "Anisah"), ("Fitri", "Vitri"), ("Novita", "Nopita"), ("Fathimah", "Fatima"), ("Arief", "Arif"),
        ("Noor", "Nur"), ("Dzaki", "Zaki"), ("Utsman", "Usman"), ("Yakub", "Yakup"), ("Maulana", "Maolana"),
        ("Suwarno", "Suarno"), ("Ridho", "Ridlo"), ("Alexander", "Aleksander"), ("Taqiyya", "Takia"),
        ("Abdurrahman", "Abdulrahman"),
    ],
)  # fmt: skip
def test_spellings_of_one_name_agree(one: str, other: str) -> None:
    assert split_name(one).own == split_name(other).own


@pytest.mark.parametrize(
    ("one", "other"),
    [("Prasetya", "Prasetyo"), ("Tjahjono", "Cahyono"), ("Joesoef", "Yusuf"), ("Ahmed", "Ahmad"), ("Wibawa", "Wibowo")],
)
def test_names_that_sound_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(spell(one.lower())) == skeleton(spell(other.lower()))


@pytest.mark.parametrize("one", ["Rina", "Bagas", "Sekar", "Wulan"])
def test_other_names_stay_apart(one: str) -> None:
    assert spell(one.lower()) not in {spell(other) for other in ("dina", "bagus", "sakti", "bulan")}


@pytest.mark.parametrize(
    "name", ["Muhammad Ali", "M. Ali", "Moh. Ali", "Mohd Ali", "MOCHAMAD ALI", "Muhamad Ali", "Muh Ali", "Mohammed Ali"]
)
def test_variants_of_muhammad_are_one_word(name: str) -> None:
    assert split_name(name).own == ("muhamat", "ali")


@pytest.mark.parametrize(
    ("name", "own", "parent"),
    [
        ("An. Sekar Wangi", ("sekar", "wangi"), ()),
        ("Adik Sekar, S.Pd.", ("sekar",), ()),
        ("Sdri. Hj. Sekar", ("sekar",), ()),
        ("Sekar binti Suparman", ("sekar",), ("suparman",)),
        ("Bagas bin H. Sutrisno", ("bagas",), ("sutrisno",)),
        ("Nur'aini", ("nureni",), ()),
        ("Abdul Rahman", ("abdrahman",), ()),
        ("St. Aisyah", ("siti", "esa"), ()),
        ("Sékar", ("sekar",), ()),
        ("Sekar", ("sekar",), ()),
        ("", (), ()),
        ("123 ?", (), ()),
    ],
)
def test_titles_degrees_and_patronymics_are_no_names(name: str, own: tuple[str, ...], parent: tuple[str, ...]) -> None:
    parts = split_name(name)

    assert (parts.own, parts.parent) == (own, parent)


@pytest.mark.parametrize(
    ("right", "typed"), [("sekar", "skar"), ("bagas", "bagaas"), ("wulan", "wilan"), ("dinda", "dnida")]
)
def test_one_typing_error_leaves_a_common_rest(right: str, typed: str) -> None:
    assert set(deletions(right)) & set(deletions(typed))


def test_short_forms_are_parts_of_the_name_and_usual_ones() -> None:
    assert {"nisa", "kair"} <= set(short_forms("kairunisa"))
    assert "kiki" in short_forms("riski")


def test_frequent_names_prove_less() -> None:
    parts = [split_name(name).own[0] for name in ("Muhammad", "Rizki", "Zamboreth")]

    assert [rarity(word) for word in parts] == [Rarity.EVERYWHERE, Rarity.COMMON, Rarity.RARE]
