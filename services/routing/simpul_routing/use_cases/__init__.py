"""What routing does, one file for each thing."""

from simpul_routing.use_cases.decide_exclusions import DecideExclusions
from simpul_routing.use_cases.end_cases import EndCases
from simpul_routing.use_cases.judge_replies import JudgeReplies, Reply
from simpul_routing.use_cases.keep_accounts import KeepAccounts
from simpul_routing.use_cases.refer_cases import ReferCases
from simpul_routing.use_cases.replan_cases import ReplanCases
from simpul_routing.use_cases.sweep_clocks import SweepClocks
from simpul_routing.use_cases.triage_cases import TriageCases
from simpul_routing.use_cases.withdraw_consent import WithdrawConsent

__all__ = [
    "DecideExclusions",
    "EndCases",
    "JudgeReplies",
    "KeepAccounts",
    "ReferCases",
    "ReplanCases",
    "Reply",
    "SweepClocks",
    "TriageCases",
    "WithdrawConsent",
]
