"""AsyncAPI's own parser reads the published document."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from simpul_schema import MESSAGES
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import CATALOG
from simpul_schema.samples import signatures
from tests.support.debian import need

PARSER: Final = "@asyncapi/parser@3.6.0"
_CHECK = """
const {Parser} = require('@asyncapi/parser');
new Parser().parse(require('fs').readFileSync(0, 'utf8')).then(({document, diagnostics}) => {
  const errors = diagnostics.filter(d => d.severity === 0).map(d => d.path.join('/') + ': ' + d.message);
  console.log(JSON.stringify({errors, channels: document ? document.channels().all().length : 0,
    messages: document ? document.components().messages().all().length : 0}));
});
"""


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with AsyncAPI's own parser."""
    need(("node", "npm"), ("nodejs", "npm"))
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", PARSER]
    subprocess.run(install, cwd=folder, check=True, timeout=170)
    return folder


def parsed(modules: Path, document: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "-e", _CHECK],
        input=json.dumps(document),
        cwd=modules,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_asyncapis_own_parser_finds_no_mistake(modules: Path) -> None:
    found = parsed(modules, as_asyncapi(signatures()))

    assert found == {"errors": [], "channels": sum(len(row.exchanges) for row in CATALOG), "messages": len(MESSAGES)}


def test_the_parser_would_find_one(modules: Path) -> None:
    document = as_asyncapi(signatures())
    next(iter(document["channels"].values()))["messages"] = {"x": {"$ref": "#/components/messages/nothing"}}

    assert parsed(modules, document)["errors"]
