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
"""Both must have agreed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Of which text, and what was asked of it."""

    version: str
    digest: str
    situations: int
    clauses: int
    questions: int
    properties: tuple[str, ...]
    provers: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Store it beside the agreement; the same proof is the same bytes."""
        (folder / PROOF_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    def is_of(self, agreement: Agreement, digest: str) -> bool:
        """Whether it proves this text, by both provers, for every property and situation that counts today."""
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
        """The stored proof; None when there is none that can be read."""
        try:
            stored = json.loads((folder / PROOF_FILE).read_text())
            return cls(**stored | {"properties": tuple(stored["properties"]), "provers": tuple(stored["provers"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def digest_of(folder: Path) -> str:
    """The text that is proven and signed: every YAML file of the version and the city it speaks of."""
    city = folder.parent.parent
    files = [*sorted(folder.rglob("*.yaml")), city / "city.yaml", city / "kelurahan.csv"]
    digest = sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(city)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
