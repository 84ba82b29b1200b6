"""An agency's files across enrolment and rotations, in a city with and without certificates."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simpul_agency.command.files import AgencyFiles, FilesMismatch
from simpul_agency.enrolment import EnrolmentRequest, EnrolmentResponse, make_certificate_request
from simpul_cli.agency.certificates import Authority
from simpul_seal import Directory, KeyRing

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@dataclass
class City:
    """Admits every agency that sends an enrolment request, without certificates."""

    known: Directory

    def answer(self, enrolment: Path) -> EnrolmentResponse:
        """Returns the enrolment response."""
        sent = EnrolmentRequest.model_validate_json(enrolment.read_text())
        self.known = Directory([*self.known.entries, sent.public_keys()])
        return EnrolmentResponse(city=sent.city, agency=sent.agency, directory=self.known.to_json())


def test_keys_are_renewed_again_and_again_without_certificates(tmp_path: Path) -> None:
    files, city = AgencyFiles(tmp_path / "Jos\u00e9"), City(Directory([]))
    enrolment, _ = files.create_keys("kediri", "ylpa", NOW)
    files.apply_response(city.answer(enrolment))

    for day in range(1, 4):
        rotation, public = files.rotate_keys("kediri", "ylpa", NOW + timedelta(days=day))
        files.apply_response(city.answer(rotation))
        assert KeyRing.read(files.keys).keyid == public.keyid

    assert len(KeyRing.read(files.keys).older) == 3
    assert "Jos\u00e9" in files.settings.read_text()


def test_a_second_rotation_is_refused_until_the_first_is_completed(tmp_path: Path) -> None:
    files, city = AgencyFiles(tmp_path), City(Directory([]))
    enrolment, _ = files.create_keys("kediri", "ylpa", NOW)
    files.apply_response(city.answer(enrolment))
    files.next_certificate_key.write_text("left behind")

    with pytest.raises(FileExistsError):
        files.rotate_keys("kediri", "ylpa", NOW)
    assert not files.next_keys.exists()


def test_a_file_for_another_agency_changes_nothing(tmp_path: Path) -> None:
    ours, theirs, city = AgencyFiles(tmp_path / "ours"), AgencyFiles(tmp_path / "theirs"), City(Directory([]))
    enrolment, _ = ours.create_keys("kediri", "ylpa", NOW)
    ours.apply_response(city.answer(enrolment))
    settings = ours.settings.read_text()
    other, _ = theirs.create_keys("kediri", "polres-ppa", NOW)

    with pytest.raises(FilesMismatch, match="polres-ppa"):
        ours.apply_response(city.answer(other))
    assert ours.settings.read_text() == settings


def test_a_certificate_for_another_key_is_refused(tmp_path: Path) -> None:
    files, city, authority = AgencyFiles(tmp_path), City(Directory([])), Authority.create("Kediri", NOW)
    enrolment, _ = files.create_keys("kediri", "ylpa", NOW)
    request = EnrolmentRequest.model_validate_json(enrolment.read_text()).certificate_request
    response = city.answer(enrolment)
    other = make_certificate_request("ylpa", tmp_path / "other.key")
    wrong = response.model_copy(update={"certificate": authority.for_agency("ylpa", other, NOW)})

    with pytest.raises(FilesMismatch, match="certificate"):
        files.apply_response(wrong)
    files.apply_response(response.model_copy(update={"certificate": authority.for_agency("ylpa", request, NOW)}))
    assert "CERTIFICATE_FILE" in files.settings.read_text()
