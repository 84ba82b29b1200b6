"""Values that exist nowhere else, and a search that finds them however a sink has encoded them.

Every text of a canary contains one invented word, and every number ends in the same ten digits. The search looks for
these two only, so that it can read some hundred megabytes.
"""

import base64
import html
import random
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

DEPTH: Final = 3
"""Encodings inside one another that are undone, such as base64 inside JSON inside a hexadecimal dump."""
_LARGE: Final = 12_000_000
"""Bytes from which a decoded content is not decoded again."""
_SHOWN: Final = 24
"""Bytes shown on each side of a hit."""
_SEPARATORS: Final = b" .-()/_\t\xa0"
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{16,}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_ESCAPE: Final = re.compile(
    rb"%(?P<percent>[0-9A-Fa-f]{2})|\\{1,2}(?:u(?P<json>[0-9A-Fa-f]{4})|x(?P<octet>[0-9A-Fa-f]{2})|(?P<octal>[0-3][0-7]{2}))"
    rb"|=(?:(?P<quoted>[0-9A-F]{2})|\r?\n)"
    rb"|&(?:#(?P<decimal>[0-9]{1,6})|#[xX](?P<hexadecimal>[0-9A-Fa-f]{1,6})|(?P<named>[A-Za-z]{2,8}));"
)
"""Percent-encoding, the escapes of JSON and of programming languages, quoted-printable and HTML."""
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Canary:
    """The invented word and digits of one run."""

    word: str = field(default_factory=lambda: f"Qx{_letters(4)}\u00e9{_letters(4)}")
    digits: str = field(default_factory=lambda: str(random.randrange(10**9, 10**10)))

    def identity(self) -> dict[str, str]:
        """Returns the identity of a report; every value is a canary."""
        return {
            "child_name": f"Wulan {self.word} Paksibumi",
            "birth_date": f"sekitar panen, kata {self.word}",
            "nik": f"990101{self.digits}",
            "address": f"Jalan {self.word} 7, RT 03",
            "guardian_name": f"Bu {self.word.upper()}",
            "guardian_phone": f"+62 800-{self.digits[:4]}-{self.digits[4:]}",
            "safe_contact": f"{self.word}.bibi@contoh.example / 0800{self.digits}",
            "safe_hours": f"hanya saat {self.word} bekerja",
            "school": f"SDN {self.word} 2",
        }

    def narrative(self) -> dict[str, str]:
        """Returns the narrative of a report."""
        return {
            "chronology": f"Tetangga mendengar {self.word} menangis. (0800) {self.digits[:3]} {self.digits[3:]}.",
            "perpetrator_description": f"Pak {self.word}, baju merah, NIK 990102{self.digits}",
        }

    @property
    def sentence(self) -> str:
        """A free text, such as a reason."""
        return f"keluarga {self.word}, 0800{self.digits}"

    @property
    def ascii_word(self) -> str:
        """The word where only ASCII is possible, such as in a header."""
        return _without_accents(self.word)

    def search(self, content: bytes) -> list[str]:
        """Describes where the content holds the canary, and in which encoding; empty when it holds none."""
        return search(content, self)

    def find(self, content: bytes) -> Iterator[str]:
        """Yields what surrounds the canary where the content holds it without any encoding."""
        folded = content.lower()
        for needle in self._writings():
            if (position := folded.find(needle)) >= 0:
                yield _show(content, position, len(needle))
        # A separator may stand between any two digits.
        bare = folded.translate(None, _SEPARATORS)
        for needle in self._numbers():
            if (position := bare.find(needle)) >= 0:
                yield _show(bare, position, len(needle))

    def _writings(self) -> set[bytes]:
        """Returns the word in every writing, folded as `bytes.lower` folds."""
        cases = (self.word, self.word.upper())
        composed = {unicodedata.normalize(form, case).encode().lower() for form in ("NFC", "NFD") for case in cases}
        return composed | {case.encode("latin-1").lower() for case in cases} | {self.ascii_word.lower().encode()}

    def _numbers(self) -> set[bytes]:
        """Returns the digits, and the telephone number with swapped half octets as in the PDU of an SMS."""
        international = f"62800{self.digits}"
        swapped = swap_half_octets(international)
        return {
            self.digits.encode(),
            swapped.lower().encode(),
            bytes.fromhex(swapped).translate(None, _SEPARATORS).lower(),
        }


def search(content: bytes, *canaries: Canary) -> list[str]:
    """Searches for several canaries, undoing each encoding once."""
    shortest: dict[str, str] = {}
    for encoding, decoded in _decodings(content, DEPTH):
        for shown in (shown for canary in canaries for shown in canary.find(decoded)):
            shortest[shown] = min(encoding, shortest.get(shown, encoding), key=len)
    return sorted(f"{encoding}: {shown}" for shown, encoding in shortest.items())


def _decodings(content: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    yield "as written", content
    if not depth:
        return
    for encoding, decode in _DECODERS.items():
        decoded = decode(content)
        if decoded and decoded != content:
            further = depth - 1 if len(decoded) < _LARGE else 0
            yield from ((f"{encoding}, {inner}", one) for inner, one in _decodings(decoded, further))


def _letters(count: int) -> str:
    # Without vowels, so that chance makes no real word.
    return "".join(random.choices("bdfghjkmnprstvwz", k=count))


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _show(content: bytes, position: int, length: int) -> str:
    return ascii(content[max(0, position - _SHOWN) : position + length + _SHOWN])


def _code_point(digits: bytes, base: int = 16) -> bytes:
    number = int(digits, base)
    return chr(number).encode(errors="replace") if number < 0x110000 else b""


def _hexadecimal_runs(content: bytes) -> bytes:
    """Decodes every run at both of its alignments."""
    runs = [run.decode() for run in _HEXADECIMAL.findall(content)]
    aligned = (part[: len(part) // 2 * 2] for run in runs for part in (run, run[1:]))
    return b"\n".join(map(bytes.fromhex, aligned))


def _base64_runs(content: bytes) -> bytes:
    """Decodes every run at each of its four alignments, because a run may begin before the encoded text."""
    unbroken = content.replace(b"\r\n", b"").replace(b"=\n", b"").translate(_URLSAFE)
    decoded = []
    for run in _BASE64.findall(unbroken):
        # Identifiers and words are of one case; base64 of this length never is.
        if run.islower() or run.isupper():
            continue
        for offset in range(4):
            part = run[offset:]
            decoded.append(base64.b64decode(part[: len(part) // 4 * 4] + _padded(part)))
    return b"\n".join(decoded)


def _padded(part: bytes) -> bytes:
    rest = part[len(part) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _unescape(content: bytes) -> bytes:
    return _ESCAPE.sub(_unescape_one, content)


def _unescape_one(found: re.Match[bytes]) -> bytes:
    name, digits = found.lastgroup, found[found.lastgroup or 0]
    match name:
        case "percent" | "octet" | "quoted":
            return bytes.fromhex(digits.decode())
        case "octal":
            return bytes([int(digits, 8)])
        case "json" | "hexadecimal":
            return _code_point(digits)
        case "decimal":
            return _code_point(digits, 10)
        case "named":
            return html.unescape(f"&{digits.decode()};").encode()
    # A soft line break of quoted-printable.
    return b""


_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "UTF-16 or UTF-32": lambda content: content.replace(b"\0", b""),
    "escaped": _unescape,
    "hexadecimal": _hexadecimal_runs,
    "base64": _base64_runs,
}


def swap_half_octets(number: str) -> str:
    """Writes a number as the PDU of an SMS does."""
    padded = number + "F" * (len(number) % 2)
    return "".join(second + first for first, second in zip(padded[::2], padded[1::2], strict=True))


def spellings(canary: Canary) -> dict[str, bytes]:
    """Returns the canary in encodings that logs, dumps, messages and gateways use; each must be found."""
    word, text = canary.word, f"x {canary.word} y"
    number = f"62800{canary.digits}"
    everywhere: dict[str, Any] = {
        "UTF-8": text.encode(),
        "decomposed": unicodedata.normalize("NFD", text).encode(),
        "Latin-1": text.encode("latin-1"),
        "without accents": canary.ascii_word.encode(),
        "lower case": text.lower().encode(),
        "upper case": text.upper().encode(),
        "swapped case": text.swapcase().encode(),
        "UTF-16 little": text.encode("utf-16-le"),
        "UTF-16 big": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32"),
        "percent": "".join(f"%{octet:02X}" for octet in word.encode()).encode(),
        "percent where needed": word.replace("\u00e9", "%c3%a9").encode(),
        "percent twice": word.replace("\u00e9", "%25C3%25A9").encode(),
        "JSON": word.replace("\u00e9", r"\u00e9").encode(),
        "JSON of every letter": "".join(f"\\u{ord(letter):04X}" for letter in word).encode(),
        "JSON inside JSON": word.replace("\u00e9", r"\\u00e9").encode(),
        "Python bytes": repr(word.encode()).encode(),
        "octal": word.replace("\u00e9", r"\303\251").encode(),
        "HTML named": word.replace("\u00e9", "&eacute;").encode(),
        "HTML decimal": word.replace("\u00e9", "&#233;").encode(),
        "HTML hexadecimal": word.replace("\u00e9", "&#xE9;").encode(),
        "quoted-printable": word.replace("\u00e9", "=C3=A9").encode(),
        "quoted-printable, broken line": f"{word[:3]}=\n{word[3:]}".replace("\u00e9", "=C3=A9").encode(),
        "hexadecimal": b"\\x" + text.encode().hex().encode(),
        "hexadecimal, upper case": text.encode("utf-16-be").hex().upper().encode(),
        "number": f"0800{canary.digits}".encode(),
        "number with hyphens": b"-".join(canary.digits[i : i + 3].encode() for i in range(0, 10, 3)),
        "number with spaces": " ".join(f"+{number}").encode(),
        "number with brackets": f"(+62) (800) {canary.digits[:4]}.{canary.digits[4:]}".encode(),
        "number in a URI": f"tel:+62-800-{canary.digits}".encode(),
        "number, percent": f"%2B62%20800%20{canary.digits[:5]}%20{canary.digits[5:]}".encode(),
        "number, UTF-16": f"+{number}".encode("utf-16-le"),
        "number, half octets": swap_half_octets(number).encode(),
        "number, half octets, binary": bytes.fromhex(swap_half_octets(number)),
        "identity number in JSON": b'{"nik":990101' + canary.digits.encode() + b"}",
    }
    for before in range(4):
        padded = b"-" * before + text.encode()
        everywhere[f"base64 after {before}"] = b"[" + base64.b64encode(padded) + b"]"
        everywhere[f"base64url after {before}"] = b"." + base64.urlsafe_b64encode(padded).rstrip(b"=") + b"."
        everywhere[f"base64 of UTF-16 after {before}"] = base64.b64encode(b"-" * before + text.encode("utf-16-le"))
    lines = base64.encodebytes(string.ascii_letters.encode() + text.encode())
    everywhere["base64 in lines"] = lines.replace(b"\n", b"\r\n")
    everywhere["base64 in JSON in a dump"] = (b'{"body":"' + base64.b64encode(text.encode()) + b'"}').hex().encode()
    return everywhere
