"""What a responder answers to a message: by the page of its link, or by SMS in the words people use."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simpul_schema.references import CodeRange, read_code


class Answer(StrEnum):
    """What a responder is going to do; it never accepts, reads or closes anything, because a sender can be forged."""

    ON_IT = "on_it"
    """TERIMA: seen, and on the way; nobody else needs to be alerted about the same."""
    NEEDS_HELP = "needs_help"
    """BANTU: seen, and others are needed as well."""
    PASSES_ON = "passes_on"
    """ALIH: somebody else must take it."""

    @property
    def is_acknowledgement(self) -> bool:
        """Whether the responder is on it."""
        return self is not Answer.PASSES_ON

    @property
    def stops_others(self) -> bool:
        """Whether others need not be alerted about the same any more."""
        return self is Answer.ON_IT


_SPELLINGS: Final = {
    Answer.ON_IT: (
        "terima trima trm terimah tarima diterima menerima siap inggih nggih njih tampa tampi accept accepted otw"
    ),
    Answer.NEEDS_HELP: "bantu bantuan bantuin mbantu dibantu tolong tulung help",
    Answer.PASSES_ON: "alih alihkan dialihkan ngalih alihno oper operkan limpah limpahkan pass",
}
_MEANINGS: Final = {word: answer for answer, spellings in _SPELLINGS.items() for word in spellings.split()}
_NEGATIONS: Final = frozenset({
    "tidak", "tdk", "tak", "gak", "ga", "gk", "ngga", "nggak", "enggak", "bukan", "belum", "blm", "jangan", "jgn",
    "ora", "ojo", "durung", "not", "no", "dont",
})  # fmt: skip
_BARE_CONSENT: Final = frozenset({"ya", "iya", "yes", "yoi", "sip", "ok", "oke", "okay"})
"""Words that begin any polite sentence; they mean `ON_IT` only where nothing else is written."""
_DOUBTS: Final = frozenset({
    "siapa", "maaf", "salah", "otomatis", "cuti", "libur", "rapat", "tapi", "tetapi", "sorry", "wrong", "but",
})  # fmt: skip
"""Words of strangers, of automatic replies and of people who are not there; with them nobody is on it."""
_THANKS: Final = re.compile(r"\bt(?:er|r)ima\s*kasih\b|\bmakasih\b", re.IGNORECASE)
_CODE: Final = re.compile(r"\br[\s-]?([0-9a-z]{6})\b", re.IGNORECASE)
_WORD: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ReadReply:
    """What a reply means: an answer, and the referral that it names, if it names one."""

    answer: Answer
    code: CodeRange | None = None


def read_reply(text: str) -> ReadReply | None:
    """Reads a reply such as `TERIMA`, `ok siap R-7K3Q2M` or `tolong bantu`; None if its meaning is not certain.

    A text with a negation, or with words of two meanings, is uncertain, except that asking for help includes the rest.
    Thanks mean nothing. A question or a doubt leaves only what calls others, because `ON_IT` stops their alerts.
    """
    written = _CODE.search(text)
    code = read_code(written[0]) if written else None
    rest = _THANKS.sub(" ", _CODE.sub(" ", text) if code else text)
    spoken = _WORD.findall(rest.lower())
    if _NEGATIONS.intersection(spoken):
        return None
    meanings = {_MEANINGS[word] for word in spoken if word in _MEANINGS}
    if Answer.PASSES_ON in meanings:
        return ReadReply(Answer.PASSES_ON, code) if meanings == {Answer.PASSES_ON} else None
    if Answer.NEEDS_HELP in meanings:
        return ReadReply(Answer.NEEDS_HELP, code)
    if "?" in rest or _DOUBTS.intersection(spoken):
        return None
    is_bare_consent = bool(spoken) and _BARE_CONSENT.issuperset(spoken)
    return ReadReply(Answer.ON_IT, code) if meanings or is_bare_consent else None
