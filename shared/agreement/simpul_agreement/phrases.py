"""Describes clauses, facts and values in plain language, from the data that is executed, so the two cannot differ."""

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
    LEVEL_ABOVE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    BilingualText,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    EscalationLevel,
    Mediation,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Source,
    SuspectServedBy,
    UrgencyIs,
    Within,
)
from simpul_schema.vocabulary import AgeBand, Answer, Place, Relation, Term, Urgency, Violence

FACT_LABELS: Final[Mapping[str, BilingualText]] = MappingProxyType(
    {
        "violence": BilingualText("bentuk kekerasan", "kind of violence"),
        "perpetrator_is_child": BilingualText("terduga pelaku masih anak", "the suspect is a child"),
        "perpetrator_lives_with_child": BilingualText(
            "terduga pelaku serumah dengan anak", "the suspect lives with the child"
        ),
        "safe_now": BilingualText("anak aman sekarang", "the child is safe now"),
        "injured": BilingualText("anak terluka", "the child is injured"),
        "sexual_under_72h": BilingualText(
            "kekerasan seksual terjadi kurang dari 72 jam lalu", "sexual violence happened under 72 hours ago"
        ),
        "suicidal_sign": BilingualText("ada tanda ingin bunuh diri", "there is a suicidal sign"),
        "pregnant": BilingualText("anak hamil", "the child is pregnant"),
        "disability_need": BilingualText("ada kebutuhan karena disabilitas", "there is a need because of a disability"),
        "in_school": BilingualText("anak masih bersekolah", "the child still goes to school"),
        "place": BilingualText("tempat kejadian", "place"),
        "age_band": BilingualText("umur anak", "age of the child"),
        "perpetrator_relation": BilingualText(
            "hubungan terduga pelaku dengan anak", "relation of the suspect to the child"
        ),
        "residence": BilingualText("tempat tinggal anak", "home of the child"),
        "complaint_centre": BilingualText("tempat pengaduan", "complaint centre"),
        "excluded": BilingualText("pihak yang dekat dengan terduga pelaku", "party close to the suspect"),
        "time_of_report": BilingualText("waktu laporan", "time of the report"),
        "urgency": BilingualText("tingkat kegentingan", "urgency"),
    }
)
_TERMS: Final[Mapping[str, type[Term]]] = MappingProxyType({
    "violence": Violence, "place": Place, "age_band": AgeBand, "perpetrator_relation": Relation,
    "residence": Residence, "complaint_centre": AgencyKind, "excluded": AgencyKind, "time_of_report": TimeBand,
    "urgency": Urgency,
})  # fmt: skip
_SELECTOR_LABELS: Final[Mapping[str, BilingualText]] = MappingProxyType(
    {
        SATGAS_OF_RESIDENCE: BilingualText(
            "satgas PPA kelurahan tempat tinggal anak", "the task force of the child's kelurahan"
        ),
        KECAMATAN_OF_RESIDENCE: BilingualText(
            "satgas PPA kecamatan tempat tinggal anak", "the task force of the child's kecamatan"
        ),
        COMPLAINT_CENTRE: BilingualText(
            "tempat pengaduan yang menerima laporan", "the complaint centre that took the report"
        ),
        ADDRESSEE: BilingualText("instansi yang dituju", "the addressed agency"),
        LEVEL_ABOVE: BilingualText("jenjang di atasnya", "the next escalation level"),
    }
)
_NOT_KNOWN: Final = BilingualText("belum diketahui", "not known")
_NOBODY: Final = BilingualText("tidak ada", "nobody")


def describe_value(fact: str, value: str, language: str) -> str:
    """The label of one value of a fact."""
    if fact == EXCLUDED.name and value == NONE:
        return _NOBODY.in_language(language)
    if fact == CENTRE.name and value == UNKNOWN:
        return _NOT_KNOWN.in_language(language)
    return _without_capital(_TERMS.get(fact, Answer)(value).label(language))


_PROPER: Final = ("Unit PPA", "Peksos", "Satgas")


def _without_capital(label: str) -> str:
    """The label in lower case inside a sentence; abbreviations and names such as `UPT PPA` keep their capitals."""
    first = label.split(" ", maxsplit=1)[0]
    if first.isupper() and len(first) > 4:
        return label.lower()
    if first.isupper() or label.startswith(_PROPER):
        return label
    return label[0].lower() + label[1:]


def join_alternatives(texts: Iterable[str], language: str, *, last: BilingualText) -> str:
    """Joins texts as `a`, `a or b` or `a, b or c`."""
    items = list(texts)
    joined = last.in_language(language)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joined} {items[-1]}"


SCENARIOS: Final = BilingualText("skenario versi {version}", "scenarios of {version}")
REPORTS: Final = BilingualText("laporan dari berkas", "reports of the file")
OR: Final = BilingualText("atau", "or")
AND: Final = BilingualText("dan", "and")


def describe_condition(condition: Condition, language: str) -> str:
    """A condition in plain language."""
    order = {value: number for number, value in enumerate(
        next(fact.values for fact in (*FACTS, URGENCY) if fact.name == condition.fact)
    )}  # fmt: skip

    def values(of: frozenset[str]) -> str:
        shown = [describe_value(condition.fact, value, language) for value in sorted(of, key=order.__getitem__)]
        return join_alternatives(shown, language, last=OR)

    parts = []
    if condition.any_of:
        parts.append(values(condition.any_of))
    if condition.none_of:
        parts.append(("bukan " if language == "id" else "not ") + values(condition.none_of))
    return f"{FACT_LABELS[condition.fact].in_language(language)}: {', '.join(parts)}"


def describe_implication(implication: Implication, facts: str, language: str) -> str:
    """The kind of violence that the facts imply, with the source of the rule."""
    label = FACT_LABELS[VIOLENCE.name].in_language(language)
    kind = describe_value(VIOLENCE.name, implication.kind.value, language)
    implied = "disimpulkan dari" if language == "id" else "implied by"
    return f"{label}: {kind}, {implied} {facts} [{describe_source(implication.source, language)}]"


def describe_party(agreement: Agreement, selector: str, language: str) -> str:
    """The name of a party, or the description of a selector."""
    if selector in _SELECTOR_LABELS:
        return _SELECTOR_LABELS[selector].in_language(language)
    party = agreement.party_of.get(selector)
    # A misspelled party has a finding of its own; here it is shown as written.
    return party.name.in_language(language) if party else selector


def describe_duration(within: Within, language: str) -> str:
    """A length of time in plain language."""
    if within.working_days:
        return f"{within.working_days} " + ("hari kerja" if language == "id" else "working days")
    minutes = int(within.time.total_seconds()) // 60
    if minutes % 1440 == 0 and minutes <= 3 * 1440:
        # Indonesian law states short periods as n x 24 hours, which excludes working days.
        return f"{minutes // 1440} x 24 " + ("jam" if language == "id" else "hours")
    size, unit = next(
        (size, unit.in_language(language)) for size, unit in _UNITS if minutes % size == 0 and minutes >= size
    )
    count = minutes // size
    return f"{count} {unit.removesuffix('s') if count == 1 and language == 'en' else unit}"


_UNITS: Final = (
    (1440, BilingualText("hari", "days")),
    (60, BilingualText("jam", "hours")),
    (1, BilingualText("menit", "minutes")),
)


def describe_effect(  # noqa: C901, PLR0911, PLR0912 - one branch for each kind of effect
    clause: Clause, agreement: Agreement, language: str
) -> str:
    """The effect of a clause in plain language."""
    indonesian = language == "id"

    def parties(selectors: Iterable[str], last: BilingualText) -> str:
        return join_alternatives(
            [describe_party(agreement, selector, language) for selector in selectors], language, last=last
        )

    match clause.effect:
        case ServiceNeeded(service=service, lead=lead, support=support):
            text = f"{service.label(language)} " + ("dipimpin oleh " if indonesian else "is led by ")
            text += describe_party(agreement, lead[0], language)
            if lead[1:]:
                text += (" (bila tidak dapat: " if indonesian else " (where it cannot: ") + parties(lead[1:], OR) + ")"
            if support:
                text += (", didukung oleh " if indonesian else ", supported by ") + parties(support, AND)
            return text
        case RightNotNeeded(right=right, reason=reason):
            return (f"hak atas {right.label('id').lower()} belum memerlukan layanan: {reason.id}" if indonesian
                    else f"the right to {right.label('en').lower()} needs no service yet: {reason.en}")  # fmt: skip
        case UrgencyIs(urgency=urgency):
            return ("kegentingan " if indonesian else "urgency is ") + urgency.label(language).lower()
        case ClockRuns(clock=clock, within=within, service=service, since=since):
            text = f"{clock.label(language)}: " + ("paling lambat " if indonesian else "within ")
            text += describe_duration(within, language) + (f" {since.in_language(language)}" if since else "")
            return text if service is None else f"{text} ({service.label(language)})"
        case Mediation(is_locked=is_locked):
            if is_locked:
                return "mediasi dilarang" if indonesian else "mediation is forbidden"
            return "mediasi tidak dilarang" if indonesian else "mediation is not forbidden"
        case BasisIs(basis=basis):
            text = "identitas dibuka atas dasar " if indonesian else "identity is disclosed on the basis of "
            return text + _without_capital(basis.label(language))
        case Disclosure(service=service, sections=sections):
            shown = [section.label(language).lower() for section in Section if section in sections]
            nothing = "tidak ada" if indonesian else "nothing"
            opened = join_alternatives(shown, language, last=AND) if shown else nothing
            return f"{service.label(language)}: " + ("yang dibuka " if indonesian else "disclosed: ") + opened
        case EscalationLevel(step=step, to=to, also=also):
            informed = describe_party(agreement, to[0], language)
            if to[1:]:
                informed += (
                    (" (bila tidak dapat: " if indonesian else " (where it cannot be: ") + parties(to[1:], OR) + ")"
                )
            informed += f" {AND.in_language(language)} {parties(also, AND)}" if also else ""
            return (f"pada {step.value} % tenggat diberitahukan kepada {informed}" if indonesian
                    else f"at {step.value} % of the deadline {informed} is informed")  # fmt: skip
        case Retention(section=section, years=years):
            return (f"{section.label('id')} disimpan {years} tahun setelah kasus ditutup" if indonesian
                    else f"{section.label('en')} is kept for {years} years after the case ended")  # fmt: skip
        case SuspectServedBy(lead=lead):
            return (f"anak terduga pelaku didampingi {parties(lead, OR)}" if indonesian
                    else f"the child who is the suspect is accompanied by {parties(lead, OR)}")  # fmt: skip


def clause_sentence(clause: Clause, agreement: Agreement, language: str) -> str:
    """A clause as one sentence."""
    effect = describe_effect(clause, agreement, language)
    if not clause.when:
        return f"{effect[0].upper()}{effect[1:]}."
    conditions = "; ".join(describe_condition(condition, language) for condition in clause.when)
    return f"Bila {conditions}, maka {effect}." if language == "id" else f"If {conditions}, then {effect}."


def describe_source(source: Source, language: str) -> str:
    """The source of a rule and how reliable it is."""
    article = f", {'pasal' if language == 'id' else 'art.'} {source.article}" if source.article else ""
    read = f", {'dibaca' if language == 'id' else 'read'} {source.read:%d-%m-%Y}" if source.read else ""
    return f"{source.title}{article}{read} ({source.status.label(language)})"


def example_report(situation: Situation) -> str:
    """A situation as the YAML of an example report; facts with their default are omitted."""
    lines = []
    for fact in FACTS:
        values = situation[fact.name]
        if fact is VIOLENCE:
            lines.append(f"{fact.name}: {'+'.join(value for value in fact.values if value in values)}")
        elif values != NOTHING_KNOWN[fact.name]:
            lines.append(f"{fact.name}: {next(iter(values))}")
    return "\n".join(lines)
