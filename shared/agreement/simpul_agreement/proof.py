"""The stored result of `simpul agreement check`; without a matching one an agreement does not load."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from simpul_agreement.implications import situations
from simpul_agreement.model import Agreement
from simpul_agreement.properties import PROPERTIES

PROOF_FILE: Final = "proof.json"
PROVERS: Final = ("bitset", "z3")
"""Both must agree."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The text that was proven, and the questions and properties that were checked."""

    version: str
    digest: str
    situations: int
    clauses: int
    questions: int
    properties: tuple[str, ...]
    provers: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Writes the proof into the version's folder; equal proofs are equal bytes."""
        (folder / PROOF_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    def is_of(self, agreement: Agreement, digest: str) -> bool:
        """Whether it proves this text by both provers, for all current properties and situations."""
        return (
            self.digest == digest
            and self.version == agreement.version
            and self.clauses == len(agreement.clauses)
            and self.situations == situations()
            and self.properties == tuple(wanted.name for wanted in PROPERTIES)
            and self.provers == PROVERS
        )

    @classmethod
    def read(cls, folder: Path) -> "Proof | None":
        """The stored proof; None when it is missing or cannot be read."""
        try:
            stored = json.loads((folder / PROOF_FILE).read_text())
            return cls(**stored | {"properties": tuple(stored["properties"]), "provers": tuple(stored["provers"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def digest_of(folder: Path) -> str:
    """The digest of what is proven and signed: the YAML files and texts of the version, and the city's own files."""
    city = folder.parent.parent
    files = [*sorted(folder.rglob("*.yaml")), *sorted(folder.rglob("*.md")), city / "city.yaml", city / "kelurahan.csv"]
    digest = sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(city)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
