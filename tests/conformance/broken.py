"""Broken consumers: the plain one with the mistakes of `broken.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from simpul_city import read_yaml

PLAIN = Path(__file__).parents[2] / "deploy" / "agency" / "python-plain" / "consumer.py"


@dataclass(frozen=True)
class Broken:
    """A mistake as (text, replacement), and the case that must detect it."""

    name: str
    case: str
    changes: tuple[tuple[str, str], ...]

    def write(self, folder: Path) -> Path:
        """Writes the consumer with the mistake."""
        text = PLAIN.read_text()
        for before, after in self.changes:
            assert text.count(before) == 1, (self.name, before)
            text = text.replace(before, after)
        path = folder / f"{self.name}.py"
        path.write_text(text)
        return path


BROKEN = tuple(
    Broken(name, entry["case"], tuple((change["before"], change["after"]) for change in entry["changes"]))
    for name, entry in read_yaml(Path(__file__).with_name("broken.yaml")).items()
)
