"""What keeps a version a draft: unverified sources, defaults of the project, and blanks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simpul_agreement.document.articles import Numbering
from simpul_agreement.document.parties import SigningParty
from simpul_agreement.implications import IMPLICATIONS
from simpul_agreement.languages import join_all, translator
from simpul_agreement.model import Agreement, Source, Status


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """One point that somebody must settle: a few words for every page, and the details for the list."""

    summary: str
    details: tuple[str, ...]


def open_points(
    agreement: Agreement,
    numbering: Numbering,
    signing: Sequence[SigningParty],
    language: str,
    *,
    is_proven: bool,
    unsigned_interim: Sequence[str] = (),
) -> list[OpenPoint]:
    """The open points of a version; a document without any is ready to sign.

    Takes in `unsigned_interim` the names of the parties that have not signed a version which the hub declared as
    interim.
    """
    _ = translator(language)
    found = []
    if unsigned_interim:
        summary = _("interim, signed by the hub alone; missing signatures: {count}")
        explained = _("The hub alone has signed. The version decides until the others sign: {parties}.")
        explained = explained.format(parties=join_all(unsigned_interim, language))
        found.append(OpenPoint(summary.format(count=len(unsigned_interim)), (explained,)))
    if not is_proven:
        found.append(OpenPoint(_("not proven"), (_("The version is not proven; run the check."),)))
    for status, summary in (
        (Status.NEEDS_A_LAWYER, _("provisions for a lawyer to check: {count}")),
        (Status.PROJECT_DEFAULT, _("provisions not set by the city: {count}")),
    ):
        count, details = _sources_with(status, agreement, numbering, language)
        if count:
            found.append(OpenPoint(summary.format(count=count), tuple(details)))
    calendar = agreement.holidays_source
    if calendar is None or calendar.status is not Status.VERIFIED:
        title = calendar.title if calendar else _("no source")
        found.append(
            OpenPoint(_("holidays not confirmed"), (_("The holidays come from: {title}.").format(title=title),))
        )
    if agreement.valid_until is None:
        found.append(OpenPoint(_("no end of validity"), (_("The agreement states no last day."),)))
    blank = [signer.called for signer in signing if not signer.person]
    if blank:
        summary = _("signatories without a name: {count}").format(count=len(blank))
        names = _("No person is named for {parties}.").format(parties=join_all(blank, language))
        found.append(OpenPoint(summary, (names,)))
    return found


def _sources_with(status: Status, agreement: Agreement, numbering: Numbering, language: str) -> tuple[int, list[str]]:
    """How many provisions have a source of the status, and those of each source."""
    describe = _describer(numbering, language)
    by_source: dict[tuple[str, str], list[str]] = {}
    for clause in agreement.clauses:
        if clause.source.status is status:
            by_source.setdefault((clause.source.title, clause.source.article), []).append(clause.id)
    details = [describe(title, article, clauses) for (title, article), clauses in by_source.items()]
    implied = [implication.source for implication in IMPLICATIONS if implication.source.status is status]
    details += _describe_implied(implied, language)
    return sum(map(len, by_source.values())) + len(implied), details


def _describer(numbering: Numbering, language: str) -> Callable[[str, str, list[str]], str]:
    _ = translator(language)

    def describe(title: str, article: str, clauses: list[str]) -> str:
        named = _("{title}, art. {article}").format(title=title, article=article) if article else title
        return f"{named}: {numbering.describe(clauses, language)}."

    return describe


def _describe_implied(sources: Sequence[Source], language: str) -> Iterator[str]:
    _ = translator(language)
    for source in sources:
        named = _("{title}, art. {article}").format(title=source.title, article=source.article)
        yield _("{source}: inferred violence.").format(source=named if source.article else source.title)
