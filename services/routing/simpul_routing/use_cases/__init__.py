"""The use cases of routing, one file each."""

from simpul_routing.use_cases.agency_questions import AgencyQuestions
from simpul_routing.use_cases.amend_cases import AmendCases
from simpul_routing.use_cases.case_notes import CaseNotes
from simpul_routing.use_cases.changes import CaseChanges
from simpul_routing.use_cases.confirm_plans import ConfirmPlans
from simpul_routing.use_cases.decide_earlier_disclosures import DecideEarlierDisclosures
from simpul_routing.use_cases.end_cases import EndCases
from simpul_routing.use_cases.escalate_unreached import escalate_unreached
from simpul_routing.use_cases.forward_dossiers import ForwardDossiers
from simpul_routing.use_cases.judge_replies import JudgeReplies
from simpul_routing.use_cases.publish_manifests import PublishManifests
from simpul_routing.use_cases.refer_cases import ReferCases
from simpul_routing.use_cases.see_cases import SeeCases
from simpul_routing.use_cases.settle_overlaps import DismissOverlaps, record_overlaps
from simpul_routing.use_cases.state_capacities import StateCapacities
from simpul_routing.use_cases.sweep_clocks import SweepClocks
from simpul_routing.use_cases.transfer_cases import TransferCases
from simpul_routing.use_cases.triage_cases import TriageCases

__all__ = [
    "AgencyQuestions",
    "AmendCases",
    "CaseChanges",
    "CaseNotes",
    "ConfirmPlans",
    "DecideEarlierDisclosures",
    "DismissOverlaps",
    "EndCases",
    "ForwardDossiers",
    "JudgeReplies",
    "PublishManifests",
    "ReferCases",
    "SeeCases",
    "StateCapacities",
    "SweepClocks",
    "TransferCases",
    "TriageCases",
    "escalate_unreached",
    "record_overlaps",
]
