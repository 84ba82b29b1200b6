"""The word list of receipts."""

from importlib.resources import files


def read_word_list() -> list[str]:
    """Reads the word list from which receipts are made."""
    return (files("simpul_intake") / "receipt_words.txt").read_text().split()
