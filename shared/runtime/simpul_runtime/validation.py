"""Explains fields that are not valid in sentences that never repeat what was sent."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from simpul_schema.translations import gettext_noop


@dataclasses.dataclass(frozen=True, slots=True)
class FieldProblem:
    """Why one field of a request is not valid."""

    field: str
    code: str
    """Stable, for programs; pydantic's error type unless a service defines its own."""
    message: str
    """English, with `{placeholders}` for `values`."""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_MESSAGES: Final[Mapping[str, str]] = {
    "missing": gettext_noop("This field is required."),
    "extra_forbidden": gettext_noop("This field is unknown; check its name."),
    "enum": gettext_noop("Choose one of {expected}."),
    "uuid_parsing": gettext_noop("Must be a random UUID."),
    "int_parsing": gettext_noop("Must be a whole number."),
    "int_type": gettext_noop("Must be a whole number."),
    "greater_than_equal": gettext_noop("Must be at least {ge}."),
    "less_than_equal": gettext_noop("Must be at most {le}."),
    "string_too_long": gettext_noop("Too long; use at most {max_length} characters."),
    "string_too_short": gettext_noop("Must not be empty."),
    "string_type": gettext_noop("Must be text."),
    "too_short": gettext_noop("Give at least {min_length}."),
    "too_long": gettext_noop("Too many; give at most {max_length}."),
    "json_invalid": gettext_noop("The request is not valid JSON."),
    "timezone_aware": gettext_noop("The time needs a UTC offset, such as +07:00."),
    "year_out_of_range": gettext_noop("The year must be between {ge} and {le}; check the date."),
    "date_impossible": gettext_noop("There is no such date of birth; check day, month and year."),
    "event_time_impossible": gettext_noop(
        "Write when it happened as 2026-11-24T21 (day and hour) or 2026-11-24 (day), in local time."
    ),
    "datetime_from_date_parsing": gettext_noop("Write the time as 2026-11-24T22:15+07:00."),
}
"""Pydantic's error type -> message."""
_OTHER_MESSAGE: Final = gettext_noop("This value is not valid.")


def explain_error(error: Mapping[str, Any]) -> FieldProblem:
    """Explains one error of a pydantic ValidationError."""
    path = ".".join(str(part) for part in error["loc"] if part != "body")
    return FieldProblem(path, error["type"], _MESSAGES.get(error["type"], _OTHER_MESSAGE), error.get("ctx", {}))
