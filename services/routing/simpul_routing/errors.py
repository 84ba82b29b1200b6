"""Named refusals."""

from enum import StrEnum


class RulesInvalid(Exception):
    """`rights.yaml` contradicts itself or the city; the message names the rule and what would be right."""


class ReplyRefusal(StrEnum):
    """Why a reply changed nothing."""

    UNKNOWN_REFERRAL = "unknown_referral"
    NOT_ITS_REFERRAL = "not_its_referral"
