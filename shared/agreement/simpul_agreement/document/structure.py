"""The numbered parts of the document, before they are laid out."""

from dataclasses import dataclass

from simpul_agreement.model import Clause


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph with its items, and the clause that it states."""

    text: str
    items: tuple[str, ...] = ()
    clause: Clause | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """An article; its paragraphs are numbered where it has several."""

    number: int
    title: str
    paragraphs: list[Paragraph]


@dataclass(frozen=True, slots=True)
class Part:
    """Articles under one heading."""

    number: int
    title: str
    articles: list[Article]
