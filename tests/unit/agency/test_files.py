"""An agency's files from the first key to the third, in a city with and without certificates."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simpul_agency.command.files import Files, FilesRefused
from simpul_agency.enrolment import Enrolment, Welcome, make_certificate_request
from simpul_cli.agency.certificates import Authority
from simpul_seal import Directory, KeyRing

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@dataclass
class City:
    """Admits whoever sends an enrolment, without certificates."""

    known: Directory

    def answer(self, enrolment: Path) -> Welcome:
        """The file that comes back."""
        sent = Enrolment.model_validate_json(enrolment.read_text())
        self.known = Directory([*self.known.entries, sent.public_keys()])
        return Welcome(city=sent.city, agency=sent.agency, directory=self.known.described())


def test_keys_are_renewed_again_and_again_without_certificates(tmp_path: Path) -> None:
    files, city = Files(tmp_path / "Jos\u00e9"), City(Directory([]))
    enrolment, _ = files.init("kediri", "ylpa", NOW)
    files.join(city.answer(enrolment))

    for day in range(1, 4):
        rotation, public = files.rotate("kediri", "ylpa", NOW + timedelta(days=day))
        files.join(city.answer(rotation))
        assert KeyRing.read(files.keys).keyid == public.keyid

    assert len(KeyRing.read(files.keys).older) == 3
    assert "Jos\u00e9" in files.settings.read_text()


def test_a_rotation_under_way_is_not_begun_again_and_makes_no_half(tmp_path: Path) -> None:
    files, city = Files(tmp_path), City(Directory([]))
    enrolment, _ = files.init("kediri", "ylpa", NOW)
    files.join(city.answer(enrolment))
    files.next_certificate_key.write_text("left behind")

    with pytest.raises(FileExistsError):
        files.rotate("kediri", "ylpa", NOW)
    assert not files.next_keys.exists()


def test_a_file_for_another_agency_changes_nothing(tmp_path: Path) -> None:
    ours, theirs, city = Files(tmp_path / "ours"), Files(tmp_path / "theirs"), City(Directory([]))
    enrolment, _ = ours.init("kediri", "ylpa", NOW)
    ours.join(city.answer(enrolment))
    settings = ours.settings.read_text()
    other, _ = theirs.init("kediri", "polres-ppa", NOW)

    with pytest.raises(FilesRefused, match="polres-ppa"):
        ours.join(city.answer(other))
    assert ours.settings.read_text() == settings


def test_a_certificate_for_another_key_is_refused(tmp_path: Path) -> None:
    files, city, authority = Files(tmp_path), City(Directory([])), Authority.create("Kediri", NOW)
    enrolment, _ = files.init("kediri", "ylpa", NOW)
    request = Enrolment.model_validate_json(enrolment.read_text()).certificate_request
    welcome = city.answer(enrolment)
    other = make_certificate_request("ylpa", tmp_path / "other.key")
    wrong = welcome.model_copy(update={"certificate": authority.for_agency("ylpa", other, NOW)})

    with pytest.raises(FilesRefused, match="certificate"):
        files.join(wrong)
    files.join(welcome.model_copy(update={"certificate": authority.for_agency("ylpa", request, NOW)}))
    assert "CERTIFICATE_FILE" in files.settings.read_text()
