"""Reads the texts by which people consent: one file for each version, with the words in each language."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simpul_city import CityInvalid, read_yaml

REQUIRED: Final = ("id", "jv")
"""Bahasa Indonesia, and Javanese as it is spoken in Kediri."""
LANGUAGES: Final = (*REQUIRED, "en")
"""The languages that a text may have."""


@dataclass(frozen=True)
class ConsentTexts:
    """The texts by version and language."""

    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "ConsentTexts":
        """Reads the folder of a city, which may have none; raises CityInvalid where a language is missing."""
        found: dict[str, Mapping[str, str]] = {}
        for path in sorted(folder.glob("*.yaml")):
            texts = read_yaml(path).get("texts", {})
            if any(not texts.get(language) for language in REQUIRED):
                msg = f"{path}: write the text in each language: {', '.join(REQUIRED)}"
                raise CityInvalid(msg)
            found[path.stem] = {language: str(texts[language]) for language in LANGUAGES if texts.get(language)}
        return cls(found)

    def find_digest(self, version: str, language: str) -> str:
        """Finds the SHA-256 of a text; empty if there is no such text."""
        text = self.versions.get(version, {}).get(language, "")
        return hashlib.sha256(text.encode()).hexdigest() if text else ""
