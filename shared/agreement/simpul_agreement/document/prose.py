"""Reads the city's own texts: parts, articles, paragraphs and items, and where generated text is inserted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.languages import Message as _
from simpul_agreement.loading import read_text
from simpul_agreement.model import Agreement, Where
from simpul_schema.translations import LANGUAGES

TEXT_FOLDER: Final = "text"
LISTS: Final = ("considering", "legal-basis", "decree")
"""Files of which every line is an item."""
ARTICLES: Final = "articles"
DIRECTIVES: Final = ("duties", "implications", "hours", "rules")
"""What is inserted into the articles: `{rules: CHAPTER, CHAPTER}` is one article for each chapter of clauses."""
PLACEHOLDERS: Final = ("this", "city", "active_from", "valid_until")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_DIRECTIVE: Final = re.compile(r"\{(\w+)(?::\s*([^}]*))?\}")
_RESTRICTED: Final = re.compile(r"\{(agreement|decree)\} +")
"""Before a line that only one form has."""
_NUMBERED: Final = re.compile(r"(\d+)\. (.+)")


class Kind(Enum):
    """What a line of a text is."""

    PART = "part"
    ARTICLE = "article"
    PARAGRAPH = "paragraph"
    """A numbered paragraph, or the only one of its article."""
    ITEM = "item"
    DIRECTIVE = "directive"


@dataclass(frozen=True, slots=True)
class Block:
    """One line of a text; a directive has its arguments."""

    kind: Kind
    text: str
    where: Where
    number: int = 0
    arguments: tuple[str, ...] = ()
    form: str = ""
    """The only form of the document that has this line; empty for both."""


def read_blocks(folder: Path, name: str, language: str, findings: list[Finding]) -> list[Block]:
    """The lines of one text of a version; empty, with a finding added, when it cannot be read."""
    shown = f"{TEXT_FOLDER}/{name}.{language}.md"
    text = read_text(folder / shown, shown, findings)
    lines = enumerate((text or "").splitlines(), 1)
    return [_restricted_block(line.strip(), Where(shown, number, 1)) for number, line in lines if line.strip()]


def _restricted_block(line: str, where: Where) -> Block:
    restricted = _RESTRICTED.match(line)
    if restricted is None:
        return _block(line, where)
    return replace(_block(line[restricted.end() :], where), form=restricted[1])


def _block(line: str, where: Where) -> Block:
    if line.startswith("## "):
        return Block(Kind.ARTICLE, line[3:].strip(), where)
    if line.startswith("# "):
        return Block(Kind.PART, line[2:].strip(), where)
    if line.startswith("- "):
        return Block(Kind.ITEM, line[2:].strip(), where)
    if directive := _DIRECTIVE.fullmatch(line):
        names = (directive[2] or "").split(",")
        return Block(Kind.DIRECTIVE, directive[1], where, arguments=tuple(n.strip() for n in names if n.strip()))
    if numbered := _NUMBERED.fullmatch(line):
        return Block(Kind.PARAGRAPH, numbered[2], where, int(numbered[1]))
    return Block(Kind.PARAGRAPH, line, where)


def prose_findings(folder: Path, agreement: Agreement) -> list[Finding]:
    """Mistakes in the texts of a version."""
    findings: list[Finding] = []
    for name in (*LISTS, ARTICLES):
        read = {language: read_blocks(folder, name, language, findings) for language in LANGUAGES}
        for blocks in read.values():
            findings += _placeholder_findings(blocks)
            if name == ARTICLES:
                findings += [*dict.fromkeys(_order_findings(blocks)), *_directive_findings(blocks, agreement)]
            else:
                findings += _list_findings(blocks)
        if all(read.values()):
            findings += _structure_findings(*read.values())
    return findings


def _placeholder_findings(blocks: list[Block]) -> Iterator[Finding]:
    for block in blocks:
        for name in _PLACEHOLDER.findall(block.text) if block.kind is not Kind.DIRECTIVE else ():
            if name not in PLACEHOLDERS:
                yield Finding(
                    block.where, _("{{{name}}} is not a placeholder", name=name), suggest_nearest(name, PLACEHOLDERS)
                )


def _list_findings(blocks: list[Block]) -> Iterator[Finding]:
    for block in blocks:
        if block.kind is not Kind.ITEM:
            yield Finding(
                block.where, _("every line of this text is an item"), _("begin the line with a hyphen and a space")
            )


def _order_findings(blocks: list[Block]) -> Iterator[Finding]:
    """Text outside of an article, and paragraphs that are numbered out of order in a form."""
    for form in ("agreement", "decree"):
        expected, in_article = 1, False
        for block in (block for block in blocks if block.form in ("", form)):
            match block.kind:
                case Kind.PART | Kind.DIRECTIVE:
                    in_article = False
                case Kind.ARTICLE:
                    expected, in_article = 1, True
                case Kind.PARAGRAPH | Kind.ITEM if not in_article:
                    yield Finding(
                        block.where, _("this text is outside every article"), _("put it under a line with ##")
                    )
                case Kind.PARAGRAPH if block.number:
                    if block.number != expected:
                        problem = _("paragraph {number} follows {last}", number=block.number, last=expected - 1)
                        yield Finding(block.where, problem, _("write {expected}.", expected=expected))
                    expected = block.number + 1
                case _item:
                    continue


def _directive_findings(blocks: list[Block], agreement: Agreement) -> Iterator[Finding]:
    """Directives that insert nothing, and clauses that are not inserted exactly once."""
    chapters = {chapter.id for chapter in agreement.chapters}
    inserted: list[str] = []
    for block in (block for block in blocks if block.kind is Kind.DIRECTIVE):
        inserted += block.arguments or (block.text,)
        if block.text not in DIRECTIVES:
            yield Finding(
                block.where, _("{{{text}}} inserts nothing", text=block.text), suggest_nearest(block.text, DIRECTIVES)
            )
        for name in sorted(set(block.arguments) - chapters):
            yield Finding(block.where, _("{name} is not a chapter", name=name), suggest_nearest(name, chapters))
    for name in (*DIRECTIVES[:-1], *sorted(chapters)) if blocks else ():
        if inserted.count(name) != 1:
            remedy = (
                _("insert it once with {{rules: {name}}}", name=name)
                if name in chapters
                else _("write {{{name}}} once", name=name)
            )
            yield Finding(
                blocks[-1].where, _("{name} is inserted {count} times", name=name, count=inserted.count(name)), remedy
            )


def _structure_findings(first: list[Block], second: list[Block]) -> Iterator[Finding]:
    """Both languages must number alike, so that one reference fits both."""
    for one, other in zip(first, second, strict=False):
        if _shape(one) != _shape(other):
            yield Finding(
                other.where, _("this line does not match {where}", where=one.where), _("give both texts the same lines")
            )
            return
    if len(first) != len(second):
        longer = max(first, second, key=len)
        where = longer[min(len(first), len(second))].where
        yield Finding(where, _("the other language has no corresponding line"), _("give both texts the same lines"))


def _shape(block: Block) -> tuple[object, ...]:
    return block.kind, block.number, block.arguments, block.form
