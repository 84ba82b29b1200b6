"""How a handler says what should become of a message."""

from simpul_schema.vocabulary import ParkReason


class Unprocessable(Exception):
    """The message can never work; it is parked at once with the reason."""

    def __init__(self, reason: ParkReason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail
