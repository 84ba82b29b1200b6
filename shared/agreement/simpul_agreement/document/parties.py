"""The parties that sign, in their order, and the name by which the text calls each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simpul_agreement.languages import join_all, translator
from simpul_agreement.model import KECAMATAN_OF_RESIDENCE, SATGAS_OF_RESIDENCE, Agreement, Party
from simpul_agreement.versions import signatories
from simpul_city import City
from simpul_schema.translations import gettext_noop

BLANK: Final = "........................................"
"""A line to fill in by hand."""
_ORDINALS: Final = (
    gettext_noop("FIRST PARTY"),
    gettext_noop("SECOND PARTY"),
    gettext_noop("THIRD PARTY"),
    gettext_noop("FOURTH PARTY"),
    gettext_noop("FIFTH PARTY"),
    gettext_noop("SIXTH PARTY"),
    gettext_noop("SEVENTH PARTY"),
    gettext_noop("EIGHTH PARTY"),
    gettext_noop("NINTH PARTY"),
    gettext_noop("TENTH PARTY"),
)


@dataclass(frozen=True, slots=True)
class SigningParty:
    """One agency that signs."""

    called: str
    """The name by which the text calls it, such as `PIHAK KESATU`."""
    party: Party
    name: str
    entity: str
    """The legal entity for which the person signs."""
    person: str
    office: str
    authority: str
    address: str


def signing_parties(agreement: Agreement, city: City, language: str) -> Sequence[SigningParty]:
    """The agencies that sign, each agency of a group by its own name."""
    names = {agency.code: agency.name for agency in city.agencies}
    found = []
    for number, code in enumerate(signatories(agreement, city)):
        party = _party_of(code, agreement, city)
        signatory = party.signatory
        is_group = code != party.code
        name = names[code] if is_group else party.name.in_language(language)
        found.append(
            SigningParty(
                called=_called(number, language),
                party=party,
                name=name,
                entity=signatory.entity.in_language(language) if signatory and not is_group else name,
                person=signatory.person if signatory else "",
                office=signatory.office.in_language(language) if signatory else "",
                authority=signatory.authority.in_language(language) if signatory else "",
                address=signatory.address if signatory else "",
            )
        )
    return found


def _called(number: int, language: str) -> str:
    _ = translator(language)
    if number < len(_ORDINALS):
        return _(_ORDINALS[number])
    return _("PARTY {number}").format(number=number + 1)


def _party_of(code: str, agreement: Agreement, city: City) -> Party:
    groups = {ward.satgas: SATGAS_OF_RESIDENCE for ward in city.kelurahan}
    groups |= {ward.satgas_kecamatan: KECAMATAN_OF_RESIDENCE for ward in city.kelurahan}
    return agreement.party_of[groups.get(code, code)]


def called_in_text(party: Party, signing: Sequence[SigningParty], language: str) -> str:
    """The party's name with the name by which the text calls it, where it signs."""
    called = [signer.called for signer in signing if signer.party is party]
    name = party.name.in_language(language)
    return f"{join_all(called, language)} ({name})" if called else name
