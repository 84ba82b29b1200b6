"""Chooses the agencies for the facts of an example: the first of each kind, in the first kelurahan."""

from simpul_agreement.engine import Origin
from simpul_agreement.facts import CENTRE, EXCLUDED, NONE, RESIDENCE, UNKNOWN, AgencyKind, Area, Situation
from simpul_city import City


def origin_for(situation: Situation, city: City) -> Origin:
    """The agencies with which the engine decides a situation as the provers do."""
    ward = city.kelurahan[0]
    lives_here = Area.KELURAHAN.value in situation[RESIDENCE.name]
    return Origin(
        satgas=ward.satgas if lives_here else "",
        kecamatan=ward.satgas_kecamatan if lives_here else "",
        centre=_code(next(iter(situation[CENTRE.name])), city),
        excluded=frozenset(code for kind in situation[EXCLUDED.name] if (code := _code(kind, city))),
    )


def _code(kind: str, city: City) -> str:
    if kind in (UNKNOWN, NONE):
        return ""
    ward = city.kelurahan[0]
    of_the_ward = {AgencyKind.SATGAS_KELURAHAN: ward.satgas, AgencyKind.SATGAS_KECAMATAN: ward.satgas_kecamatan}
    return of_the_ward.get(AgencyKind(kind)) or next(a.code for a in city.agencies if a.kind == kind)
