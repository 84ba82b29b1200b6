"""The use cases of routing, one file each."""

from simpul_routing.use_cases.decide_exclusions import DecideExclusions
from simpul_routing.use_cases.end_cases import EndCases
from simpul_routing.use_cases.judge_replies import JudgeReplies, Reply
from simpul_routing.use_cases.publish_manifests import PublishManifests
from simpul_routing.use_cases.refer_cases import ReferCases
from simpul_routing.use_cases.replan_cases import ReplanCases
from simpul_routing.use_cases.sweep_clocks import SweepClocks
from simpul_routing.use_cases.triage_cases import TriageCases
from simpul_routing.use_cases.withdraw_consent import WithdrawConsent

__all__ = [
    "DecideExclusions",
    "EndCases",
    "JudgeReplies",
    "PublishManifests",
    "ReferCases",
    "ReplanCases",
    "Reply",
    "SweepClocks",
    "TriageCases",
    "WithdrawConsent",
]
