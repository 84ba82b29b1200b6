"""The structure of the YAML files. The JSON schemas for editors are generated from these classes."""

from typing import Final

from simpul_agreement.files.clauses import (
    ClausesFile,
    ExampleFacts,
    Values,
    Violences,
    WrittenChapter,
    WrittenClause,
)
from simpul_agreement.files.head import AgreementFile, WrittenBand, WrittenParty
from simpul_agreement.files.scenarios import ScenariosFile, WrittenScenario
from simpul_agreement.files.values import Written

FILES: Final[dict[str, type[Written]]] = {
    "agreement": AgreementFile,
    "clauses": ClausesFile,
    "scenarios": ScenariosFile,
}
"""Name of the schema -> the class of the file."""

__all__ = [
    "FILES", "AgreementFile", "ClausesFile", "ExampleFacts", "ScenariosFile", "Values", "Violences", "WrittenBand",
    "WrittenChapter", "WrittenClause", "WrittenParty", "WrittenScenario",
]  # fmt: skip
