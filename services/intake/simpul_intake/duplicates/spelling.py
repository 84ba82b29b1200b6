"""Reduces Indonesian names to forms that agree however a name was written.

The spelling before 1972 wrote oe, dj, tj, sj, nj and j for u, j, c, sy, ny and y. Arabic and Javanese names have no
fixed spelling at all: Choirul and Khoirul, Rizki and Risky, Syarifah and Sharifa, Prasetya and Prasetyo.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_PARTS: Final = 5
"""Words of a name that are compared; a sixth word proves nothing more."""
MAX_LETTERS: Final = 24
SHORT: Final = 5
"""Letters up to which a word may be a short form of a longer one."""
_CLIPS: Final = range(3, SHORT + 1)


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES: Final = _split("""
    adik almarhum almarhumah alm almh an ananda anak bapak bpk bp bu dik dr dra drs haji hajjah hj h ibu ir kh
    kiai kyai mas mbak ny nyonya nn pak r rr raden rd sdr sdri tn tuan ustad ustadz ustadzah
""")
_DEGREES: Final = _split("""
    amd amk sag se sh si sip skep sked skm skom spd spdi ssos st sth mag mh mkes mm mpd msi mt phd
""")
_OF_PARENT: Final = frozenset(("bin", "binti", "bint", "bt", "bti", "binte", "ibn", "ibnu"))
_ABBREVIATIONS: Final = {"st": "siti", "sti": "siti", "nrl": "nurul"}
_MUHAMMAD: Final = re.compile(r"md|mhd|moh|mohd|muh|muhd|moch|much|mokh|m[ou](?:h|ch|kh)h?a?m+[ae][dt]")
_ABDUL: Final = re.compile(r"abdu(?:l|([rszdn])(?=\1))?(?=\w{3})")
_ABDUL_ALONE: Final = frozenset(("abd", "abdul", "abdur", "abdus", "abduz", "abdun", "abdu"))
_SEPARATED_DEGREE: Final = re.compile(r"\b([sm])\.\s?(ag|e|h|hum|ked|kep|kes|km|kom|pd|pdi|psi|si|sos|st|t)\b\.?")

_SPELLINGS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        ("oe|oo|ou", "u"), ("dj", "j"), ("tj", "c"), ("nj", "ny"), ("ee", "i"), ("iy+(?=[aeiou])", "i"),
        ("uw+(?=[aeiou])", "u"), ("chr", "kr"), ("[ck]h", "h"), ("sy|sj|sh|ts|dz|z", "s"), ("th", "t"), ("dh|dl", "d"),
        ("bh", "b"), ("gh", "g"), ("ph|f|v", "p"), ("x", "ks"), ("q|ck", "k"), ("y(?![aeiou])", "i"),
        ("ae|ai|ei|oi", "e"), ("au|ao", "o"), ("ie", "i"), (r"(.)\1+", r"\1"), ("h$", ""), ("d$", "t"), ("b$", "p"),
        ("g$", "k"),
    )
)  # fmt: skip
_INITIALS: Final = {"f": "p", "v": "p", "q": "k", "x": "k", "z": "s"}
_SHORT_FORMS: Final = {
    "riski": ("kiki", "iki"),
    "putri": ("puput",),
    "puspita": ("pipit",),
    "muhamat": ("amat", "mamat"),
    "setiawan": ("iwan", "wawan"),
    "kurniawan": ("iwan", "wawan"),
    "hermawan": ("iwan", "wawan"),
    "siti": ("iti",),
    "dewi": ("wiwik",),
    "yohanes": ("yoyo", "hans"),
    "agustinus": ("agus",),
}
"""Short forms that are not a part of the name itself, by spelled name."""


class Rarity(IntEnum):
    """How much it means that two names share a word."""

    EVERYWHERE = 0
    """A word that thousands of children carry, such as Muhammad or Siti."""
    COMMON = 1
    RARE = 2


_EVERYWHERE: Final = _split("muhammad ahmad abdul siti nur nurul putra putri dwi tri sri eka dewi ayu adi")
_COMMON: Final = _split("""
    agus aditya aisyah akbar alfian ali amelia ananda andi andika anggraini anisa annisa ardi ari arif arya
    aulia bagas bagus bayu bima budi cahya cahyani citra dani dian diana dika dimas dina dinda dini eko fadil
    fajar farhan fatimah febri fikri firman fitri fitria galih gilang hadi hakim handayani hasan hidayah hidayat
    ibrahim ilham indah indra intan irfan jaya kartika khairul khoirul kurnia kurniawan laila lestari lia lina
    lukman maharani mahendra maulana maya mega melati nabila nadia naufal novita nugroho oktavia pertiwi
    prasetya pratama pratiwi puspita rahayu rahma rahman rahmat rahmawati ramadhan rani ratna reza rian rifki
    rina riski rizki rizky safitri salsabila santoso sari saputra saputri setiawan sinta suci surya susanti
    syahputra taufik tiara utami wahyu wahyuni wati wibowo widya wijaya wulandari yanti yoga yulia yusuf zahra
    zaki
""")


@dataclass(frozen=True, slots=True)
class NameParts:
    """The words of a child's name, and of the parent that the name itself names (bin, binti)."""

    own: tuple[str, ...]
    parent: tuple[str, ...]


def split_name(name: str) -> NameParts:
    """Splits a name into spelled words; titles and degrees are left out, abbreviations written out."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    # An apostrophe is a letter of Arabic that Indonesian leaves out: Nur'aini, Nuraini.
    plain = re.sub(r"['`\u2018\u2019\u02bc]", "", plain)
    plain = _SEPARATED_DEGREE.sub(r"\1\2", plain)
    own: list[str] = []
    parent: list[str] = []
    target = own
    for word in re.findall(r"[^\W\d_]+", plain):
        if word in _OF_PARENT:
            target = parent
        elif target or word not in _TITLES:
            target.append(word)
    while len(target) > 1 and target[-1] in _DEGREES:
        target.pop()
    return NameParts(_spell_parts(own), _spell_parts(parent))


def _spell_parts(parts: Iterable[str]) -> tuple[str, ...]:
    written = [_ABBREVIATIONS.get(word, word) for word in parts]
    if len(written) > 1 and written[0] == "m":
        # Only in front; behind another word it abbreviates any name.
        written[0] = "muhammad"
    written = ["muhammad" if _MUHAMMAD.fullmatch(word) else word for word in written]
    joined: list[str] = []
    for word in written:
        if joined and joined[-1] in _ABDUL_ALONE:
            joined[-1] = f"abdul{word}"
        else:
            joined.append(word)
    return tuple(dict.fromkeys(spelled for word in joined if (spelled := spell(word[:MAX_LETTERS]))))[:MAX_PARTS]


def spell(word: str) -> str:
    """Returns one spelling for all that are pronounced alike; an initial becomes that of the spelled name."""
    if len(word) == 1:
        return _INITIALS.get(word, word)
    word = _ABDUL.sub("abd", word)
    for pattern, replacement in _SPELLINGS:
        word = pattern.sub(replacement, word)
    return word


def skeleton(word: str) -> str:
    """Reduces a spelled word to its consonants, with one sign for a leading vowel or h."""
    first = "a" if word[:1] in "aeiouh" else ""
    consonants = re.sub("[aeiouh]", "", word.replace("y", "j").replace("ng", "n"))
    return first + re.sub(r"(.)\1+", r"\1", consonants) or "a"


def deletions(word: str) -> tuple[str, ...]:
    """Returns the word and what is left of it without one letter; words one typing error apart share one of them."""
    if len(word) < 4:
        return (word,)
    return tuple(dict.fromkeys((word, *(word[:at] + word[at + 1 :] for at in range(len(word))))))


def short_forms(word: str, letters: Iterable[int] = _CLIPS) -> tuple[str, ...]:
    """Returns the forms by which somebody with this name is called: its beginnings, its ends, usual short names."""
    clips = [clip for size in letters if size < len(word) for clip in (word[:size], word[-size:])]
    return tuple(dict.fromkeys((*clips, *_SHORT_FORMS.get(word, ()))))


def rarity(word: str) -> Rarity:
    """Returns how rare a spelled word is among names."""
    return _RARITIES.get(word, Rarity.RARE)


_RARITIES: Final = {spell(word): Rarity.COMMON for word in _COMMON} | {
    spell(word): Rarity.EVERYWHERE for word in _EVERYWHERE
}
