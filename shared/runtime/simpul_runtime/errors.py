"""How a handler says what should become of a message."""

from enum import StrEnum


class ParkReason(StrEnum):
    """Why a message was set aside; it stays until an operator replays or discards it."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown_key"
    NOT_ITS_TO_SAY = "not_its_to_say"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    CANNOT_OPEN = "cannot_open"
    ID_REUSED = "id_reused"
    UNSTORABLE = "unstorable"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"


class Unprocessable(Exception):
    """The message can never work; it is parked at once with the reason."""

    def __init__(self, reason: ParkReason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail
