"""Groups what is published: what one cause changes in one referral in the same way is one event."""

from collections.abc import Hashable
from dataclasses import replace

from simpul_routing.domain.published import (
    ClockStepTaken,
    DeadlineMet,
    Pending,
    Published,
    ReferralAmended,
    ReferralOffered,
    ServicesChanged,
)


def add_pending(pending: list[Pending], new: Pending) -> None:
    """Adds something to publish, as one event with what the same cause already changed in the same way.

    The event takes the later place, because it shows the referral as it is then. Only an offer keeps its place: it is
    the first event of its referral. So it takes nothing more once an amendment for another cause follows it.
    """
    way = _way_of(new.content)
    for index, earlier in enumerate(pending if way else ()):
        if earlier.cause == new.cause and _way_of(earlier.content) == way:
            grouped = replace(new, content=_combine(earlier.content, new.content))
            is_offer = isinstance(grouped.content, ReferralOffered)
            if is_offer and any(_is_amendment(one.content, way) for one in pending[index + 1 :]):
                continue
            pending[index:] = [grouped, *pending[index + 1 :]] if is_offer else [*pending[index + 1 :], grouped]
            return
    pending.append(new)


def _is_amendment(content: Published, way: Hashable) -> bool:
    return isinstance(content, ReferralAmended) and _way_of(content) == way


def _way_of(content: Published) -> Hashable:
    """Returns in which way which referral changes; None for what is never grouped."""
    match content:
        case ReferralOffered() | ReferralAmended():
            return (content.referral.referral_id,)
        case ServicesChanged():
            return content.referral.referral_id, content.change, content.informs_agency
        case ClockStepTaken():
            return (
                content.referral.referral_id,
                content.clock,
                content.step,
                content.due_at,
                content.targets,
                content.informs_agency,
                content.reason,
            )
        case DeadlineMet():
            return content.referral.referral_id, content.clock
        case _:
            return None


def _combine(earlier: Published, later: Published) -> Published:
    match earlier, later:
        case ((ReferralOffered() | ReferralAmended()), ReferralAmended()):
            added = (*earlier.added, *later.added)
            return replace(earlier, referral=later.referral, facts=later.facts, added=added)
        case ServicesChanged(), ServicesChanged():
            replacements = {**earlier.replacements, **later.replacements}
            return replace(later, services=(*earlier.services, *later.services), replacements=replacements)
        case ClockStepTaken(), ClockStepTaken():
            return replace(later, services=(*earlier.services, *later.services))
        case DeadlineMet(), DeadlineMet():
            return replace(later, services=(*earlier.services, *later.services))
        case _:
            return later
