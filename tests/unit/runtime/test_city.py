"""A city is read from its folder, and an invalid entry is named."""

import shutil
from pathlib import Path

import pytest

from simpul_city import City, CityInvalid, FilteredQueue, national_emergency_numbers
from simpul_cli.city_topology import build_filtered_queue
from tests.support.agreements import KEDIRI

HOSPITAL = "{code: rs-rujukan,"


def a_city(folder: Path, queue: str) -> City:
    """Returns Kediri with this filtered queue for its hospital."""
    shutil.copytree(KEDIRI, folder / "city")
    described = folder / "city" / "city.yaml"
    content = described.read_text()
    described.write_text(content.replace(HOSPITAL, f"{HOSPITAL} queues: [{queue}],"))
    return City.read(folder / "city")


def test_a_filtered_queue_takes_the_chosen_services_and_urgencies(tmp_path: Path) -> None:
    city = a_city(tmp_path, "{name: ward, services: [medical_care, forensic_exam], urgencies: [high]}")

    [queue] = city.filtered_queues_of("rs-rujukan")
    assert queue == FilteredQueue("rs-rujukan", "ward", ("medical_care", "forensic_exam"), ("high",))
    assert build_filtered_queue(queue).name == "agency.rs-rujukan.ward.queue"
    assert [key for _, key in build_filtered_queue(queue).bindings] == [
        "referral.rs-rujukan.medical_care.high.#",
        "referral.rs-rujukan.forensic_exam.high.#",
    ]
    assert city.filtered_queues_of("ylpa") == ()


def test_a_queue_without_filters_gets_every_referral(tmp_path: Path) -> None:
    [queue] = a_city(tmp_path, "{name: all}").filtered_queues_of("rs-rujukan")

    assert [key for _, key in build_filtered_queue(queue).bindings] == ["referral.rs-rujukan.*.*.#"]


@pytest.mark.parametrize(
    ("queue", "named"),
    [
        ("{name: ward, services: [dental_care]}", "dental_care"),
        ("{name: ward, urgencies: [extreme]}", "extreme"),
        ("{name: the ward}", "the ward"),
        ("{name: a--b}", "a--b"),
    ],
)
def test_an_invalid_filtered_queue_is_named(tmp_path: Path, queue: str, named: str) -> None:
    with pytest.raises(CityInvalid, match=named):
        a_city(tmp_path, queue)


def a_city_with_numbers(folder: Path, numbers: str | None) -> City:
    shutil.copytree(KEDIRI, folder / "city")
    path = folder / "city" / "emergency_numbers.yaml"
    if numbers is None:
        path.unlink()
    else:
        path.write_text(numbers)
    return City.read(folder / "city")


def test_without_numbers_of_its_own_a_city_shows_the_national_ones(tmp_path: Path) -> None:
    assert a_city_with_numbers(tmp_path, None).emergency_numbers == national_emergency_numbers()


def test_kediri_names_the_national_numbers() -> None:
    assert City.read(KEDIRI).emergency_numbers == national_emergency_numbers()


def test_a_city_may_have_numbers_of_its_own(tmp_path: Path) -> None:
    own = "[{number: 0354-112, name: {id: Satgas, en: Task force}}]"

    [number] = a_city_with_numbers(tmp_path, own).emergency_numbers

    assert (number.number, number.digits, number.is_call) == ("0354-112", "0354112", True)


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ("[]", "is empty"),
        ("[{name: {id: a, en: b}}]", "an entry is not a phone number"),
        ('[{number: "javascript:1", name: {id: a, en: b}}]', "javascript:1 is not a phone number"),
        ('[{number: "110", kind: fax, name: {id: a, en: b}}]', "110 has kind fax"),
        ('[{number: "110", name: {id: a}}]', "110 needs a name in id and en"),
    ],
)
def test_an_invalid_number_is_named(tmp_path: Path, numbers: str, named: str) -> None:
    with pytest.raises(CityInvalid, match=named):
        a_city_with_numbers(tmp_path, numbers)


@pytest.mark.parametrize(
    ("numbers", "named"), [('satgas-kel-x: "110"', "satgas-kel-x"), ('ylpa: "call us"', "call us"), ("ylpa:", "ylpa")]
)
def test_a_wrong_number_of_an_agency_is_named(tmp_path: Path, numbers: str, named: str) -> None:
    shutil.copytree(KEDIRI, tmp_path / "city")
    (tmp_path / "city" / "agency_numbers.yaml").write_text(numbers)

    with pytest.raises(CityInvalid, match=named):
        City.read(tmp_path / "city")


def test_the_agencies_that_have_a_number_are_read(tmp_path: Path) -> None:
    assert City.read(KEDIRI).agency_numbers["polres-ppa"] == "110"
    shutil.copytree(KEDIRI, tmp_path / "city")
    (tmp_path / "city" / "agency_numbers.yaml").unlink()
    assert City.read(tmp_path / "city").agency_numbers == {}
