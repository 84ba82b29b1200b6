"""Clauses, facts and values as people read them. The words are made from what is executed, so the two cannot differ."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from simpul_agreement.facts import (
    CENTRE,
    EXCLUDED,
    FACTS,
    NONE,
    NOTHING_KNOWN,
    UNKNOWN,
    URGENCY,
    VIOLENCE,
    AgencyKind,
    Residence,
    Situation,
    TimeBand,
)
from simpul_agreement.implications import Implication
from simpul_agreement.model import (
    ADDRESSEE,
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    RUNG_ABOVE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    Mediation,
    Retention,
    RightNotNeeded,
    Rung,
    Section,
    ServiceNeeded,
    Source,
    SuspectServedBy,
    UrgencyIs,
    Within,
    Words,
)
from simpul_schema.vocabulary import AgeBand, Answer, Place, Relation, Term, Urgency, Violence

FACT_WORDS: Final[Mapping[str, Words]] = MappingProxyType({
    "violence": Words("bentuk kekerasan", "kind of violence"),
    "perpetrator_is_child": Words("terduga pelaku masih anak", "the suspect is a child"),
    "perpetrator_lives_with_child": Words("terduga pelaku serumah dengan anak", "the suspect lives with the child"),
    "safe_now": Words("anak aman sekarang", "the child is safe now"),
    "injured": Words("anak terluka", "the child is injured"),
    "sexual_under_72h": Words(
        "kekerasan seksual terjadi kurang dari 72 jam lalu", "sexual violence happened under 72 hours ago"
    ),
    "suicidal_sign": Words("ada tanda ingin bunuh diri", "there is a suicidal sign"),
    "pregnant": Words("anak hamil", "the child is pregnant"),
    "disability_need": Words("ada kebutuhan karena disabilitas", "there is a need because of a disability"),
    "in_school": Words("anak masih bersekolah", "the child still goes to school"),
    "place": Words("tempat kejadian", "place"),
    "age_band": Words("umur anak", "age of the child"),
    "perpetrator_relation": Words("hubungan terduga pelaku dengan anak", "relation of the suspect to the child"),
    "residence": Words("tempat tinggal anak", "home of the child"),
    "complaint_centre": Words("tempat pengaduan", "complaint centre"),
    "excluded": Words("pihak yang dekat dengan terduga pelaku", "party close to the suspect"),
    "time_of_report": Words("waktu laporan", "time of the report"),
    "urgency": Words("tingkat kegentingan", "urgency"),
})  # fmt: skip
_TERMS: Final[Mapping[str, type[Term]]] = MappingProxyType({
    "violence": Violence, "place": Place, "age_band": AgeBand, "perpetrator_relation": Relation,
    "residence": Residence, "complaint_centre": AgencyKind, "excluded": AgencyKind, "time_of_report": TimeBand,
    "urgency": Urgency,
})  # fmt: skip
_SELECTOR_WORDS: Final[Mapping[str, Words]] = MappingProxyType({
    SATGAS_OF_RESIDENCE: Words(
        "satgas PPA kelurahan tempat tinggal anak", "the task force of the child's kelurahan"
    ),
    KECAMATAN_OF_RESIDENCE: Words(
        "satgas PPA kecamatan tempat tinggal anak", "the task force of the child's kecamatan"
    ),
    COMPLAINT_CENTRE: Words("tempat pengaduan yang menerima laporan", "the complaint centre that took the report"),
    ADDRESSEE: Words("instansi yang dituju", "the addressed agency"),
    RUNG_ABOVE: Words("jenjang di atasnya", "the rung above"),
})  # fmt: skip
_NOT_KNOWN: Final = Words("belum diketahui", "not known")
_NOBODY: Final = Words("tidak ada", "nobody")


def value_words(fact: str, value: str, language: str) -> str:
    """One value of a fact."""
    if fact == EXCLUDED.name and value == NONE:
        return _NOBODY.of(language)
    if fact == CENTRE.name and value == UNKNOWN:
        return _NOT_KNOWN.of(language)
    return _lower(_TERMS.get(fact, Answer)(value).label(language))


_PROPER: Final = ("Unit PPA", "Peksos", "Satgas")


def _lower(words: str) -> str:
    """Without the capital of a label: `Rumah tangga` and `TINGGI` lose it, `UPT PPA` and names keep theirs."""
    first = words.split(" ", maxsplit=1)[0]
    if first.isupper() and len(first) > 4:
        return words.lower()
    if first.isupper() or words.startswith(_PROPER):
        return words
    return words[0].lower() + words[1:]


def listing(words: Iterable[str], language: str, *, last: Words) -> str:
    """`a`, `a or b`, `a, b or c`."""
    items = list(words)
    joined = last.of(language)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joined} {items[-1]}"


OR: Final = Words("atau", "or")
AND: Final = Words("dan", "and")


def condition_words(condition: Condition, language: str) -> str:
    """One condition of a clause."""
    order = {value: number for number, value in enumerate(
        next(fact.values for fact in (*FACTS, URGENCY) if fact.name == condition.fact)
    )}  # fmt: skip

    def values(of: frozenset[str]) -> str:
        shown = [value_words(condition.fact, value, language) for value in sorted(of, key=order.__getitem__)]
        return listing(shown, language, last=OR)

    parts = []
    if condition.any_of:
        parts.append(values(condition.any_of))
    if condition.none_of:
        parts.append(("bukan " if language == "id" else "not ") + values(condition.none_of))
    return f"{FACT_WORDS[condition.fact].of(language)}: {', '.join(parts)}"


def implication_words(implication: Implication, facts: str, language: str) -> str:
    """Which kind of violence the facts imply, and by which rule."""
    kind = f"{FACT_WORDS[VIOLENCE.name].of(language)}: {value_words(VIOLENCE.name, implication.kind.value, language)}"
    implied = "disimpulkan dari" if language == "id" else "implied by"
    return f"{kind}, {implied} {facts} [{source_words(implication.source, language)}]"


def party_words(agreement: Agreement, selector: str, language: str) -> str:
    """A party, or who a selector stands for."""
    if selector in _SELECTOR_WORDS:
        return _SELECTOR_WORDS[selector].of(language)
    party = agreement.party_of.get(selector)
    # A misspelled party is a finding of its own; here it stands as it was written.
    return party.name.of(language) if party else selector


def within_words(within: Within, language: str) -> str:
    """A length of time."""
    if within.working_days:
        return f"{within.working_days} " + ("hari kerja" if language == "id" else "working days")
    minutes = int(within.time.total_seconds()) // 60
    if minutes % 1440 == 0 and minutes <= 3 * 1440:
        # As Indonesian law counts short periods, so that nobody takes them for working days.
        return f"{minutes // 1440} x 24 " + ("jam" if language == "id" else "hours")
    size, unit = next((size, words.of(language)) for size, words in _UNITS if minutes % size == 0 and minutes >= size)
    count = minutes // size
    return f"{count} {unit.removesuffix('s') if count == 1 and language == 'en' else unit}"


_UNITS: Final = ((1440, Words("hari", "days")), (60, Words("jam", "hours")), (1, Words("menit", "minutes")))


def effect_words(  # noqa: C901, PLR0911, PLR0912 - one branch for each kind of effect
    clause: Clause, agreement: Agreement, language: str
) -> str:
    """What follows when a clause applies."""
    indonesian = language == "id"

    def parties(selectors: Iterable[str], last: Words) -> str:
        return listing([party_words(agreement, selector, language) for selector in selectors], language, last=last)

    match clause.effect:
        case ServiceNeeded(service=service, lead=lead, support=support):
            said = f"{service.label(language)} " + ("dipimpin oleh " if indonesian else "is led by ")
            said += party_words(agreement, lead[0], language)
            if lead[1:]:
                said += (" (bila tidak dapat: " if indonesian else " (where it cannot: ") + parties(lead[1:], OR) + ")"
            if support:
                said += (", didukung oleh " if indonesian else ", supported by ") + parties(support, AND)
            return said
        case RightNotNeeded(right=right, reason=reason):
            return (f"hak atas {right.label('id').lower()} belum memerlukan layanan: {reason.id}" if indonesian
                    else f"the right to {right.label('en').lower()} asks for no service yet: {reason.en}")  # fmt: skip
        case UrgencyIs(urgency=urgency):
            return ("kegentingan " if indonesian else "urgency is ") + urgency.label(language).lower()
        case ClockRuns(clock=clock, within=within, service=service, since=since):
            said = f"{clock.label(language)}: " + ("paling lambat " if indonesian else "within ")
            said += within_words(within, language) + (f" {since.of(language)}" if since else "")
            return said if service is None else f"{said} ({service.label(language)})"
        case Mediation(is_locked=is_locked):
            if is_locked:
                return "mediasi dilarang" if indonesian else "mediation is forbidden"
            return "mediasi tidak dilarang" if indonesian else "mediation is not forbidden"
        case BasisIs(basis=basis):
            said = "identitas dibuka atas dasar " if indonesian else "identity is disclosed on the basis of "
            return said + _lower(basis.label(language))
        case Disclosure(service=service, sections=sections):
            shown = [section.label(language).lower() for section in Section if section in sections]
            nothing = "tidak ada" if indonesian else "nothing"
            opened = listing(shown, language, last=AND) if shown else nothing
            return f"{service.label(language)}: " + ("yang dibuka " if indonesian else "disclosed: ") + opened
        case Rung(step=step, to=to, also=also):
            told = party_words(agreement, to[0], language)
            if to[1:]:
                told += (" (bila tidak dapat: " if indonesian else " (where it cannot be: ") + parties(to[1:], OR) + ")"
            told += f" {AND.of(language)} {parties(also, AND)}" if also else ""
            return (f"pada {step.value} % tenggat diberitahukan kepada {told}" if indonesian
                    else f"at {step.value} % of the deadline this is told to {told}")  # fmt: skip
        case Retention(section=section, years=years):
            return (f"{section.label('id')} disimpan {years} tahun setelah kasus ditutup" if indonesian
                    else f"{section.label('en')} is kept for {years} years after the case ended")  # fmt: skip
        case SuspectServedBy(lead=lead):
            return (f"anak terduga pelaku didampingi {parties(lead, OR)}" if indonesian
                    else f"the child who is the suspect is accompanied by {parties(lead, OR)}")  # fmt: skip


def sentence(clause: Clause, agreement: Agreement, language: str) -> str:
    """A clause as one sentence."""
    effect = effect_words(clause, agreement, language)
    if not clause.when:
        return f"{effect[0].upper()}{effect[1:]}."
    conditions = "; ".join(condition_words(condition, language) for condition in clause.when)
    return f"Bila {conditions}, maka {effect}." if language == "id" else f"If {conditions}, then {effect}."


def source_words(source: Source, language: str) -> str:
    """Where a rule comes from, and how sure that is."""
    article = f", {'pasal' if language == 'id' else 'art.'} {source.article}" if source.article else ""
    read = f", {'dibaca' if language == 'id' else 'read'} {source.read:%d-%m-%Y}" if source.read else ""
    return f"{source.title}{article}{read} ({source.status.label(language)})"


def report_of(situation: Situation) -> str:
    """A situation as the report of an example: YAML, what is not known left out."""
    lines = []
    for fact in FACTS:
        values = situation[fact.name]
        if fact is VIOLENCE:
            lines.append(f"{fact.name}: {'+'.join(value for value in fact.values if value in values)}")
        elif values != NOTHING_KNOWN[fact.name]:
            lines.append(f"{fact.name}: {next(iter(values))}")
    return "\n".join(lines)
