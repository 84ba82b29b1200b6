"""What `simpul case` prints about lateness."""

from zoneinfo import ZoneInfo

import pytest

from simpul_cli.case_views import CaseViews

LATE = "2026-11-26T03:00:00+00:00"
MET = "2026-11-26T04:30:00+00:00"


def a_clock(**more: object) -> dict[str, object]:
    return {"clock": "answer", "due_at": LATE, "stopped_at": None, "is_late": False, "last_step": None, **more}


def a_case(**more: object) -> dict[str, object]:
    return {
        "case_id": "c",
        "reference": "K-7K3Q-2M9F",
        "state": "referred",
        "urgency": "high",
        "decided_at": LATE,
        "agreement": "2026-11",
        "mediation_locked": False,
        "ended_at": None,
        "ended_as": None,
        "merged_into": None,
        "rights": {},
        "suggested_exclusions": [],
        "suspected_overlaps": [],
        "exclusion_review": None,
        "service_plan": None,
        "referrals": [],
        **more,
    }


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (a_clock(), "Answer of the agency: by 2026-11-26 10:00 WIB"),
        (a_clock(last_step="50"), "Answer of the agency: by 2026-11-26 10:00 WIB (reminded)"),
        (a_clock(is_late=True, last_step="100"), "LATE since 2026-11-26 10:00 WIB (escalated once, 100 %)"),
        (
            a_clock(is_late=True, last_step="200", stopped_at=MET),
            "LATE since 2026-11-26 10:00 WIB, met 2026-11-26 11:30 WIB (escalated twice, 200 %)",
        ),
    ],
)
def test_a_referral_says_once_what_is_late_and_how_often_it_was_escalated(
    clock: dict[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service = {
        "service_id": "s",
        "service": "shelter",
        "role": "lead",
        "urgency": "high",
        "state": "offered",
        "clocks": [],
    }
    services = [service, {**service, "service_id": "t", "service": "social_aid", "role": "support"}]
    referral = {
        "code": "R-7K3Q2M",
        "agency_name": "Dinsos",
        "services": services,
        "clocks": [a_clock(clock="receipt", stopped_at=LATE), clock],
    }

    CaseViews("en", ZoneInfo("Asia/Jakarta"), {}, width=400).print_case(a_case(referrals=[referral]))

    printed = capsys.readouterr().out
    deadlines = " ".join(line.split("│")[-2].strip() for line in printed.splitlines() if line.count("│") == 7)
    assert deadlines.count(expected) == 1
    assert "Social aid (support)" in printed
    assert "Shelter " in printed
    assert "Receipt" not in printed


def test_an_undecided_exclusion_says_what_is_withheld_and_how_to_decide(capsys: pytest.CaptureFixture[str]) -> None:
    suggested = {"agency": "rs-rujukan", "agency_name": "Rumah sakit", "state": "pending"}
    case = a_case(suggested_exclusions=[suggested], is_reporter_cut_off=True)

    CaseViews("en", ZoneInfo("Asia/Jakarta"), {}, width=400).print_case(case)

    printed = capsys.readouterr().out
    assert "Suggested exclusions that nobody decided yet: Rumah sakit (rs-rujukan)" in printed
    assert "Until then the dossier is withheld from them" in printed
    assert "New questions do not reach the reporting person" in printed
    assert "simpul case decide-exclusion K-7K3Q-2M9F rs-rujukan confirmed|rejected" in printed


def test_what_a_person_wrote_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    plan = {
        "reference": "K-7K3Q-2M9F",
        "services": [{"service": "shelter", "agency": "dinsos-peksos", "role": "lead"}],
    }
    changes = {"left_out": [{"service": "shelter", "reason": "[/bold] [red]no[/red]"}], "agencies": [], "added": []}

    CaseViews("en", ZoneInfo("Asia/Jakarta"), {}, width=400).print_confirmed_plan(plan, changes)

    assert "left out ([/bold] [red]no[/red])" in capsys.readouterr().out
