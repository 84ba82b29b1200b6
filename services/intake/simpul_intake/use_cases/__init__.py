"""The use cases of intake, one file each."""

from simpul_intake.use_cases.amend_reports import AmendReports
from simpul_intake.use_cases.announce_erasures import AnnounceErasures
from simpul_intake.use_cases.check_receipts import CheckReceipts
from simpul_intake.use_cases.erase_cases import EraseCases
from simpul_intake.use_cases.execute_retention import DueCase, ExecuteRetention, FindDueCases
from simpul_intake.use_cases.find_accusations import FindAccusations
from simpul_intake.use_cases.follow_reports import FollowReports
from simpul_intake.use_cases.handle_breaches import HandleBreaches
from simpul_intake.use_cases.keep_files import KeepFiles
from simpul_intake.use_cases.keep_notes import KeepNotes
from simpul_intake.use_cases.keep_questions import KeepQuestions
from simpul_intake.use_cases.limit_reports import LimitReports, Sender
from simpul_intake.use_cases.master_keys import MasterKeys
from simpul_intake.use_cases.record_ends import (
    record_closed_cases,
    record_exclusions,
    record_merged_cases,
    record_reopened_cases,
    record_voided_cases,
)
from simpul_intake.use_cases.release_dossiers import ReleaseDossiers
from simpul_intake.use_cases.replace_receipts import ReplaceReceipts
from simpul_intake.use_cases.rewrap_keys import RewrapKeys
from simpul_intake.use_cases.search_duplicates import Override, SearchDuplicates
from simpul_intake.use_cases.suspect_overlaps import SuspectOverlaps
from simpul_intake.use_cases.take_reports import Receipt, TakeReports
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.use_cases.watch_breaches import WatchBreaches

__all__ = [
    "AmendReports",
    "AnnounceErasures",
    "CheckReceipts",
    "DueCase",
    "EraseCases",
    "ExecuteRetention",
    "FindAccusations",
    "FindDueCases",
    "FollowReports",
    "HandleBreaches",
    "KeepFiles",
    "KeepNotes",
    "KeepQuestions",
    "LimitReports",
    "MasterKeys",
    "Override",
    "Receipt",
    "ReleaseDossiers",
    "ReplaceReceipts",
    "RewrapKeys",
    "SearchDuplicates",
    "Sender",
    "SuspectOverlaps",
    "TakeReports",
    "VaultSecrets",
    "WatchBreaches",
    "record_closed_cases",
    "record_exclusions",
    "record_merged_cases",
    "record_reopened_cases",
    "record_voided_cases",
]
