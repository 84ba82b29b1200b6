"""Turns the errors of the validation of a file into findings, without the words of the validator."""

from types import MappingProxyType
from typing import Any, Final

from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.languages import Message
from simpul_agreement.languages import Message as _
from simpul_agreement.loading import YamlFile
from simpul_schema.translations import gettext_noop

_SEE_SCHEMA: Final = gettext_noop("see the description in the schema")
_PROBLEMS: Final = MappingProxyType({
    "int_type": (gettext_noop("{key} is not a whole number"), gettext_noop("write a whole number, without quotes")),
    "int_from_float": (
        gettext_noop("{key} is not a whole number"), gettext_noop("write a whole number, without quotes"),
    ),
    "greater_than_equal": (gettext_noop("{key} is less than {ge}"), gettext_noop("write at least {ge}")),
    "less_than_equal": (gettext_noop("{key} is more than {le}"), gettext_noop("write at most {le}")),
    "string_type": (
        gettext_noop("{key} is not a text"),
        gettext_noop("write a text; put it in quotes when it looks like a number"),
    ),
    "string_too_short": (gettext_noop("{key} is empty"), gettext_noop("write a text")),
    "string_pattern_mismatch": (gettext_noop("{key} is not written in the expected form"), _SEE_SCHEMA),
    "too_short": (gettext_noop("{key} is empty"), gettext_noop("write at least one entry")),
    "list_type": (gettext_noop("{key} is not a list"), gettext_noop("write a list in square brackets")),
    "dict_type": (gettext_noop("{key} is not a table of fields and values"), _SEE_SCHEMA),
    "model_type": (gettext_noop("{key} is not a table of fields and values"), _SEE_SCHEMA),
    "bool_type": (gettext_noop("{key} is neither true nor false"), gettext_noop("write true or false")),
    "extra_forbidden": (
        gettext_noop("{name} is not a known field here"),
        gettext_noop("check its spelling against the schema, or delete it"),
    ),
    "missing": (gettext_noop("{name} is missing"), gettext_noop("add {name}")),
    "then": (gettext_noop("{key}: has no effect; it needs one of {keys}"), _SEE_SCHEMA),
})  # fmt: skip
"""Kind of error -> the problem and the remedy."""
_OTHER: Final = (gettext_noop("{key} is not valid"), _SEE_SCHEMA)


def finding_of(written: YamlFile, error: Any) -> Finding:
    """The finding for one error of pydantic."""
    where, key = written.where(*error["loc"]), written.key(*error["loc"])
    name = str(error["loc"][-1]) if error["loc"] else written.name
    context = error.get("ctx", {})
    match error["type"]:
        case "unreadable":
            return Finding(where, _("{key}: {problem}", key=key, problem=context["problem"]), context["remedy"])
        case "enum" | "literal_error":
            choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            value = str(error["input"])[:60]
            problem = _("{value} is not a value of {key}", value=value, key=key)
            return Finding(where, problem, suggest_nearest(value, choices))
        case "value_error":
            problem = _("{key}: {problem}", key=key, problem=Message(str(context["error"])))
            return Finding(where, problem, _(_SEE_SCHEMA))
        case kind:
            message, advice = _PROBLEMS.get(kind, _OTHER)
            values = {"key": key, "name": name, **context}
            return Finding(where, Message(message, **values), Message(advice, **values))
