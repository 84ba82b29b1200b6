"""Finds differences between two JSON schemas that break parties which still use the older version.

The direction decides. What the city writes is read by agencies and services that may be older than the writer: the
newer writer may send nothing that the older reader refuses. What agencies write is read by the city, which may be newer
than the writer: the newer reader must accept whatever the older writer sends.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_BOUNDS = {
    # keyword: whether a larger value allows more
    "maximum": True,
    "maxLength": True,
    "maxItems": True,
    "exclusiveMaximum": True,
    "minimum": False,
    "minLength": False,
    "minItems": False,
    "exclusiveMinimum": False,
}


class Writer(enum.Enum):
    """Who writes a message."""

    CITY = "city"
    AGENCIES = "agencies"


def breaking_changes(old: Schema, new: Schema, writer: Writer = Writer.CITY) -> list[str]:
    """Describes each change from `old` to `new` that breaks; empty if the new version is safe."""
    sections = new.get("x-sections", {})
    removed = [name for name, schema in old.get("x-sections", {}).items() if sections.get(name) != schema]
    return [
        *(f"message: sealed section {name} removed or changed to another schema" for name in removed),
        *_Comparison(old, new, writer).compare(old, new, "message", frozenset()),
    ]


@dataclass(frozen=True)
class _Comparison:
    old: Schema
    new: Schema
    writer: Writer

    def compare(self, old: Schema, new: Schema, where: str, open_names: frozenset[str]) -> Iterator[str]:
        """Compares two parts of the schemas; `open_names` are the definitions that contain them."""
        old, name = _resolve(old, self.old.get("$defs", {}))
        new, _ = _resolve(new, self.new.get("$defs", {}))
        if name and name in open_names:
            return
        open_names |= {name} if name else frozenset()
        yield from self._compare_values(old, new, where)
        yield from self._compare_enumerations(old, new, where)
        yield from self._compare_fields(old, new, where)
        for field, schema in old.get("properties", {}).items():
            if field in new.get("properties", {}):
                yield from self.compare(schema, new["properties"][field], f"{where}.{field}", open_names)
        for keyword in ("items", "additionalProperties"):
            if isinstance(old.get(keyword), dict) and isinstance(new.get(keyword), dict):
                yield from self.compare(old[keyword], new[keyword], f"{where}[]", open_names)
        yield from self._compare_alternatives(old, new, where, open_names)

    def _compare_values(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        sent, accepted = self._sent_and_accepted(old, new)
        for keyword in ("type", "const", "format", "pattern"):
            if accepted.get(keyword) is not None and sent.get(keyword) != accepted[keyword]:
                yield f"{where}: {keyword} changed from {old.get(keyword)} to {new.get(keyword)}"
        for keyword, larger_allows_more in _BOUNDS.items():
            limit, bound = accepted.get(keyword), sent.get(keyword)
            if limit is not None and (bound is None or (bound > limit if larger_allows_more else bound < limit)):
                yield f"{where}: {keyword} changed from {old.get(keyword)} to {new.get(keyword)}"

    def _compare_enumerations(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        sent, accepted = self._sent_and_accepted(old, new)
        values = _values_of(accepted)
        if values is None:
            return
        if old.get("x-fallback") and new.get("x-fallback") not in (None, old["x-fallback"]):
            yield f"{where}: the fallback changed from {old['x-fallback']} to {new['x-fallback']}"
        if not _is_extensible(accepted) and _is_extensible(sent):
            yield f"{where}: readers of the closed enumeration refuse values that are added later"
        unknown = sorted(set(_values_of(sent) or ["any other"]) - set(values))
        if unknown and self.writer is Writer.AGENCIES:
            yield f"{where}: agencies still send {unknown}"
        if unknown and self.writer is Writer.CITY and not _is_extensible(accepted):
            yield f"{where}: consumers do not know the new values {unknown}"

    def _compare_fields(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        removed = sorted(set(old.get("properties", {})) - set(new.get("properties", {})))
        yield from (f"{where}.{field}: field removed" for field in removed)
        required_before, required_now = set(old.get("required", [])), set(new.get("required", []))
        if self.writer is Writer.CITY:
            optional = sorted(required_before - required_now - set(removed))
            yield from (f"{where}.{field}: no longer always present" for field in optional)
        added = sorted(required_now - required_before)
        yield from (f"{where}.{field}: required of writers that do not know it" for field in added)

    def _compare_alternatives(self, old: Schema, new: Schema, where: str, open_names: frozenset[str]) -> Iterator[str]:
        if "anyOf" not in old and "anyOf" not in new:
            return
        olds, news = old.get("anyOf", [old]), new.get("anyOf", [new])
        sent, accepted = self._sent_and_accepted(olds, news)
        for option in sent:
            if all(any(self._compare_option(option, known, where, open_names)) for known in accepted):
                yield f"{where}: a reader may refuse one of the alternatives that it is sent"

    def _compare_option(self, sent: Schema, accepted: Schema, where: str, open_names: frozenset[str]) -> Iterator[str]:
        old, new = (accepted, sent) if self.writer is Writer.CITY else (sent, accepted)
        return self.compare(old, new, where, open_names)

    def _sent_and_accepted(self, old: Any, new: Any) -> tuple[Any, Any]:
        """What writers send and what readers accept, where both versions are in use."""
        return (new, old) if self.writer is Writer.CITY else (old, new)


def _resolve(schema: Schema, definitions: Schema) -> tuple[Schema, str]:
    ref = schema.get("$ref", "")
    name = ref.rpartition("/")[2]
    return ({**definitions[name], **{k: v for k, v in schema.items() if k != "$ref"}}, name) if ref else (schema, "")


def _values_of(schema: Schema) -> list[Any] | None:
    """Returns the values of an enumeration; None for anything else."""
    return schema.get("enum", schema.get("x-values"))


def _is_extensible(schema: Schema) -> bool:
    return bool(schema.get("x-extensible"))
