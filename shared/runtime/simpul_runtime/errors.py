"""The error by which a handler has a message parked."""

from simpul_schema.vocabulary import ParkReason


class Unprocessable(Exception):
    """The message can never be processed; it is parked with this reason and not retried."""

    def __init__(self, reason: ParkReason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail
