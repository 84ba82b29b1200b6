"""Draws the way of a report through the agreement as an SVG picture; its deadlines are those of the clauses."""

from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import Final

from simpul_agreement.languages import translator
from simpul_agreement.model import Agreement, ClockName, ClockRuns, EscalationLevel
from simpul_agreement.phrases import describe_duration
from simpul_schema.vocabulary import Urgency

_WIDTH: Final = 700
_BOX: Final = 400
_SIDE: Final = 230
_LINE: Final = 17
_GAP: Final = 26
_CHARACTERS: Final = {_BOX: 60, _SIDE: 33}
_INK: Final = "#1d3b4f"


def flow_steps(agreement: Agreement, language: str) -> Sequence[tuple[str, str]]:
    """The steps in order, each with what happens where it does not succeed; empty where nothing does."""
    _ = translator(language)
    answer = _answer_times(agreement, language)
    steps = ", ".join(
        f"{clause.effect.step.value} %" for clause in agreement.clauses if isinstance(clause.effect, EscalationLevel)
    )
    return (
        (_("A complaint centre receives the report and records what is known."), ""),
        (
            _("The system infers violence from other facts and determines the urgency."),
            _("What is not known or not covered goes to manual triage."),
        ),
        (
            _("Each right of the child gets its services, each with exactly one lead."),
            _("An excluded or absent party is passed over for the next one."),
        ),
        (
            _("The agencies receive their referrals and answer within: {times}.").format(times=answer),
            _("At {steps} of a deadline the escalation levels are informed.").format(steps=steps),
        ),
        (
            _("The agency accepts; identity is disclosed as far as its service needs it."),
            _("It declines with a reason: the referral goes to the next agency."),
        ),
        (_("The service is given, and each right of the child is followed until it is fulfilled."), ""),
        (_("The case is closed; data is kept for its period and then deleted."), ""),
    )


def _answer_times(agreement: Agreement, language: str) -> str:
    """The time to answer at each urgency, from the clauses."""
    times = []
    for urgency in Urgency:
        for clause in agreement.clauses:
            match clause.effect:
                case ClockRuns(clock=ClockName.ANSWER, service=None, within=within) if any(
                    condition.fact == "urgency" and urgency.value in condition.any_of for condition in clause.when
                ):
                    times.append(f"{describe_duration(within, language)} ({urgency.label(language).lower()})")
                case _:
                    continue
    return ", ".join(times)


def draw_flow_chart(agreement: Agreement, language: str) -> str:
    """The steps as boxes from top to bottom, and to their right what happens otherwise."""
    shapes: list[str] = []
    top = 4
    steps = flow_steps(agreement, language)
    for number, (step, otherwise) in enumerate(steps, 1):
        height = max(_height(f"{number}. {step}", _BOX), _height(otherwise, _SIDE) if otherwise else 0)
        shapes += _box(0, top, _BOX, height, f"{number}. {step}", fill="#eef3f6")
        if otherwise:
            middle = top + height // 2
            shapes.append(_arrow(_BOX, middle, _WIDTH - _SIDE - 4, middle))
            shapes += _box(_WIDTH - _SIDE - 2, top, _SIDE, height, otherwise, fill="#ffffff")
        if number < len(steps):
            shapes.append(_arrow(_BOX // 2, top + height, _BOX // 2, top + height + _GAP))
        top += height + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 0 {_WIDTH + 2} {top - _GAP + 6}" '
        f'font-family="Libertinus Serif, Georgia, serif" font-size="14">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{_INK}"/></marker></defs>{"".join(shapes)}</svg>'
    )


def _height(text: str, width: int) -> int:
    return len(wrap(text, _CHARACTERS[width])) * _LINE + 18


def _box(left: int, top: int, width: int, height: int, text: str, *, fill: str) -> Iterator[str]:
    yield (f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="4" fill="{fill}" stroke="{_INK}"/>')
    for number, line in enumerate(wrap(text, _CHARACTERS[width])):
        yield f'<text x="{left + 10}" y="{top + 22 + number * _LINE}">{escape(line)}</text>'


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path d="M{x1} {y1} {x2} {y2}" stroke="{_INK}" marker-end="url(#head)" fill="none"/>'
