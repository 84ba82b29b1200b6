"""Receipts, categories and the vault."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from simpul_intake.api import AmendmentIn, ReportIn
from simpul_intake.domain import (
    RECEIPT_WORD_COUNT,
    apply_amendment,
    check_event_time,
    receipt_phrase,
    report_from_sections,
)
from simpul_intake.errors import CentreNotOfToken, EventTimeImpossible, EventTimeProblem
from simpul_intake.publisher import case_reported
from simpul_intake.use_cases.take_reports import _COMPARED_FIELDS, _content_mac
from simpul_intake.vault import (
    DecryptionFailed,
    KeyFile,
    KeyServiceUnavailable,
    KeyToWrap,
    MasterKey,
    MasterKeyFileInvalid,
    MasterKeyMissing,
    SecretName,
    Secrets,
    Vault,
    WrappedKey,
    add_master_key,
    case_key_context,
    create_master_key,
    remove_master_key,
)
from simpul_intake.vault.vault import FULL_RESERVE, RENEW_AFTER, RESERVE_LIFETIME
from simpul_runtime.validation import explain_error
from simpul_schema.messages.case import TriageFacts
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import AgeBand, Answer, Violence
from tests.support.agreements import CITY
from tests.support.reports import a_report

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WORD_LIST = (files("simpul_intake") / "receipt_words.txt").read_text().split()
CASE = UUID("5b0f1c1e-6f7d-4c6a-9a55-0b7f6f0d2a11")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    create_master_key(tmp_path / "vault.key")
    return Vault(KeyFile(tmp_path / "vault.key"))


class AwayKeys(KeyFile):
    """Master keys behind a service, which answers or not."""

    is_remote = True
    is_away = False

    async def wrap(self, keys: Sequence[KeyToWrap]) -> list[WrappedKey]:
        await asyncio.sleep(0)
        if self.is_away and keys:
            raise KeyServiceUnavailable
        return await super().wrap(keys)


async def test_a_case_key_of_the_reserve_is_renewed_and_never_used_after_a_day(tmp_path: Path) -> None:
    create_master_key(tmp_path / "vault.key")
    service, moment = AwayKeys(tmp_path / "vault.key"), NOW
    vault = Vault(service, now=lambda: moment)
    await vault.fill_reserve()

    moment += RENEW_AFTER
    await vault.fill_reserve()
    service.is_away = True
    moment += RESERVE_LIFETIME - timedelta(seconds=1)
    [last] = await vault.create_case_keys(1)
    assert (last.created_at, vault.reserve_size) == (NOW + RENEW_AFTER, FULL_RESERVE - 1)

    moment += timedelta(seconds=1)
    with pytest.raises(KeyServiceUnavailable):
        await vault.create_case_keys(1)
    assert vault.reserve_size == 0


async def test_reports_that_come_while_the_reserve_is_filled_get_keys_of_their_own(tmp_path: Path) -> None:
    create_master_key(tmp_path / "vault.key")
    service = AwayKeys(tmp_path / "vault.key")
    vault = Vault(service)
    await vault.fill_reserve()
    taken = await vault.create_case_keys(2)

    filling = asyncio.create_task(vault.fill_reserve())
    await asyncio.sleep(0)
    taken += await vault.create_case_keys(3)
    await filling
    taken += await vault.create_case_keys(FULL_RESERVE)

    assert len({key.case_id for key in taken}) == len(taken)


def test_word_list_gives_ten_bits_a_word() -> None:
    assert len(WORD_LIST) == len(set(WORD_LIST)) == 1024


def test_receipt_depends_on_report_and_key_only() -> None:
    report_id = uuid4()
    secrets = Secrets({SecretName.RECEIPTS: b"k" * 32})
    receipt = receipt_phrase(report_id, 0, secrets.receipt_key, WORD_LIST)

    assert receipt == receipt_phrase(report_id, 0, secrets.receipt_key, WORD_LIST)
    assert receipt != receipt_phrase(report_id, 0, Secrets({SecretName.RECEIPTS: b"j" * 32}).receipt_key, WORD_LIST)
    assert len(receipt.split()) == RECEIPT_WORD_COUNT
    replaced = [receipt_phrase(report_id, number, secrets.receipt_key, WORD_LIST) for number in range(3)]
    assert len(set(replaced)) == 3
    assert replaced[0] == receipt


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


@pytest.mark.parametrize("age", [18, 19, 120])
def test_the_report_of_an_adult_is_taken_and_goes_to_manual_triage(age: int) -> None:
    report = ReportIn.model_validate(a_report(violence=["physical"], age=age)).to_report(NOW)

    assert report.known_violence == (Violence.PHYSICAL, Violence.UNKNOWN)
    assert report.age_band is AgeBand.UNKNOWN
    assert report.triage_facts()["age"] == age


@pytest.mark.parametrize(
    "birth_date", ["2015-02-29", "31-4-2015", "2015/13/01", "0-0-2015", "9-3-1015", "2999-01-01", "1.1.999"]
)
def test_an_impossible_date_of_birth_is_refused(birth_date: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ReportIn.model_validate(a_report(identity={"birth_date": birth_date}))

    [problem] = refused.value.errors(include_input=False)
    assert (problem["loc"], problem["type"]) == (("identity", "birth_date"), "date_impossible")
    assert "birth" in explain_error(problem).message


@pytest.mark.parametrize("birth_date", ["", "2015-03-09", "9-3-2015", "09/03/2015", "about 2015", "2015", "Maret 2015"])
def test_a_possible_or_roughly_known_date_of_birth_is_kept(birth_date: str) -> None:
    report = ReportIn.model_validate(a_report(identity={"birth_date": birth_date}))

    assert report.identity.birth_date == birth_date


async def test_section_decrypts_only_with_its_case_name_and_revision(vault: Vault) -> None:
    [new] = await vault.create_case_keys(1)
    sealed = vault.encrypt_section(new.key, new.case_id, "identity", 1, {"child_name": "Wenthilora"})

    assert await vault.unwrap(new.wrapped) == new.key
    assert vault.decrypt_section(new.key, sealed, new.case_id, "identity", 1) == {"child_name": "Wenthilora"}
    for case_id, section, revision in (
        (uuid4(), "identity", 1),
        (new.case_id, "narrative", 1),
        (new.case_id, "identity", 2),
    ):
        with pytest.raises(DecryptionFailed):
            vault.decrypt_section(new.key, sealed, case_id, section, revision)


async def test_a_wrapped_key_opens_for_its_own_case_only(vault: Vault) -> None:
    [new] = await vault.create_case_keys(1)
    moved = WrappedKey(new.wrapped.key_id, new.wrapped.ciphertext, case_key_context(uuid4()))

    with pytest.raises(DecryptionFailed):
        await vault.unwrap(moved)


@pytest.mark.parametrize("centre", ["", "uptd-ppa"])
def test_a_report_rebuilt_from_its_sections_is_equal(centre: str) -> None:
    report = ReportIn.model_validate(a_report(excluded_agencies=["ylpa"])).to_report(NOW, centre)

    assert (
        report_from_sections(report.report_id, report.received_at, json.loads(json.dumps(report.sections()))) == report
    )


def test_an_amendment_changes_named_fields_and_keeps_exclusions() -> None:
    report = ReportIn.model_validate(a_report(excluded_agencies=["ylpa"])).to_report(NOW, "uptd-ppa")
    body = {
        "amendment_id": str(uuid4()),
        "receipt": "x",
        "injured": "yes",
        "excluded_agencies": ["rs-rujukan", "ylpa"],
        "identity": {"school": "SD Contoh"},
    }

    after = apply_amendment(report, AmendmentIn.model_validate(body).to_amendment(CASE))

    assert (after.answers["injured"], after.answers["safe_now"]) == (Answer.YES, Answer.YES)
    assert (after.excluded_agencies, after.suggested_exclusions) == (("ylpa",), ("rs-rujukan",))
    assert after.identity["child_name"] == "Wenthilora Paksibumi"
    assert after.identity["school"] == "SD Contoh"
    assert after.violence == report.violence


def test_master_key_file_is_never_replaced(tmp_path: Path) -> None:
    create_master_key(tmp_path / "vault.key")
    before = (tmp_path / "vault.key").read_text()

    with pytest.raises(FileExistsError):
        create_master_key(tmp_path / "vault.key")

    assert (tmp_path / "vault.key").read_text() == before
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600


async def test_the_newest_master_key_that_counts_wraps_and_all_unwrap(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    create_master_key(path)
    file = KeyFile(path, now=lambda: NOW)
    first_id = await file.current_key_id()
    [old] = await file.wrap([KeyToWrap(b"k" * 32, b"case")])
    second, third = MasterKey(b"2" * 32, NOW), MasterKey(b"3" * 32, NOW + timedelta(hours=1))

    path.write_text(f"{third.to_line()}\n{path.read_text()}\n{second.to_line()}\n")

    assert await file.current_key_id() == second.key_id
    [new] = await file.wrap([KeyToWrap(b"k" * 32, b"case")])
    assert (old.key_id, new.key_id) == (first_id, second.key_id)
    assert await file.unwrap([old, new]) == [b"k" * 32] * 2
    assert await file.holds(third.key_id)


def test_a_master_key_is_added_and_removed_in_a_file_that_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    create_master_key(path)
    path.chmod(0o400)
    file = KeyFile(path)
    old_id = file.keys[0].key_id

    added = add_master_key(path, NOW)

    assert [key.key_id for key in file.keys] == [added.key_id, old_id]
    remove_master_key(path, old_id)
    assert [key.key_id for key in file.keys] == [added.key_id]
    assert path.stat().st_mode & 0o777 == 0o400
    with pytest.raises(MasterKeyMissing, match=old_id):
        remove_master_key(path, old_id)
    assert [found.name for found in tmp_path.iterdir()] == ["vault.key"]


@pytest.mark.parametrize("damaged", ["", "\n", "no key", "AAAA", "A" * 43 + " tomorrow", "A" * 43 + " 2026-11-24"])
def test_a_damaged_key_file_is_named_and_the_last_valid_keys_stay(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "vault.key"
    create_master_key(path)
    file = KeyFile(path)
    keys = file.keys

    path.write_text(damaged)

    assert file.keys == keys
    with pytest.raises(MasterKeyFileInvalid, match=str(path)):
        KeyFile(path)


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


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-11-23T21", "2026-11-23T21"),
        ("2026-11-23T21:45", "2026-11-23T21"),
        ("2026-11-23 9.30", "2026-11-23T09"),
        ("2026-11-23", "2026-11-23"),
        ("23/11/2026", "2026-11-23"),
        (" 23-11-2026 ", "2026-11-23"),
        ("", ""),
    ],
)
def test_the_time_of_the_event_is_an_hour_a_day_or_not_known(written: str, stored: str) -> None:
    report = ReportIn.model_validate(a_report(happened_at=written)).to_report(NOW)
    check_event_time(report, NOW, CITY.zone)

    assert report.happened_at == stored


@pytest.mark.parametrize(
    "written", ["yesterday", "2026-02-31", "31-4-2026", "2026-11-23T24", "2026-11", "2026-11-23T21:00+07:00", "9999"]
)
def test_a_time_of_the_event_that_does_not_exist_is_refused(written: str) -> None:
    for model, body in (
        (ReportIn, a_report(happened_at=written)),
        (AmendmentIn, {"amendment_id": str(uuid4()), "receipt": "x", "happened_at": written}),
    ):
        with pytest.raises(ValidationError) as refused:
            model.model_validate(body)

        [problem] = refused.value.errors(include_input=False)
        assert (problem["loc"], problem["type"]) == (("happened_at",), "event_time_impossible")
        assert "2026-11-24T21" in explain_error(problem).message


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # NOW is 07:00 in Kediri.
        ({"happened_at": "2026-11-24T08"}, EventTimeProblem.IN_FUTURE),
        ({"happened_at": "2026-11-25"}, EventTimeProblem.IN_FUTURE),
        ({"happened_at": "2999-01-01"}, EventTimeProblem.IN_FUTURE),
        ({"happened_at": "2016-01-01"}, EventTimeProblem.BEFORE_BIRTH),
        ({"happened_at": "2016-11-01", "identity": {"birth_date": "9-3-2017"}}, EventTimeProblem.BEFORE_BIRTH),
        ({"happened_at": "0001-01-01"}, EventTimeProblem.BEFORE_BIRTH),
    ],
)
def test_an_event_after_the_report_or_before_the_birth_is_refused(
    changes: dict[str, object], problem: EventTimeProblem
) -> None:
    report = ReportIn.model_validate(a_report(age=9) | changes).to_report(NOW)

    with pytest.raises(EventTimeImpossible) as refused:
        check_event_time(report, report.received_at, CITY.zone)

    assert refused.value.problem is problem


@pytest.mark.parametrize(
    "changes",
    [
        {"happened_at": "2026-11-24T07"},
        {"happened_at": "2026-11-24"},
        # A child of nine years was born after this day nine years and nearly twelve months ago.
        {"happened_at": "2016-11-25"},
        {"happened_at": "2017-03-09", "identity": {"birth_date": "9-3-2017"}},
        {"happened_at": "2001-01-01", "age": 30},
        {"happened_at": "2001-01-01", "age": None},
    ],
)
def test_an_event_within_the_life_of_the_child_is_taken(changes: dict[str, object]) -> None:
    report = ReportIn.model_validate(a_report(age=9) | changes).to_report(NOW)

    check_event_time(report, report.received_at, CITY.zone)


def test_recent_sexual_violence_does_not_wait_for_the_question_about_another_report() -> None:
    waiting = {
        happened_at: ReportIn.model_validate(a_report(violence=["sexual"], happened_at=happened_at))
        .to_report(NOW)
        .may_wait
        for happened_at in ("", "2026-11-23", "2026-11-21T05", "2026-11-01")
    }

    assert waiting == {"": True, "2026-11-23": False, "2026-11-21T05": False, "2026-11-01": True}


NEW_FACTS = ("happened_at", "event_kelurahan", "guardian_relation")
NEW_ANSWERS = ("guardian_is_suspect", "suspect_has_phone")


def test_a_report_stored_by_an_older_version_is_read_and_can_be_amended() -> None:
    report = ReportIn.model_validate(a_report()).to_report(NOW)
    sections = json.loads(json.dumps(report.sections()))
    for name in NEW_FACTS:
        del sections["triage"][name]
    for name in NEW_ANSWERS:
        del sections["triage"]["answers"][name]
    body = {"amendment_id": str(uuid4()), "receipt": "x", "happened_at": "2026-11-23", "guardian_is_suspect": "yes"}

    older = report_from_sections(report.report_id, report.received_at, sections)
    after = apply_amendment(older, AmendmentIn.model_validate(body).to_amendment(CASE))

    assert older == report
    assert (after.happened_at, after.answers["guardian_is_suspect"]) == ("2026-11-23", Answer.YES)


def test_a_retry_matches_the_report_that_an_older_version_stored(tmp_path: Path) -> None:
    secrets = Secrets(dict.fromkeys(SecretName, b"k" * 32))
    report = ReportIn.model_validate(a_report()).to_report(NOW)
    content = {name: getattr(report, name) for name in _COMPARED_FIELDS if name not in NEW_FACTS}
    content["answers"] = {name: answer for name, answer in report.answers.items() if name not in NEW_ANSWERS}
    content["identity"] = {name: text for name, text in report.identity.items() if name != "safe_hours"}
    content |= {"report_id": str(report.report_id), "excluded_agencies": ()}

    assert _content_mac(report, secrets) == secrets.compute_mac(json.dumps(content, sort_keys=True).encode())
    changed = ReportIn.model_validate(a_report(report_id=str(report.report_id), happened_at="2026-11-23"))
    assert _content_mac(changed.to_report(NOW), secrets) != _content_mac(report, secrets)


@pytest.mark.parametrize(
    ("written", "located"),
    [("Bujel", "35.71.01.1006"), (" OUTSIDE ", "outside"), ("outside", "outside"), ("", ""), ("Atlantis", "")],
)
def test_a_kelurahan_travels_by_its_code_or_as_outside(written: str, located: str) -> None:
    report = ReportIn.model_validate(a_report(kelurahan=written, event_kelurahan=written)).to_report(NOW)
    event = case_reported(report, CASE, CITY)

    _, facts = event.sealed["triage"]
    assert isinstance(facts, TriageFacts)
    assert (facts.kelurahan, facts.event_kelurahan) == (located, located)
