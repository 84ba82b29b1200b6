# ruff: noqa: E501 - one case on one line reads best
"""Every mistake is reported with its position, the clauses involved and a remedy."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simpul_agreement.calendars import calendar_findings, calendar_position
from simpul_agreement.check import check_version, prove, text_findings
from simpul_agreement.consistency import inconsistencies
from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Engine
from simpul_agreement.facts import TimeBand
from simpul_agreement.findings import describe_findings
from simpul_agreement.laws import article_findings
from simpul_agreement.loading import MAX_FILE_SIZE
from simpul_agreement.model import ClockName, ClockRuns
from simpul_agreement.reading import read_agreement, read_with_findings
from simpul_agreement.reports import read_report
from tests.agreement.conftest import Edit
from tests.support.agreements import CITY, DAY, a_clause, an_agreement, kediri

URGENCY, SERVICES, AID, PROTECTION = (
    f"clauses/{name}.yaml" for name in ("10-urgency", "40-rehabilitation", "50-aid-education-law", "60-protection")
)
HEAD, CLOCKS, PLAN = "agreement.yaml", "clauses/20-clocks.yaml", "clauses/35-service-plan.yaml"


def findings(version: Path) -> str:
    """What the check reports; the provers, which are slow, run only where nothing else is found."""
    found = text_findings(version, CITY)[1]
    return "\n".join(map(str, found)) or findings_of_the_whole_check(version)


def findings_of_the_whole_check(version: Path) -> str:
    checked = check_version(version, CITY)
    assert checked.proof is None
    return "\n".join(map(str, checked.findings))


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "expected"),
    [
        (SERVICES, "lead: [rs-rujukan, uptd-ppa]", "lead: [rs-rujukkan, uptd-ppa]", r":\d+:\d+: FOR-1: rs-rujukkan is not a party", "write rs-rujukan"),
        (SERVICES, "service: forensic_exam", "service: forensic_exm", r":\d+:\d+: forensic_exm is not a value of service", "write forensic_exam"),
        (URGENCY, "when: {safe_now: [no]}", "when: {save_now: [no]}", r":\d+:\d+: URG-H1: save_now is not a fact", "write safe_now"),
        (URGENCY, "when: {safe_now: [no]}", "when: {safe_now: [nope]}", r":\d+:\d+: URG-H1: nope is not a value of safe_now", "write"),
        (URGENCY, "when: {safe_now: [no]}", "when: {safe_now: [yes, no, unknown]}", "has no effect", "delete it"),
        (URGENCY, "overrides: [URG-M, URG-L]", "overrides: [URG-X, URG-L]", "overrides URG-X, which is neither a clause nor a chapter", "write URG"),
        (URGENCY, "id: URG-H2", "id: URG-H1", "URG-H1 is the id of 2 clauses", "give each its own id"),
        (URGENCY, "then: {urgency: low}", "then: {urgncy: low}", ":\\d+:\\d+: then: has no effect", "description"),
        (URGENCY, '    title: {id: "Kegentingan tinggi"', '    titel: {id: "Kegentingan tinggi"', "titel is not a known field here", "spelling"),
        (URGENCY, "chapters:", "chapters: [", "not YAML", "close open brackets"),
        (SERVICES, '    source: {title: "Ketentuan bersama para pihak", status: project_default}\n', "", "CAR-1 has no source", "project_default"),
        (SERVICES, "read: 2026-11-24, ", "", "the date on which the source was read", "schema"),
        (HEAD, 'from: "15:30", until: "22:00"', 'from: "15:00", until: "22:00"', "the bands office_hours and evening overlap on Monday at 15:00", "begin where"),
        (HEAD, 'from: "15:30", until: "22:00"', 'from: "16:30", until: "22:00"', "no band covers the time on Monday at 15:30", "add a band"),
        (HEAD, "party: polres-ppa", "party: polres-pa", "Kota Kediri has no agency polres-pa", "write polres-ppa"),
        (HEAD, "above: city-board", "above: uptd-ppa", "lead back to it", "leave `above` empty"),
        (HEAD, 'version: "2026-11"', 'version: "2026-12"', "is in folder 2026-11", "the same name"),
        (AID, "lead: [dinsos-peksos, uptd-ppa]", "lead: [klinik-pendidikan, uptd-ppa]", "leads social_aid, which is not in its mandate", "dinsos-peksos"),
        (AID, "- {violence: [exploitation, neglect]}", "- {violence: [exploitation]}", "no example shows that it applies to neglect", "add it to the examples"),
        (AID, "- {violence: [exploitation, neglect]}", "- {violence: [exploitation, sexual]}", "AID-1 does not apply to this example", "correct"),
        (CLOCKS, "phase: planned", "phase: plannd", r":\d+:\d+: plannd is not a value of phase", "write planned"),
        (CLOCKS, "{office_hours: 6}", "{office_hours: 6, hours: 1}", r":\d+:\d+: .*office_hours stand alone", "schema"),
        (PLAN, "at_deadline: send", "at_deadline: wait", r":\d+:\d+: wait is not a value of at_deadline", "send"),
        (SERVICES, "max_urgency: medium", "max_urgency: mediun", r":\d+:\d+: mediun is not a value of max_urgency", "write medium"),
        ("scenarios.yaml", "urgency: medium", "urgency: high", "urgency is decided as medium, not high", "correct the clauses"),
    ],
)  # fmt: skip
def test_a_mistake_is_located_and_has_a_remedy(
    version: Path, edit: Edit, file: str, old: str, new: str, where: str, expected: str
) -> None:
    edit(file, old, new)

    output = findings(version)

    assert re.search(where, output), output
    assert expected in output
    assert file in output


def test_a_plan_needs_a_planned_service_and_office_hours_a_band_for_them() -> None:
    plan = next(clause for clause in kediri().clauses if clause.id == "PLAN-H")
    counting = a_clause("COUNT", ClockRuns(ClockName.ANSWER, Within(office_hours=6)))
    bands = tuple(band for band in kediri().bands if band.name is not TimeBand.OFFICE_HOURS)

    found = "\n".join(map(str, inconsistencies(replace(an_agreement(plan, counting), bands=bands), CITY)))

    expected = r"35-service-plan\.yaml:\d+:\d+: PLAN-H sets the time for a service plan, and no service is planned"
    assert re.search(expected, found), found
    assert "COUNT counts office hours, and no band is `office_hours`" in found


def test_a_deadline_that_only_planned_services_lack_is_a_gap() -> None:
    clauses = tuple(clause for clause in kediri().clauses if clause.id != "ANS-MP")

    [finding] = prove(replace(kediri(), clauses=clauses), DAY)[0]

    assert str(finding.problem) == (
        "gap: no clause decides the deadline of: answer of the agency, for services that are offered after the "
        "assessment, by the service plan, with the urgency MEDIUM in this situation"
    )


def test_a_gap_comes_with_a_report_that_runs_as_it_stands(version: Path, edit: Edit, tmp_path: Path) -> None:
    edit(PROTECTION, "violence: {none: [sexual, trafficking]}", "violence: {none: [sexual, trafficking, neglect]}")

    gap = next(f for f in check_version(version, CITY).findings if str(f.problem).startswith("gap"))

    assert gap.where.file == PROTECTION
    assert "MED-3: Bila anak tidak mengalami kekerasan seksual" in gap.in_language("id")
    report = tmp_path / "report.yaml"
    report.write_text(gap.report)
    situation, origin = read_report(report, kediri(), CITY)
    assert situation["violence"] >= {"neglect"}
    assert Engine(kediri(), DAY).decide(situation, origin).urgency


def test_two_leads_are_reported_with_both_clauses(version: Path, edit: Edit) -> None:
    edit(
        AID,
        "then: {service: social_aid, right: social_aid, lead: [dinsos-peksos, uptd-ppa]",
        "then: {service: social_aid, right: social_aid, lead: [uptd-ppa, dinsos-peksos]",
    )

    output = findings_of_the_whole_check(version)

    assert "overlap: two clauses decide who leads the service social aid differently" in output
    assert "(AID-1, AID-2)" in output
    assert "    | AID-1: If" in output
    assert "    | AID-2: If" in output
    assert "pregnant: yes" in output


def test_an_unreachable_clause_is_reported_with_its_overrides(version: Path, edit: Edit) -> None:
    edit(URGENCY, "when: {violence: {any: [trafficking]}}", "when: {safe_now: [yes, unknown]}")
    edit(URGENCY, "when: {safe_now: [unknown]}", "when: {safe_now: [unknown], suicidal_sign: [yes]}")

    output = findings_of_the_whole_check(version)

    assert "unreachable: URG-M4 never decides anything" in output
    assert "always overridden by URG-H" in output


def test_a_circle_of_overrides_is_reported(version: Path, edit: Edit) -> None:
    edit(URGENCY, "chapter: URG-L\n", "chapter: URG-L\n    overrides: [URG-H1]\n")

    assert "override one another in a circle: URG-H1 > URG-L1 > URG-H1" in findings(version)


def test_a_broken_property_is_reported_with_a_report(version: Path, edit: Edit) -> None:
    edit(PROTECTION, "then: {mediation: locked}", "then: {mediation: open, opened_by: [case_manager]}")

    output = findings_of_the_whole_check(version)

    assert "property R1_mediation_locked does not hold" in output
    assert "a report that shows it" in output


def test_one_run_reports_every_mistake(version: Path, edit: Edit) -> None:
    edit(SERVICES, "lead: [rs-rujukan, uptd-ppa]", "lead: [rs-rujukkan, uptd-ppa]")
    edit(URGENCY, "when: {safe_now: [no]}", "when: {save_now: [no]}")
    edit(HEAD, 'until: "22:00"', 'until: "23:00"')
    edit(PROTECTION, "violence: {none: [sexual, trafficking]}", "violence: {none: [sexual, trafficking, neglect]}")
    edit(AID, "lead: [dinsos-peksos, uptd-ppa]", "lead: [uptd-ppa, dinsos-peksos]")

    output = findings_of_the_whole_check(version)

    wanted = (
        "rs-rujukkan is not a party",
        "save_now is not a fact",
        "bands evening and night overlap",
        "gap: ",
        "overlap: ",
    )
    assert all(text in output for text in wanted), output


@pytest.mark.parametrize("file", [HEAD, URGENCY, "scenarios.yaml"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"[]", b"just words", b"a: [1,", b"version: 1\x00"])
def test_a_file_that_is_none_is_a_finding_and_never_a_crash(version: Path, file: str, content: bytes) -> None:
    (version / file).write_bytes(content)

    assert file in findings(version)


@pytest.mark.parametrize("file", [HEAD, URGENCY, "scenarios.yaml"])
def test_a_folder_instead_of_a_file_is_a_finding(version: Path, file: str) -> None:
    (version / file).unlink()
    (version / file).mkdir()

    assert "this is a folder, not a file" in findings(version)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{safe_now: []}", "has one value at a time"),
        ("{safe_now: {none: [yes]}}", "has one value at a time"),
        ("{violence: {any: []}}", "the condition on violence is empty"),
        ("{urgency: [high]}", "derives the urgency from the urgency"),
    ],
)
def test_a_condition_that_could_be_read_in_two_ways_is_refused(
    version: Path, edit: Edit, when: str, expected: str
) -> None:
    edit(URGENCY, "when: {safe_now: [no]}", f"when: {when}")

    assert expected in findings(version)


def test_a_party_that_takes_no_referrals_can_neither_lead_nor_support(version: Path, edit: Edit) -> None:
    edit(AID, "support: [satgas_of_residence]", "support: [bapas]")

    assert "bapas takes no referrals" in findings(version)


def test_a_party_whose_validity_ends_is_not_addressed_later(version: Path, edit: Edit) -> None:
    edit(HEAD, "    kind: hospital\n", "    kind: hospital\n    valid_until: 2027-01-01\n")

    assert "addresses rs-rujukan, which is valid only until 2027-01-01" in findings(version)


def test_the_report_of_a_broken_property_shows_it_when_it_is_explained(
    version: Path, edit: Edit, tmp_path: Path
) -> None:
    edit(
        "clauses/30-prompt-response.yaml",
        'support: [complaint_centre, satgas_of_residence]}\n        source: {title: "UU 35',
        'support: [satgas_of_residence]}\n        source: {title: "UU 35',
    )
    broken = next(f for f in check_version(version, CITY).findings if "R3_emergency_where_reported" in str(f.problem))
    report = tmp_path / "report.yaml"
    report.write_text(broken.report)

    situation, origin = read_report(report, kediri(), CITY)
    decided = Engine(read_with_findings(version, CITY)[0] or kediri(), DAY).decide(situation, origin)

    emergency = next(a for a in decided.assignments if a.service == "emergency_protection")
    assert origin.centre
    assert origin.centre not in (emergency.lead, *emergency.support)
    assert "EMG-1" in str(broken)


def test_a_clause_that_begins_later_and_an_override_for_a_time_can_be_proven(version: Path, edit: Edit) -> None:
    later = """
      - id: RET-7
        then: {retain: logistics, years: 2}
        overrides: [RET-6]
        valid_from: 2027-01-01
        valid_until: 2027-07-01
        examples:
          applies:
            - {safe_now: no}
"""
    path = version / "clauses" / "80-escalation-retention.yaml"
    path.write_text(path.read_text().rstrip() + later)

    checked = check_version(version, CITY)

    assert [str(finding) for finding in checked.findings] == []
    assert checked.proof is not None


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (HEAD, "days: saturday-sunday", "days: sunday-saturday", "starts with the earlier day"),
        (HEAD, "party: bapas", "party: city-board", "city-board is listed 2 times"),
        (HEAD, "part_of: uptd-ppa", "part_of: uptd-pa", "part of uptd-pa, which is not an independent party"),
        (
            "scenarios.yaml",
            "centre: satgas-kel-lirboyo",
            "centre: satgas-kel-lirboyoo",
            "the city has no agency satgas-kel-lirboyoo",
        ),
        (
            "scenarios.yaml",
            "report: {violence: physical,",
            "report: {urgency: high,",
            "urgency is neither a fact that a report can have",
        ),
    ],
)
def test_input_that_would_be_ignored_is_reported(
    version: Path, edit: Edit, file: str, old: str, new: str, expected: str
) -> None:
    edit(file, old, new)

    assert expected in findings(version)


def test_a_finding_speaks_both_languages(version: Path, edit: Edit) -> None:
    edit(
        AID,
        "then: {service: social_aid, right: social_aid, lead: [dinsos-peksos, uptd-ppa]",
        "then: {service: social_aid, right: social_aid, lead: [uptd-ppa, dinsos-peksos]",
    )

    shown = "\n".join(describe_findings(check_version(version, CITY).findings, "id"))

    assert "tumpang tindih: dua ketentuan menentukan siapa yang memimpin layanan bantuan sosial secara berbeda" in shown
    assert "    | AID-1: Bila anak mengalami eksploitasi atau penelantaran, maka layanan bantuan sosial" in shown
    assert "laporan yang menunjukkannya:" in shown


def test_a_scenario_is_compared_in_plain_language(version: Path, edit: Edit) -> None:
    edit("scenarios.yaml", "answer: {hours: 6}", "answer: {hours: 5}")

    output = findings(version)

    assert "answer is decided as 6 hours, not 5 hours" in output
    assert "Within(" not in output
    assert "frozenset" not in output


def test_findings_of_one_kind_are_counted_after_twenty(version: Path) -> None:
    (version / AID).write_text(re.sub(r"(- )\{violence: ", r"\1{violnce: ", (version / AID).read_text()))
    found = read_with_findings(version, CITY)[1]

    shown = list(describe_findings(found, "en"))

    assert len(found) > 21
    assert len(shown) == 21
    assert shown[-1].startswith(f"... and {len(found) - 20} more of this kind: violnce is not a fact")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_huge_file_is_refused_before_it_is_read(version: Path, encoding: str) -> None:
    # Once before, so that what is imported or cached by the first reading does not count.
    read_with_findings(version, CITY)
    normal = bytes_read_by(lambda: read_with_findings(version, CITY))
    (version / HEAD).write_text("a: [1]\n" * 1_500_000, encoding)
    size = (version / HEAD).stat().st_size
    found: list[str] = []

    read = bytes_read_by(lambda: found.extend(map(str, read_with_findings(version, CITY)[1])))

    assert any(f"the file has {size:,} bytes" in one for one in found)
    assert read <= normal + MAX_FILE_SIZE < size


def bytes_read_by(act: Callable[[], object]) -> int:
    """The bytes that this process read from files meanwhile, as the kernel counts them."""

    def total() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = total()
    act()
    return total() - before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("valid_until: 2027-12-31", "valid_until: 2029-12-31", "the calendar of 2028 is incomplete: 0 of about"),
        ("valid_until: 2027-12-31", "valid_until: 2026-11-01", "valid until 2026-11-01, before it begins"),
        (
            "2027-05-20, 2027-06-01, 2027-06-06, 2027-08-15, 2027-08-17, 2027-12-25, 2027-12-26]",
            "2027-05-20]",
            "the calendar of 2027 is incomplete: ",
        ),
    ],
)
def test_a_calendar_reaches_to_the_end_of_validity(
    version: Path, edit: Edit, old: str, new: str, expected: str
) -> None:
    edit(HEAD, old, new)
    agreement = read_agreement(version, CITY)

    found = [str(finding) for finding in calendar_findings(agreement, calendar_position(version))]

    assert any(expected in text and re.match(r"agreement.yaml:\d+:\d+: ", text) for text in found), found


def test_the_listed_holidays_take_precedence_over_the_expected_ones(version: Path, edit: Edit) -> None:
    edit(HEAD, "2027-01-05", "2027-01-06")

    assert list(calendar_findings(read_agreement(version, CITY), calendar_position(version))) == []


def test_an_article_that_the_law_does_not_have_is_found(version: Path, edit: Edit) -> None:
    edit(PROTECTION, 'article: "23"', 'article: "230"')

    [finding] = article_findings(read_agreement(version, CITY))

    assert "UU 12/2022 has no article 230" in str(finding)
    assert "from 1 to 93" in str(finding)
