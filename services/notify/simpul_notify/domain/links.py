"""Short secrets in links: who has one may do one thing with one message, and learns nothing from it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""Letters that cannot be mistaken for others, because somebody may type a link from one phone into another."""
TOKEN_LENGTH: Final = 12
"""59 bits: with a million valid links, a guess is right once in 600 billion."""
LINK_LANGUAGES: Final = ("id", "jv", "en")
"""The languages of the page behind a link; the first one is for people with any other."""


def token_from(randomness: int) -> str:
    """Returns a token for a random number below `len(ALPHABET) ** TOKEN_LENGTH`."""
    letters = []
    for _ in range(TOKEN_LENGTH):
        randomness, position = divmod(randomness, len(ALPHABET))
        letters.append(ALPHABET[position])
    return "".join(letters)


def token_for(language: str, draw: Callable[[], int]) -> str:
    """Returns a token whose page opens in this language; `draw` returns random numbers as for `token_from`.

    The page reads nothing, so that a scanner of links learns not even whether a link is valid. So the token itself says
    the language, at the cost of two of its bits.
    """
    wanted = language if language in LINK_LANGUAGES else LINK_LANGUAGES[0]
    while True:
        token = token_from(draw())
        if language_of(token) == wanted:
            return token


def language_of(token: str) -> str:
    """Returns the language of the person who got a link, also for one that was never sent."""
    number = int.from_bytes(sha256(b"language " + token.strip().lower().encode()).digest()[:4])
    return LINK_LANGUAGES[number % len(LINK_LANGUAGES)]


def digest_of(token: str) -> bytes:
    """Returns what the database keeps of a token, so that a copy of the database opens no link."""
    return sha256(token.strip().lower().encode()).digest()


def challenge_of(token: str) -> str:
    """Returns the two digits that a person types on the page of a link.

    A program that opens links and presses buttons does not type; a person on any phone can.
    """
    number = int.from_bytes(sha256(b"challenge " + token.strip().lower().encode()).digest()[:4])
    return f"{10 + number % 90}"
