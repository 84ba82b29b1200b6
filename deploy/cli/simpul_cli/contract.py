"""Compares the message classes with the committed JSON schemas, which are the published contract, and writes them."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simpul_schema
from simpul_cli import catalogue
from simpul_schema import MESSAGES
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import ANY_AGENCY, as_markdown, row_of
from simpul_schema.compatibility import Writer, breaking_changes
from simpul_schema.json_schemas import SECTION_FOLDER, current_schemas
from simpul_schema.messages import SECTIONS, section_class
from simpul_schema.samples import SIGNATURES

PACKAGE = Path(simpul_schema.__file__).parent
FOLDER = PACKAGE / "json_schema"
_START, _END = "<!-- {}: written by `make schema` -->", "<!-- end of {} -->"

Schemas = Mapping[str, dict[str, Any]]
"""By wire name, or by `sections/<name>`."""


def published_schemas(folder: Path = FOLDER) -> Schemas:
    """Reads the committed schemas."""
    return {
        path.relative_to(folder).as_posix().removesuffix(".json"): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }


def breaks(published: Schemas, current: Schemas) -> list[str]:
    """Lists each breaking change with the parties that it affects."""
    found = []
    for key, schema in published.items():
        if key in current:
            writer, affected = _parties_of(key)
            problems = breaking_changes(schema, current[key], writer)
        else:
            affected, problems = "every consumer", ["removed"]
        found += [f"{key}: {problem} (breaks: {affected}); publish a new version next to it" for problem in problems]
    return found


def _parties_of(key: str) -> tuple[Writer, str]:
    """Returns who writes a message or section, and whom a breaking change of it affects."""
    folder, _, section = key.rpartition("/")
    if folder == SECTION_FOLDER:
        return Writer.CITY, section_class(section).RECIPIENT
    row = row_of(key)
    if row.publisher == ANY_AGENCY:
        return Writer.AGENCIES, ANY_AGENCY
    return Writer.CITY, ", ".join(row.consumers) or "nobody yet"


def stale(published: Schemas, current: Schemas) -> list[str]:
    """Lists committed schemas and other published files that differ from what the classes generate."""
    others = [path.name for path, text in generated_files().items() if not path.exists() or path.read_text() != text]
    return others + [name for name, schema in current.items() if published.get(name) != schema]


def generated_files() -> dict[Path, str]:
    """Generates the published files other than the schemas: signatures, AsyncAPI document, catalogue page, fixtures."""
    fixtures = PACKAGE / "fixtures"
    return {
        PACKAGE / "samples" / SIGNATURES: _to_json(catalogue.sample_signatures()),
        PACKAGE / "asyncapi.json": _to_json(as_asyncapi(catalogue.sample_signatures())),
        PACKAGE / "catalogue.html": catalogue.as_html(),
        fixtures / "events.json": _to_json(catalogue.event_fixtures()),
        fixtures / "verification.json": _to_json(catalogue.verification_fixtures()),
        fixtures / "directory.json": _to_json(catalogue.directory_fixture()),
        fixtures / "private_keys.json": _to_json(catalogue.private_keys_fixture()),
        fixtures / "sections.json": _to_json(catalogue.section_fixtures()),
        fixtures / "transitions.json": _to_json(catalogue.transition_fixtures()),
    }


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[str]:
    """Writes the schemas unless a change is breaking; returns the breaking changes."""
    current = current_schemas()
    problems = breaks(published_schemas(folder), current)
    if not problems:
        (folder / SECTION_FOLDER).mkdir(exist_ok=True)
        for key, schema in current.items():
            (folder / f"{key}.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
        if folder == FOLDER:
            for path, text in generated_files().items():
                path.write_text(text)
    return problems


def sections_as_markdown() -> str:
    """Renders the table of sealed sections for docs/events.md."""
    lines = ["| section | in | sealed to | content |", "|---|---|---|---|"]
    for section in SECTIONS:
        carriers = ", ".join(f"`{message.WIRE_NAME}`" for message in MESSAGES if section in message.SECTIONS)
        lines.append(f"| `{section.SECTION}` | {carriers} | {section.RECIPIENT} | {inspect.getdoc(section)} |")
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """Replaces the generated tables of the page, each between its two marks."""
    for name, table in (("events", as_markdown()), ("sections", sections_as_markdown())):
        start, end = _START.format(name), _END.format(name)
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n\n{table}\n{end}{after}"
    return page
