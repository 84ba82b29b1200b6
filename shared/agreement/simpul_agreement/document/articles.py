"""Numbers the parts, articles and paragraphs, and names the exceptions of a clause by their numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from simpul_agreement.document.dates import format_day
from simpul_agreement.document.prose import ARTICLES, Block, Kind, read_blocks
from simpul_agreement.document.provisions import duty_paragraphs, hour_paragraphs, implication_paragraphs
from simpul_agreement.document.structure import Article, Paragraph, Part
from simpul_agreement.findings import AgreementInvalid, Finding
from simpul_agreement.languages import join_all, translator
from simpul_agreement.model import Agreement, Clause
from simpul_agreement.phrases import clause_sentence
from simpul_city import City


@dataclass(frozen=True)
class Numbering:
    """The article and paragraph of each clause; paragraph 0 where the article has only one."""

    of_clause: Mapping[str, tuple[int, int]]

    def describe(self, clauses: Iterable[str], language: str) -> str:
        """The articles and paragraphs of clauses, such as `Pasal 12 ayat (1) sampai dengan ayat (3) dan Pasal 14`."""
        _ = translator(language)
        places = sorted(self.of_clause[name] for name in clauses)
        named = []
        for article, group in groupby(places, key=lambda place: place[0]):
            text = _("Article {article}").format(article=article)
            paragraphs = [paragraph for _article, paragraph in group if paragraph]
            runs = join_all([_describe_run(run, language) for run in _runs(paragraphs)], language) if paragraphs else ""
            named.append(f"{text} {runs}".strip())
        return join_all(named, language)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of at least three consecutive numbers; the others alone."""
    for _offset, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _position, number in run]
        if len(found) > 2:
            yield found[0], found[-1]
        else:
            yield from ((number, number) for number in found)


def _describe_run(run: tuple[int, int], language: str) -> str:
    _ = translator(language)
    first, last = (_("paragraph ({number})").format(number=number) for number in run)
    if run[0] == run[1]:
        return first
    return _("{first} to {last}").format(first=first, last=last)


@dataclass
class _Builder:
    """Turns the blocks of the text into parts."""

    agreement: Agreement
    city: City
    language: str
    form: str
    parts: list[Part] = field(default_factory=list)
    articles: int = 0

    def add(self, block: Block) -> None:
        match block.kind:
            case Kind.PART:
                self.parts.append(Part(len(self.parts) + 1, block.text, []))
            case Kind.ARTICLE:
                self._add_article(block.text, [])
            case Kind.PARAGRAPH:
                self.parts[-1].articles[-1].paragraphs.append(Paragraph(self._filled(block.text)))
            case Kind.ITEM:
                paragraphs = self.parts[-1].articles[-1].paragraphs
                paragraphs[-1] = Paragraph(paragraphs[-1].text, (*paragraphs[-1].items, self._filled(block.text)))
            case Kind.DIRECTIVE:
                self._insert(block)

    def _add_article(self, title: str, paragraphs: list[Paragraph]) -> None:
        self.articles += 1
        self.parts[-1].articles.append(Article(self.articles, title, paragraphs))

    def _filled(self, text: str) -> str:
        until = self.agreement.valid_until
        return text.format(
            this=describe_form(self.form, self.language),
            city=self.city.name,
            active_from=format_day(self.agreement.active_from.date(), self.language),
            valid_until=format_day(until, self.language) if until else "...",
        )

    def _insert(self, block: Block) -> None:
        _ = translator(self.language)
        match block.text:
            case "duties":
                self._add_article(_("Tasks of the Parties"), duty_paragraphs(self.agreement, self.city, self.language))
            case "implications":
                self._add_article(_("Inferred Violence"), implication_paragraphs(self.language))
            case "hours":
                self._add_article(_("Hours and Holidays"), hour_paragraphs(self.agreement, self.city, self.language))
            case _rules:
                chapters = {chapter.id: chapter for chapter in self.agreement.chapters}
                for name in block.arguments:
                    clauses = [clause for clause in self.agreement.clauses if clause.chapter == name]
                    title = chapters[name].title.in_language(self.language)
                    self._add_article(title, [Paragraph("", clause=clause) for clause in clauses])


def read_parts(
    folder: Path, agreement: Agreement, city: City, language: str, form: str
) -> tuple[Sequence[Part], Numbering]:
    """The parts of the document with their clauses as sentences; raises AgreementInvalid where the text is missing."""
    findings: list[Finding] = []
    blocks = read_blocks(folder, ARTICLES, language, findings)
    if findings:
        raise AgreementInvalid(findings)
    builder = _Builder(agreement, city, language, form)
    for block in (block for block in blocks if block.form in ("", form)):
        builder.add(block)
    numbering = _number(builder.parts)
    for part in builder.parts:
        for article in part.articles:
            article.paragraphs[:] = [_written(p, agreement, numbering, language) for p in article.paragraphs]
    return builder.parts, numbering


def describe_form(form: str, language: str) -> str:
    """How the text speaks of the document itself."""
    _ = translator(language)
    return _("this decree") if form == "decree" else _("this agreement")


def _number(parts: Iterable[Part]) -> Numbering:
    found = {}
    for article in (article for part in parts for article in part.articles):
        is_single = len(article.paragraphs) == 1
        for number, paragraph in enumerate(article.paragraphs, 1):
            if paragraph.clause:
                found[paragraph.clause.id] = (article.number, 0 if is_single else number)
    return Numbering(found)


def _written(paragraph: Paragraph, agreement: Agreement, numbering: Numbering, language: str) -> Paragraph:
    clause = paragraph.clause
    if clause is None:
        return paragraph
    winners = [other.id for other in agreement.clauses if clause.id in other.overrides]
    exceptions = numbering.describe(winners, language) if winners else ""
    text = clause_sentence(clause, agreement, language, exceptions)
    return Paragraph(f"{text} {_validity(clause, language)}".strip(), clause=clause)


def _validity(clause: Clause, language: str) -> str:
    """The days on which a clause is valid, where they differ from those of the agreement."""
    _ = translator(language)
    first, last = (day and format_day(day, language) for day in (clause.valid_from, clause.valid_until))
    if first and last:
        return _("This is valid from {first} and until the day before {last}.").format(first=first, last=last)
    if first:
        return _("This is valid from {first}.").format(first=first)
    return _("This is valid until the day before {last}.").format(last=last) if last else ""
