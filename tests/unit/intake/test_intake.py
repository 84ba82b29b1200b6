"""Receipts, categories and the vault."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_intake.api import AmendmentIn, ReportIn, authenticate_centre
from simpul_intake.centre_tokens import CentreTokens, add_token
from simpul_intake.domain import RECEIPT_WORD_COUNT, apply_amendment, receipt_phrase, report_from_sections
from simpul_intake.errors import CentreNotOfToken, TokenUnknown
from simpul_intake.vault import DecryptionFailed, Vault, create_master_key
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import AgeBand, Answer, Violence
from tests.support.reports import a_report

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WORDS = (files("simpul_intake") / "receipt_words.txt").read_text().split()
VAULT = Vault(b"k" * 32)
CASE = UUID("5b0f1c1e-6f7d-4c6a-9a55-0b7f6f0d2a11")


def test_word_list_gives_ten_bits_a_word() -> None:
    assert len(WORDS) == len(set(WORDS)) == 1024


def test_receipt_depends_on_report_and_key_only() -> None:
    report_id = uuid4()
    receipt = receipt_phrase(report_id, VAULT.receipt_key, WORDS)

    assert receipt == receipt_phrase(report_id, VAULT.receipt_key, WORDS)
    assert receipt != receipt_phrase(report_id, Vault(b"j" * 32).receipt_key, WORDS)
    assert len(receipt.split()) == RECEIPT_WORD_COUNT


def test_unknown_category_counts_as_unknown_and_keeps_its_name() -> None:
    report = ReportIn.model_validate(a_report(violence=["physical", "perundungan"])).to_report(NOW)

    assert report.known_violence == (Violence.PHYSICAL, Violence.UNKNOWN)
    assert report.sections()["triage"]["violence"] == ["physical", "perundungan"]


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, AgeBand.UNDER_6), (6, AgeBand.FROM_6_TO_11), (14, AgeBand.FROM_12_TO_14), (17, AgeBand.FROM_15_TO_17),
     (None, AgeBand.UNKNOWN)],
)  # fmt: skip
def test_age_travels_as_a_band(age: int | None, band: AgeBand) -> None:
    assert AgeBand.of(age) is band


def test_section_decrypts_only_with_its_case_name_and_revision() -> None:
    key, wrapped = VAULT.create_case_key(CASE)
    sealed = VAULT.encrypt_section(key, CASE, "identity", 1, {"child_name": "Wenthilora"})

    assert VAULT.unwrap_case_key(CASE, wrapped) == key
    assert VAULT.decrypt_section(key, sealed, CASE, "identity", 1) == {"child_name": "Wenthilora"}
    for case_id, section, revision in ((uuid4(), "identity", 1), (CASE, "narrative", 1), (CASE, "identity", 2)):
        with pytest.raises(DecryptionFailed):
            VAULT.decrypt_section(key, sealed, case_id, section, revision)


@pytest.mark.parametrize("centre", ["", "uptd-ppa"])
def test_a_report_rebuilt_from_its_sections_is_equal(centre: str) -> None:
    report = ReportIn.model_validate(a_report(excluded_agencies=["ylpa"])).to_report(NOW, centre)

    assert (
        report_from_sections(report.report_id, report.received_at, json.loads(json.dumps(report.sections()))) == report
    )


def test_an_amendment_changes_named_fields_and_keeps_exclusions() -> None:
    report = ReportIn.model_validate(a_report(excluded_agencies=["ylpa"])).to_report(NOW, "uptd-ppa")
    body = {"amendment_id": str(uuid4()), "receipt": "x", "injured": "yes", "excluded_agencies": ["rs-rujukan", "ylpa"],
            "identity": {"school": "SD Contoh"}}  # fmt: skip

    after = apply_amendment(report, AmendmentIn.model_validate(body).to_amendment(CASE))

    assert (after.answers["injured"], after.answers["safe_now"]) == (Answer.YES, Answer.YES)
    assert (after.excluded_agencies, after.suggested_exclusions) == (("ylpa",), ("rs-rujukan",))
    assert after.identity["child_name"] == "Wenthilora Paksibumi"
    assert after.identity["school"] == "SD Contoh"
    assert after.violence == report.violence


def test_master_key_file_is_never_replaced(tmp_path: Path) -> None:
    create_master_key(tmp_path / "vault.key")

    with pytest.raises(FileExistsError):
        create_master_key(tmp_path / "vault.key")

    assert Vault.from_file(tmp_path / "vault.key").compute_mac(b"x") != VAULT.compute_mac(b"x")


def test_references_are_short_and_unmistakable() -> None:
    assert case_reference(CASE) == "K-BC7H-R7KF"
    assert referral_code(CASE) == "R-BC7HR7"


def test_a_future_time_counts_as_now() -> None:
    report = ReportIn.model_validate(a_report(received_at="2099-01-01T00:00:00+07:00")).to_report(NOW)

    assert report.received_at == NOW


def test_an_exclusion_needs_a_centre_token_to_act_at_once() -> None:
    body = ReportIn.model_validate(a_report(complaint_centre="", excluded_agencies=["ylpa", "ylpa", "rs-rujukan"]))

    anonymous, known = body.to_report(NOW), body.to_report(NOW, "uptd-ppa")

    assert (anonymous.excluded_agencies, anonymous.suggested_exclusions) == ((), ("ylpa", "rs-rujukan"))
    assert (known.excluded_agencies, known.suggested_exclusions) == (("ylpa", "rs-rujukan"), ())
    assert (anonymous.complaint_centre, known.complaint_centre) == ("", "uptd-ppa")


def test_a_token_of_one_centre_cannot_report_for_another() -> None:
    body = ReportIn.model_validate(a_report(complaint_centre="polres-ppa"))

    assert body.to_report(NOW, "polres-ppa").complaint_centre == "polres-ppa"
    with pytest.raises(CentreNotOfToken):
        body.to_report(NOW, "uptd-ppa")


def test_an_issued_token_is_known_at_once_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    tokens = CentreTokens(path)
    assert tokens.find_centre("anything") == ""
    first, second, other = add_token(path, "ylpa"), add_token(path, "ylpa"), add_token(path, "sapa129")

    assert [tokens.find_centre(token) for token in (first, second, other)] == ["ylpa", "ylpa", "sapa129"]
    assert tokens.find_centre(first[:-1]) == ""
    assert not {first, second, other} & set(path.read_text().split('"'))
    assert path.stat().st_mode & 0o022 == 0
    path.unlink()
    assert tokens.find_centre(first) == ""


def test_an_invalid_header_is_refused_and_no_header_is_anonymous(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    token = add_token(path, "ylpa")
    tokens = CentreTokens(path)

    assert (authenticate_centre("", tokens), authenticate_centre(f"bearer {token}", tokens)) == ("", "ylpa")
    for header in (token, f"Basic {token}", "Bearer", "Bearer ", f"Bearer {token}x", f"Bearer x{token}"):
        with pytest.raises(TokenUnknown):
            authenticate_centre(header, tokens)
    with pytest.raises(TokenUnknown):
        authenticate_centre(f"Bearer {token}", CentreTokens(None))


def test_a_token_is_printed_once_and_the_file_keeps_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"

    issued = CliRunner().invoke(app, ["centre", "add-token", "ylpa", "--file", str(path)])
    refused = CliRunner().invoke(app, ["centre", "add-token", "Y L P A", "--file", str(path)])

    assert (issued.exit_code, refused.exit_code) == (0, 2)
    assert CentreTokens(path).find_centre(issued.stdout.strip()) == "ylpa"
    assert issued.stdout.strip() not in path.read_text()
