"""Finds differences between two JSON schemas of a message that would break an existing consumer.

A consumer validates what it receives against the version it was built with, so a change breaks when a message
the new version allows can be refused by the old one, or when a value the old one promised can now be missing.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_BOUNDS = {
    # keyword: whether a larger value widens what may be sent
    "maximum": True, "maxLength": True, "maxItems": True, "exclusiveMaximum": True,
    "minimum": False, "minLength": False, "minItems": False, "exclusiveMinimum": False,
}  # fmt: skip


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Sentences, one for each change that breaks; empty when the new version is safe."""
    return list(_compare(old, new, old.get("$defs", {}), new.get("$defs", {}), "message", frozenset()))


def _resolve(schema: Schema, definitions: Schema) -> tuple[Schema, str]:
    ref = schema.get("$ref", "")
    name = ref.rpartition("/")[2]
    return ({**definitions[name], **{k: v for k, v in schema.items() if k != "$ref"}}, name) if ref else (schema, "")


def _compare(
    old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, where: str, seen: frozenset[str]
) -> Iterator[str]:
    old, name = _resolve(old, old_defs)
    new, _ = _resolve(new, new_defs)
    if name and name in seen:
        return
    seen |= {name} if name else frozenset()
    yield from _values(old, new, where)
    yield from _fields(old, new, where)
    for field, schema in old.get("properties", {}).items():
        if field in new.get("properties", {}):
            yield from _compare(schema, new["properties"][field], old_defs, new_defs, f"{where}.{field}", seen)
    for keyword in ("items", "additionalProperties"):
        if isinstance(old.get(keyword), dict) and isinstance(new.get(keyword), dict):
            yield from _compare(old[keyword], new[keyword], old_defs, new_defs, f"{where}[]", seen)
    yield from _alternatives(old, new, old_defs, new_defs, where, seen)


def _values(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for keyword in ("type", "const", "format", "pattern"):
        if old.get(keyword) != new.get(keyword):
            yield f"{where}: {keyword} changed from {old.get(keyword)} to {new.get(keyword)}"
    if "enum" in old:
        added = [value for value in new.get("enum", ["anything"]) if value not in old["enum"]]
        if added:
            yield f"{where}: consumers do not know the new values {added}"
    for keyword, widens in _BOUNDS.items():
        before, after = old.get(keyword), new.get(keyword)
        if before is not None and (after is None or (after > before if widens else after < before)):
            yield f"{where}: {keyword} loosened from {before} to {after}"


def _fields(old: Schema, new: Schema, where: str) -> Iterator[str]:
    removed = sorted(set(old.get("properties", {})) - set(new.get("properties", {})))
    yield from (f"{where}.{field}: field removed" for field in removed)
    no_longer = sorted((set(old.get("required", [])) - set(new.get("required", []))) - set(removed))
    yield from (f"{where}.{field}: no longer always present" for field in no_longer)
    demanded = sorted(set(new.get("required", [])) - set(old.get("required", [])))
    yield from (f"{where}.{field}: required of producers that do not know it" for field in demanded)


def _alternatives(
    old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, where: str, seen: frozenset[str]
) -> Iterator[str]:
    before, after = old.get("anyOf"), new.get("anyOf")
    if before is None and after is None:
        return
    for option in after or [new]:
        if all(any(_compare(known, option, old_defs, new_defs, where, seen)) for known in before or [old]):
            yield f"{where}: may now be something older consumers refuse"
