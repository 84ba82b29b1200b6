"""Named refusals."""

from enum import StrEnum


class AgreementMissing(Exception):
    """No version of the agreement may decide; the message says where it was looked for and what to run."""


class ReplyRefusal(StrEnum):
    """Why a reply changed nothing."""

    UNKNOWN_REFERRAL = "unknown_referral"
    NOT_ITS_REFERRAL = "not_its_referral"
