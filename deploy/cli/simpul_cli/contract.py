"""The committed JSON schemas are the published contract; the classes may only widen it safely."""

import json
from pathlib import Path
from typing import Any

import simpul_schema
from simpul_cli import catalogue
from simpul_schema import MESSAGES
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import as_markdown, row_of
from simpul_schema.compatibility import breaking_changes
from simpul_schema.samples import SIGNATURES

PACKAGE = Path(simpul_schema.__file__).parent
FOLDER = PACKAGE / "json_schema"
_START, _END = "<!-- events: written by `make schema` -->", "<!-- end of events -->"


def current_schemas() -> dict[str, dict[str, Any]]:
    """The schema of each wire name, generated from its class."""
    return {message.WIRE_NAME: message.model_json_schema() for message in MESSAGES}


def published_schemas(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The committed schemas."""
    return {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def breaks(published: dict[str, dict[str, Any]], current: dict[str, dict[str, Any]]) -> list[str]:
    """Each breaking change with the consumers that it affects."""
    found = []
    for wire_name, schema in published.items():
        consumers = ", ".join(row_of(wire_name).consumers) if wire_name in current else "every consumer"
        problems = breaking_changes(schema, current[wire_name]) if wire_name in current else ["removed"]
        found += [f"{wire_name}: {problem} (breaks: {consumers}); publish a .v2 as well" for problem in problems]
    return found


def stale(published: dict[str, dict[str, Any]], current: dict[str, dict[str, Any]]) -> list[str]:
    """Committed schemas and other published files that differ from what the classes generate."""
    others = [
        path.name for path, text in made_of_the_classes().items() if not path.exists() or path.read_text() != text
    ]
    return others + [name for name, schema in current.items() if published.get(name) != schema]


def made_of_the_classes() -> dict[Path, str]:
    """The published files other than the schemas: signatures, AsyncAPI document, catalogue page, fixtures."""
    fixtures = PACKAGE / "fixtures"
    return {
        PACKAGE / "samples" / SIGNATURES: _written(catalogue.sample_signatures()),
        PACKAGE / "asyncapi.json": _written(as_asyncapi(catalogue.sample_signatures())),
        PACKAGE / "catalogue.html": catalogue.as_html(),
        fixtures / "events.json": _written(catalogue.event_fixtures()),
        fixtures / "verification.json": _written(catalogue.verification_fixtures()),
        fixtures / "directory.json": _written(catalogue.directory_fixture()),
        fixtures / "transitions.json": _written(catalogue.transition_fixtures()),
    }


def _written(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[str]:
    """Write the schemas unless a change is breaking; returns the breaking changes."""
    current = current_schemas()
    problems = breaks(published_schemas(folder), current)
    if not problems:
        for wire_name, schema in current.items():
            (folder / f"{wire_name}.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
        if folder == FOLDER:
            for path, text in made_of_the_classes().items():
                path.write_text(text)
    return problems


def with_event_table(page: str) -> str:
    """The page with the generated table of events between its two marks."""
    before, _, rest = page.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n\n{as_markdown()}\n{_END}{after}"
